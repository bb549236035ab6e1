"""A call made in the background and looked up later counts once, whichever comes down the line first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import orjson
import pytest

from ingest_app import answered_later, records
from ingest_app.run import Line, Settings
from ingest_app.spool import Reader, Writer
from llm.exchange import Body, Exchange
from tests.ingest_app.exchanges import chat
from tests.ingest_app.test_spans import PRICES, connect, db, empty  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
URL = "https://api.openai.com/v1/responses"


def response(status: str, **more: Any) -> Body:
    body = {"id": "resp_1", "object": "response", "model": "gpt-4o", "status": status}
    data = orjson.dumps({**body, "output": [], "usage": None, **more})
    return Body(data, "application/json", "", len(data))


def made() -> Exchange:
    request = orjson.dumps({"model": "gpt-4o", "input": "Count", "background": True})
    sent = Body(request, "application/json", "", len(request))
    return replace(chat(1), url=URL, request=sent, response=response("queued"))


def looked_up(n: int, *, is_done: bool = True) -> Exchange:
    answer = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "1, 2, 3"}]}
    usage = {"input_tokens": 1000, "output_tokens": 10, "total_tokens": 1010}
    body = response("completed", output=[answer], usage=usage) if is_done else response("in_progress")
    return replace(chat(1 + n), method="GET", url=f"{URL}/resp_1", request=Body(), response=body)


def run(folder: Path, exchanges: list[Exchange], *, at_once: bool) -> None:
    folder.mkdir()
    writer, reader = Writer(folder, max_bytes=2**40, min_free_bytes=0), Reader(folder)
    line = Line(reader, connect=connect, load_prices=lambda _: PRICES, settings=Settings(partition_days=7))
    for exchange in exchanges:
        writer.put(records.whole(exchange)).result(5)
        if not at_once:
            line.step()
    while line.step():
        pass
    assert sum(line.tally.drops.values()) == 0
    line.close()
    reader.close()
    writer.close()


@pytest.mark.parametrize("at_once", [True, False])
def test_it_is_counted_once_with_the_usage_the_look_up_tells(db, tmp_path, at_once):  # noqa: F811
    calls = [made(), looked_up(1, is_done=False), looked_up(2), looked_up(3)]
    for number, order in enumerate(permutations(calls)):
        empty(db)
        db.execute("TRUNCATE unfinished_call")
        run(tmp_path / str(number), list(order), at_once=at_once)
        [(kind, tokens, cost, preview, problems)] = db.execute(
            "SELECT kind, input_tokens, cost_nano_usd, response_preview, problems FROM llm_request WHERE kind = 'llm'"
        ).fetchall()
        assert (kind, tokens, cost, preview) == ("llm", 1000, 2_600_000, "1, 2, 3")
        assert [problem.partition(":")[0] for problem in problems] == ["answered_later"]
        sums = "SELECT sum(input_tokens), sum(cost_nano_usd), sum(requests) FROM usage_delta WHERE kind = 'llm'"
        assert db.execute(sums).fetchall() == [(1000, 2_600_000, 1)]


def test_what_waits_in_vain_is_forgotten(db, tmp_path, monkeypatch):  # noqa: F811
    run(tmp_path / "0", [looked_up(1)], at_once=True)
    assert db.execute("SELECT count(*) FROM unfinished_call").fetchone() == (1,)
    monkeypatch.setattr(answered_later, "WAITS", timedelta(seconds=-5))
    answered_later.forget_old(db)
    assert db.execute("SELECT count(*) FROM unfinished_call").fetchone() == (0,)
