"""Calls as OpenAI's own SDKs sent them through Helicone: they pass the gateway, and say what their answer key says."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from llm.parse import parse
from tests.gateway_app.stage import AUTH, read_request, run, staged
from tests.wire.exchanges import of_record, recorded

CORPUS = Path(settings.CORPUS_DIR)
FILE = CORPUS / "helicone_clients.jsonl"
OF_THIS_HOP = ("host", "connection", "content-length", "accept-encoding", "transfer-encoding")


@functools.cache
def calls() -> dict[str, dict[str, Any]]:
    if not FILE.is_file():
        return {}
    rows = (json.loads(line) for line in FILE.read_text().splitlines())
    return {row["id"]: row for row in rows if not row["path"].endswith("/log")}


@functools.cache
def answers() -> dict[str, dict[str, Any]]:
    """What the provider once answered to them."""
    wanted = {row["exchange_id"] for row in calls().values()}
    return {record["id"]: record for record in recorded(CORPUS / "open.jsonl.gz") if record["id"] in wanted}


pytestmark = pytest.mark.skipif(not calls(), reason="the corpus of recorded clients is not here")


def passed(folder: Path, row: dict[str, Any]) -> Any:
    answer = of_record(answers()[row["exchange_id"]])
    came = answer.response
    framing = f"Content-Type: {came.content_type}\r\nContent-Length: {len(came.data)}"
    head = f"HTTP/1.1 {answer.status} As then\r\n{framing}\r\n\r\n"
    headers = {name.lower(): value for name, value in row["headers"].items() if name.lower() not in OF_THIS_HOP}
    found: list[Any] = []

    async def play(reader: Any, writer: Any) -> None:
        while True:
            await read_request(reader)
            writer.write(head.encode() + came.data)

    async def work() -> None:
        async with staged(folder, play) as stage:
            status, _, body = await stage.ask(path=row["path"], body=row["body"].encode(), headers={**headers, **AUTH})
            assert (status, body) == (answer.status, came.data)
            # Moderation, where its client asked for that, is a call and a record of its own.
            found.extend(await stage.exchanges(but="/moderations"))

    run(work())
    (exchange,) = found
    return exchange


@pytest.mark.parametrize("name", sorted(calls()) or ["none"])
def test_a_recorded_call_through_the_gateway_says_what_its_key_says(tmp_path, name):
    row = calls()[name]
    truth, exchange = row["truth"], passed(tmp_path, row)
    said, reading = exchange.attribution, exchange.reading or parse(exchange)
    omits = row["headers"].get("Helicone-Omit-Response") == "true"
    assert (exchange.response.state, exchange.reading is not None) == ("omitted" if omits else "kept", omits)
    assert (said.session_id, said.session_path, said.end_user_id) == (
        truth["session_id"], truth["session_path"], truth["user_id"],
    )  # fmt: skip
    # As in the log doors' test: the key lost the first letter of each property's name.
    assert {key[1:]: value for key, value in said.properties.items()} == truth["properties"]
    assert said.client_request_id == row["headers"].get("Helicone-Request-Id")
    usage = reading.usage
    assert (reading.response_model or reading.request_model, usage.input_tokens, usage.output_tokens) == (
        truth["model"], truth["prompt_tokens"], truth["completion_tokens"],
    )  # fmt: skip
    told = (usage.cache_read_tokens or 0, usage.reasoning_tokens or 0)
    assert told == (truth["cache_read_tokens"] or 0, truth["reasoning_tokens"] or 0)
    assert reading.finish_reason == truth["finish_reason"]
