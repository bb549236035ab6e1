"""`helicone-async`: Helicone's own logger beside the calls, its endpoint pointed here."""

from __future__ import annotations

from typing import Any

from helicone_async import HeliconeAsyncLogger

from tests.clients import openai_calls
from tests.clients.answering import KEY, URL, serve

logger = HeliconeAsyncLogger(api_key=KEY, base_url=f"{URL}/v1/trace/log-python")
logger.init()
client = openai_calls.client()


def _say(journey: str) -> None:
    logger.set_properties(
        {"journey": journey, "Helicone-User-Id": "ada@example.org", "Helicone-Session-Id": f"session-{journey}"}
    )


def chat(journey: str, model: str, text: str) -> Any:
    _say(journey)
    return openai_calls.chat(client, model, text)


def stream(journey: str, model: str, text: str) -> Any:
    _say(journey)
    return openai_calls.stream(client, model, text)


if __name__ == "__main__":
    serve(chat, stream)
