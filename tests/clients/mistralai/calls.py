"""The `mistralai` package."""

from __future__ import annotations

from typing import Any

from mistralai.client import Mistral

from tests.clients.answering import KEY, URL, serve

client = Mistral(server_url=f"{URL}/mistral", api_key="key-of-the-provider")
AUTH = {"Helicone-Auth": f"Bearer {KEY}"}


def chat(model: str, text: str, headers: dict[str, str], tool: dict[str, Any] | None = None) -> dict[str, Any]:
    tools = {"tools": [{"type": "function", "function": tool}]} if tool else {}
    reply = client.chat.complete(
        model=model, messages=[{"role": "user", "content": text}], http_headers={**AUTH, **headers}, **tools
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
    messages = [{"role": "user", "content": text}]
    with client.chat.stream(model=model, messages=messages, http_headers={**AUTH, **headers}) as events:
        for event in events:
            said += event.data.choices[0].delta.content or ""
            usage = event.data.usage or usage
    return {"text": said, "input": usage.prompt_tokens, "output": usage.completion_tokens}


if __name__ == "__main__":
    serve(chat, stream)
