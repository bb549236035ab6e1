"""Calls by the real `openai` package to the made-up provider itself, as a traced program makes them.

Runs in the clients' own virtual environments.
"""

from __future__ import annotations

from typing import Any

import openai

from tests.clients.answering import PROVIDER_URL


def client() -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{PROVIDER_URL}/v1", api_key="sk-of-the-provider", max_retries=0)


def asked(text: str) -> Any:
    return [{"role": "user", "content": text}]


def chat(by: openai.OpenAI, model: str, text: str, **options: Any) -> dict[str, Any]:
    """A whole reply: its words and counts."""
    reply = by.chat.completions.create(model=model, messages=asked(text), **options)
    return {"text": reply.choices[0].message.content, **_counted(reply.usage)}


def stream(by: openai.OpenAI, model: str, text: str, **options: Any) -> dict[str, Any]:
    """The same, streamed, its usage asked for."""
    said, usage = "", None
    chunks = by.chat.completions.create(
        model=model, messages=asked(text), stream=True, stream_options={"include_usage": True}, **options
    )
    for chunk in chunks:
        said += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        usage = chunk.usage or usage
    return {"text": said, **_counted(usage)}


def _counted(usage: Any) -> dict[str, int]:
    return {"input": usage.prompt_tokens, "output": usage.completion_tokens}
