"""The `ollama` package."""

from __future__ import annotations

from typing import Any

import ollama

from tests.clients.answering import KEY, URL, serve


def _client(headers: dict[str, str]) -> ollama.Client:
    return ollama.Client(host=f"{URL}/ollama", headers={"Helicone-Auth": f"Bearer {KEY}", **headers})


def chat(model: str, text: str, headers: dict[str, str], tool: dict[str, Any] | None = None) -> dict[str, Any]:
    tools: Any = [{"type": "function", "function": tool}] if tool else None
    reply = _client(headers).chat(model=model, messages=[{"role": "user", "content": text}], tools=tools)
    return {
        "text": reply.message.content,
        "tools": [call.function.name for call in reply.message.tool_calls or ()],
        "input": reply.prompt_eval_count,
        "output": reply.eval_count,
    }


def stream(model: str, text: str, headers: dict[str, str]) -> dict[str, Any]:
    said, last = "", None
    messages = [{"role": "user", "content": text}]
    for piece in _client(headers).chat(model=model, messages=messages, stream=True):
        said += piece.message.content or ""
        last = piece
    return {"text": said, "input": last.prompt_eval_count, "output": last.eval_count}


if __name__ == "__main__":
    serve(chat, stream)
