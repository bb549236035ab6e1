"""`traceloop-sdk` (OpenLLMetry): a workflow around the calls, associations for who and what."""

from __future__ import annotations

from typing import Any

from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import workflow

from tests.clients import openai_calls
from tests.clients.answering import KEY, URL, serve

Traceloop.init(
    app_name="journeys", api_endpoint=URL, headers={"Authorization": f"Bearer {KEY}"}, disable_batch=True,
    telemetry_enabled=False,
)  # fmt: skip
client = openai_calls.client()


def _say(journey: str) -> None:
    said = {"user_id": "ada@example.org", "session_id": f"session-{journey}", "journey": journey}
    Traceloop.set_association_properties(said)


@workflow(name="answer")
def chat(journey: str, model: str, text: str) -> Any:
    _say(journey)
    return openai_calls.chat(client, model, text)


@workflow(name="answer")
def stream(journey: str, model: str, text: str) -> Any:
    _say(journey)
    return openai_calls.stream(client, model, text)


if __name__ == "__main__":
    serve(chat, stream)
