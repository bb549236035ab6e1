"""A line that settles with a real Redis, calls it is told of, and the gateway's own step taken without a gateway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import redis
from django.conf import settings
from django.db import connection as django_connection

from alerts_app import queries
from alerts_app.budgets import NANO, Budget
from alerts_app.ledger import Ledger
from alerts_app.models import Budget as BudgetRow
from gateway_app import scripts
from gateway_app.spending import Draw, draw_of
from ingest_app import records
from ingest_app.run import Line, Settings
from ingest_app.spool import Reader, Writer
from lib.clock import now, uuid7
from lib.postgres import conninfo
from llm.exchange import Exchange, Hold
from llm.pricing import PriceBook, PriceRow
from requests_app import store
from tests.ingest_app.exchanges import chat

COST = 15 * NANO
"""Of every call: fifteen tokens of a dollar each."""
_DOLLAR = {"input_mtok": "1000000", "output_mtok": "1000000"}
PRICES = PriceBook([PriceRow(1, "openai", "m", {"contains": "gpt"}, _DOLLAR)])


def connect() -> store.Db:
    return psycopg.connect(conninfo(django_connection.settings_dict, application="test"), autocommit=True)


@contextmanager
def lined(folder: Path) -> Iterator[Spending]:
    writer, reader = Writer(folder, max_bytes=2**40, min_free_bytes=0), Reader(folder)
    told = Settings(partition_days=7, redis_url=settings.REDIS_URL)
    line = Line(reader, connect=connect, load_prices=lambda _: PRICES, settings=told)
    yield Spending(writer, line)
    line.close()
    reader.close()
    writer.close()


class Spending:
    def __init__(self, writer: Writer, line: Line) -> None:
        self.writer = writer
        self.line = line
        self.redis = redis.Redis.from_url(settings.REDIS_URL)
        self.ledger = Ledger()
        self._before = self.redis.register_script(scripts.BEFORE.text)

    def call(self, organization_id: int, holds: tuple[Hold, ...] = (), **said: Any) -> Exchange:
        """An exchange of just now, not yet spooled."""
        at = now()
        return replace(chat(organization_id=organization_id, **said), id=uuid7(at), requested_at=at, holds=holds)

    def hold(self, budget: Budget, exchange: Exchange, value: str = "", *, estimate: int = 20 * NANO) -> Exchange:
        """As the gateway does before a call; the exchange then names its hold."""
        draw = draw_of(budget, value, estimate)
        reply = self.before([draw], exchange.id)
        assert not reply.is_refused, reply
        return replace(exchange, holds=(*exchange.holds, draw.hold))

    def before(self, draws: list[Draw], request_id: UUID, *, is_closed: bool = False) -> scripts.Said:
        seconds, _ = self.redis.time()
        budgets = [(draw.numbers(seconds), draw.value) for draw in draws]
        args = scripts.before(str(request_id), budgets=budgets, is_closed=is_closed)
        keys = [*(key for draw in draws for key in draw.keys), "helicone:c:"]
        return scripts.read(self._before(keys=keys, args=args))

    def store(self, *exchanges: Exchange) -> None:
        for exchange in exchanges:
            self.writer.put(records.whole(exchange)).result(5)
        self.run_dry()

    def run_dry(self) -> None:
        while self.line.step():
            pass

    def numbers(self, budget: Budget, value: str = "") -> tuple[int, int]:
        """(spent, reserved) of one segment, in dollars."""
        fields = {name: int(worth) for name, worth in self.redis.hgetall(budget.spent_key(value)).items()}
        spent = sum(worth for name, worth in fields.items() if name.isdigit())
        return spent // NANO, fields.get(b"r", 0) // NANO


def a_budget(organization: Any, usd: int, **more: Any) -> tuple[BudgetRow, Budget]:
    row = BudgetRow.objects.create(organization=organization, name="all", limit_nano_usd=usd * NANO, **more)
    return row, queries.budget(row)
