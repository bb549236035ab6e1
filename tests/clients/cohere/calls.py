"""The `cohere` package."""

from __future__ import annotations

from typing import Any

import cohere

from tests.clients.answering import KEY, URL, serve

client = cohere.ClientV2(api_key="key-of-the-provider", base_url=f"{URL}/cohere")


def _options(headers: dict[str, str]) -> Any:
    return {"additional_headers": {"Helicone-Auth": f"Bearer {KEY}", **headers}, "max_retries": 0}


def chat(model: str, text: str, headers: dict[str, str], tool: dict[str, Any] | None = None) -> dict[str, Any]:
    tools: Any = {"tools": [{"type": "function", "function": tool}]} if tool else {}
    messages: Any = [{"role": "user", "content": text}]
    reply = client.chat(model=model, messages=messages, request_options=_options(headers), **tools)
    return {
        "text": reply.message.content[0].text if reply.message.content else None,
        "tools": [call.function.name for call in reply.message.tool_calls or ()],
        **_counted(reply.usage),
    }


def stream(model: str, text: str, headers: dict[str, str]) -> dict[str, Any]:
    said, usage = "", None
    messages: Any = [{"role": "user", "content": text}]
    for event in client.chat_stream(model=model, messages=messages, request_options=_options(headers)):
        if event.type == "content-delta":
            said += event.delta.message.content.text
        if event.type == "message-end":
            usage = event.delta.usage
    return {"text": said, **_counted(usage)}


def _counted(usage: Any) -> dict[str, int]:
    billed, counted = usage.billed_units, usage.tokens
    return {
        "input": int(counted.input_tokens),
        "output": int(counted.output_tokens),
        "billed_input": int(billed.input_tokens),
        "billed_output": int(billed.output_tokens),
    }


if __name__ == "__main__":
    serve(chat, stream)
