"""Spans merged, promoted, demoted, erased, added to and priced again, in any order: counts stay those of the rows."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest_app import records, repricing
from ingest_app.models import Repricing
from ingest_app.run import Line, Settings
from ingest_app.spool import Reader, Writer
from lib.clock import from_microseconds, now
from llm.pricing import PriceBook, PriceRow
from metrics_app import queries_audit
from metrics_app.rebuild import rebuild
from requests_app.models import LLMRequest
from sessions_app.models import Session
from tests.ingest_app.test_spans import PRICES, START, call, connect, db, exchange, reporting, span
from tests.metrics_app.counting import TABLES, fold_all, folded_tables

__all__ = ("db",)
pytestmark = pytest.mark.django_db(transaction=True)
ORGANIZATION = 1
DAY = from_microseconds(START // 1000).replace(hour=0, minute=0, second=0, microsecond=0)
DEARER = PriceBook((
    PriceRow(2, "openai", "gpt-4o", {"starts_with": "gpt-4o"}, {"input_mtok": "5", "output_mtok": "7"}),
))
SPANS = [
    span(1, None, gen_ai__operation__name="invoke_agent", gen_ai__conversation__id="run-9", user__id="ada",
         metadata='{"tier": "gold"}', gen_ai__usage__input_tokens=999),
    call(2, 1), call(3, 2), span(4, 3, name="HTTP POST"), call(5, 4, gen_ai__conversation__id="its own"),
    reporting(6), reporting(7, 6), call(8, 7), span(8, 7, seconds=0, name="open"),
    call(9, 6, gen_ai__response__id="chatcmpl-0123456789abcdef"),
    call(10, None, gen_ai__response__id="chatcmpl-0123456789abcdef"), call(2, 1, user__id="bob"),
]  # fmt: skip


class Bench:
    """A line, and what is done beside it."""

    def __init__(self, db: Any, folder: Path, chance: random.Random) -> None:
        self.db, self.chance = db, chance
        self.writer, self.reader = Writer(folder, max_bytes=2**40, min_free_bytes=0), Reader(folder)
        self.line = Line(
            self.reader, connect=connect, load_prices=lambda _: PRICES, settings=Settings(partition_days=7)
        )

    def sends(self) -> None:
        self._spool([records.whole(exchange(one)) for one in self.chance.sample(SPANS, self.chance.randint(1, 5))])

    def erases(self) -> None:
        self._spool([records.forget(records.Forget(ORGANIZATION, (one,), now())) for one in self._some(2)])

    def says(self) -> None:
        said = {"tier": self.chance.choice(("tin", None)), "said": "late"}
        self._spool([
            records.amendment(records.Amendment(ORGANIZATION, one, now(), said, {"good": self.chance.random()}))
            for one in self._some(3)
        ])  # fmt: skip

    def promotes(self) -> None:
        self.db.execute("UPDATE span_watch SET due_at = now() - interval '1 minute'")
        self.line._due["promote"] = 0.0
        self._spool([])

    def prices_again(self) -> None:
        run = Repricing.objects.create(
            organization_id=ORGANIZATION, since=DAY, until=DAY + timedelta(days=1), state="applying"
        )
        repricing.step(self.db, run.pk, self.chance.choice((PRICES, DEARER)))
        if self.chance.random() < 0.5:
            Repricing.objects.filter(pk=run.pk).update(state="undoing")
            repricing.step(self.db, run.pk, PRICES)

    def folds(self) -> None:
        fold_all(self.db, ORGANIZATION)

    def close(self) -> None:
        assert self.reader.depth() == (0, 0, 0)
        assert sum(self.line.tally.drops.values()) == 0
        for one in (self.line, self.reader, self.writer):
            one.close()

    def _some(self, count: int) -> list[Any]:
        found = sorted(LLMRequest.objects.values_list("id", flat=True))
        return self.chance.sample(found, min(count, len(found)))

    def _spool(self, told: list[Any]) -> None:
        for future in [self.writer.put(one) for one in told]:
            future.result(5)
        while self.line.step():
            pass


def sessions_agree() -> None:
    for session in Session.objects.all():
        rows = LLMRequest.objects.filter(organization_id=session.organization_id, session_id=session.session_id)
        calls = [row for row in rows if row.kind == "llm"]
        assert (session.steps, session.requests) == (len(rows), len(calls))
        assert session.cost_nano_usd == sum(row.cost_nano_usd or 0 for row in calls)
        assert session.input_tokens == sum(row.input_tokens or 0 for row in calls)


@pytest.mark.parametrize("seed", range(6))
def test_counts_are_those_of_the_rows_whatever_happens_to_spans(db, tmp_path, seed):
    chance = random.Random(seed)
    db.execute(f"TRUNCATE {TABLES}, repricing, repriced_row")
    bench = Bench(db, tmp_path, chance)
    for _ in range(30):
        chance.choice((bench.sends, bench.sends, bench.sends, bench.erases, bench.says, bench.promotes,
                       bench.prices_again, bench.folds))()  # fmt: skip
        assert queries_audit.differences(db, ORGANIZATION, since=DAY, until=DAY + timedelta(days=1)) == []
        sessions_agree()
    bench.folds()
    counted = folded_tables(db)
    for _ in rebuild(db, ORGANIZATION, DAY.date(), last=datetime.now(UTC).date()):
        pass
    assert folded_tables(db) == counted
    bench.close()
    db.execute(f"TRUNCATE {TABLES}, repricing, repriced_row")
