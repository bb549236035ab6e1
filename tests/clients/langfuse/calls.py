"""`langfuse`, its host and keys pointed here: the drop-in for `openai` inside a traced function."""

from __future__ import annotations

import os
from typing import Any

from tests.clients.answering import KEY, PROVIDER_URL, URL, serve

os.environ |= {
    "LANGFUSE_HOST": URL, "LANGFUSE_BASE_URL": URL, "LANGFUSE_PUBLIC_KEY": "pk-lf-anything", "LANGFUSE_SECRET_KEY": KEY
}  # fmt: skip

from langfuse import get_client, observe, propagate_attributes
from langfuse.openai import openai

from tests.clients import openai_calls

client = openai.OpenAI(base_url=f"{PROVIDER_URL}/v1", api_key="sk-of-the-provider", max_retries=0)


@observe(name="answer")
def _answer(call: Any, **options: Any) -> Any:
    return call(client, **options)


def _within(journey: str, call: Any, **options: Any) -> Any:
    said = {"user_id": "ada@example.org", "session_id": f"session-{journey}", "metadata": {"journey": journey}}
    with propagate_attributes(**said):
        answer = _answer(call, **options)
    get_client().flush()
    return answer


def chat(journey: str, model: str, text: str) -> Any:
    return _within(journey, openai_calls.chat, model=model, text=text)


def stream(journey: str, model: str, text: str) -> Any:
    return _within(journey, openai_calls.stream, model=model, text=text)


if __name__ == "__main__":
    serve(chat, stream)
