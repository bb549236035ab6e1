"""The `groq` package."""

from __future__ import annotations

from typing import Any

from groq import Groq

from tests.clients.answering import KEY, URL, serve

client = Groq(
    base_url=f"{URL}/groq", api_key="gsk-of-the-provider", default_headers={"Helicone-Auth": f"Bearer {KEY}"},
    max_retries=0,
)  # fmt: skip


def chat(model: str, text: str, headers: dict[str, str], tool: dict[str, Any] | None = None) -> dict[str, Any]:
    tools = {"tools": [{"type": "function", "function": tool}]} if tool else {}
    reply = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], extra_headers=headers, **tools
    )
    message = reply.choices[0].message
    return {
        "text": message.content,
        "tools": [call.function.name for call in message.tool_calls or ()],
        "input": reply.usage.prompt_tokens,
        "output": reply.usage.completion_tokens,
    }


def stream(model: str, text: str, headers: dict[str, str]) -> dict[str, Any]:
    said, usage = "", None
    for chunk in client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], stream=True, extra_headers=headers
    ):
        said += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        usage = chunk.x_groq.usage if chunk.x_groq and chunk.x_groq.usage else usage
    return {"text": said, "input": usage.prompt_tokens, "output": usage.completion_tokens}


if __name__ == "__main__":
    serve(chat, stream)
