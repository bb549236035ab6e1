"""The script before a call against a model of it in Python: limits, budgets and a session, all or none, settled in any
order, once each."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts_app.budgets import KNOWN, Budget, Period
from alerts_app.rules import SessionCaps
from alerts_app.segments import Segment
from gateway_app import scripts, sessions
from gateway_app.sessions import ToolCall
from gateway_app.spending import Draw, draw_of
from helicone_site.settings import REDIS_URL

YEAR = 31_536_000
"""A bucket of so long a window gets nothing back while a test runs."""
amounts = st.sampled_from([0, 1, 7, 10**9, 5 * 10**14])
bounds = st.none() | st.integers(1, 4)


@dataclass
class Asked:
    """One call: which limits and budgets count it, what it may cost, and what it did."""

    limits: list[bool]
    segments: list[str]
    """Of each budget; empty: it does not count there."""
    estimate: int
    cost: int
    tool: int
    settles: int
    """After the call, so many of the oldest open calls are settled."""


calls = st.lists(
    st.builds(
        Asked, st.lists(st.booleans(), min_size=2, max_size=2),
        st.lists(st.sampled_from(["", "a", "b"]), min_size=2, max_size=2),
        amounts, amounts, st.integers(0, 2), st.integers(0, 2),
    ),
    max_size=12,
)  # fmt: skip


@dataclass
class Model:
    quotas: list[int]
    budgets: list[Budget]
    caps: SessionCaps
    taken: list[int] = field(default_factory=lambda: [0, 0])
    spent: dict[tuple[int, str], int] = field(default_factory=dict)
    held: dict[tuple[int, str], int] = field(default_factory=dict)
    made: int = 0
    session_spent: int = 0
    session_held: int = 0
    tools: dict[int, int] = field(default_factory=dict)

    def verdict(self, one: Asked) -> tuple[str, int]:
        """By what the call is refused, and which of those that count it."""
        for place, number in enumerate([n for n, counts in enumerate(one.limits) if counts]):
            if self.taken[number] + 1 > self.quotas[number]:
                return "limit", place + 1
        for place, number in enumerate([n for n, segment in enumerate(one.segments) if segment]):
            budget, key = self.budgets[number], (number, one.segments[number])
            used = self.spent.get(key, 0) + self.held.get(key, 0)
            if budget.is_hard and (used + one.estimate > budget.limit_nano_usd or used >= budget.limit_nano_usd):
                return "budget", place + 1
        return self._session(one)

    def _session(self, one: Asked) -> tuple[str, int]:
        caps, used = self.caps, self.session_spent + self.session_held
        if caps.max_calls is not None and self.made + 1 > caps.max_calls:
            return "calls", 1
        most = caps.max_cost_nano_usd
        if most is not None and (used + one.estimate > most or used >= most):
            return "cost", 1
        if caps.max_repeats is not None and self.tools.get(one.tool, 0) + 1 > caps.max_repeats:
            return "repeats", 1
        return "", 0

    def take(self, one: Asked) -> None:
        for number, counts in enumerate(one.limits):
            self.taken[number] += counts
        for number, segment in enumerate(one.segments):
            if segment:
                self.held[number, segment] = self.held.get((number, segment), 0) + one.estimate
        self.made += 1
        self.session_held += one.estimate
        self.tools[one.tool] = self.tools.get(one.tool, 0) + 1

    def settle(self, one: Asked) -> None:
        for number, segment in enumerate(one.segments):
            if segment:
                self.held[number, segment] -= one.estimate
                self.spent[number, segment] = self.spent.get((number, segment), 0) + one.cost
        self.session_held -= one.estimate
        self.session_spent += one.cost


class Redis:
    """The real thing, with fresh keys."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.redis: Any = redis.Redis.from_url(REDIS_URL, decode_responses=True)
        self.before, self.after = (self.redis.register_script(one.text) for one in (scripts.BEFORE, scripts.SETTLE))
        self.name = uuid.uuid4().hex
        for budget in model.budgets:
            self.redis.sadd(budget.values_key, KNOWN)

    def bounded(self, one: Asked, call_id: str) -> sessions.Bounded:
        turns = [[ToolCall(f"tool{one.tool}", call_id, "look")]]
        return sessions.Bounded(f"helicone:g:{self.name}", self.model.caps, 0, turns, one.estimate)

    def draws(self, one: Asked) -> list[Draw]:
        pairs = zip(self.model.budgets, one.segments, strict=True)
        return [draw_of(budget, segment, one.estimate) for budget, segment in pairs if segment]

    def ask(self, one: Asked, call_id: str):
        draws, session = self.draws(one), self.bounded(one, call_id)
        has_session = self.model.caps.is_counted
        limits = [n for n, counts in enumerate(one.limits) if counts]
        keys = [f"helicone:l:{self.name}:{n}" for n in limits]
        for draw in draws:
            keys += draw.keys
        if has_session:
            keys += (session.hold.spent, session.hold.holds)
        args = scripts.before(
            call_id, limits=[f"{self.model.quotas[n]} {YEAR} 1" for n in limits],
            budgets=[(in_one_period(draw), draw.value) for draw in draws],
            session=(session.numbers, session.tools) if has_session else None,
        )  # fmt: skip
        return scripts.read(self.before(keys=[*keys, "helicone:c:"], args=args).encode())

    def settle(self, one: Asked, call_id: str) -> int:
        session = self.bounded(one, call_id)
        holds = [draw.hold for draw in self.draws(one)] + ([session.hold] if self.model.caps.is_counted else [])
        keys = [key for hold in holds for key in (hold.spent, hold.holds)]
        return self.after(keys=keys, args=[call_id, one.cost] * len(holds)) if holds else 0

    def counts(self, number: int, segment: str) -> tuple[int, int]:
        """(spent, held) of a segment; its holds one by one must come to the sum."""
        budget = self.model.budgets[number]
        key = budget.spent_key(segment)
        fields = {name: int(told) for name, told in self.redis.hgetall(key).items()}
        holds = [told.split(" ", 3) for told in self.redis.hvals(budget.holds_key)]
        held = sum(int(estimate) for estimate, _, _, of in holds if of == key)
        assert held == fields.get("r", 0)
        return sum(told for name, told in fields.items() if name.isdigit()), held


def in_one_period(draw: Draw) -> str:
    """Its numbers, with a calendar that has no midnight while the test runs."""
    told = draw.numbers(0)
    return told if draw.budget.period.window else " ".join([*told.split()[:5], f"0 1 {10**11} {10**12}"])


def budgets_of(name: int, limits, periods, hard) -> list[Budget]:
    made = zip(limits, periods, hard, strict=True)
    return [
        Budget(name + n, 1, 1, "b", limit, period, Segment("user"), (), is_hard)
        for n, (limit, period, is_hard) in enumerate(made)
    ]


periods = st.sampled_from([Period("day"), Period("week"), Period("month", 0, "Asia/Kathmandu"), Period("rolling", 5)])


@pytest.mark.parametrize("is_bound", [True, False])
@settings(max_examples=60)
@given(st.data())
def test_the_script_is_its_model(is_bound, data):
    quotas = data.draw(st.lists(st.integers(1, 5), min_size=2, max_size=2))
    limits = data.draw(st.lists(st.sampled_from([1, 8, 2 * 10**9, 10**15]), min_size=2, max_size=2))
    two = data.draw(st.lists(periods, min_size=2, max_size=2))
    hard = data.draw(st.lists(st.booleans(), min_size=2, max_size=2))
    caps = SessionCaps(data.draw(st.none() | amounts.filter(bool)), data.draw(bounds), None, data.draw(bounds))
    model = Model(quotas, budgets_of(uuid.uuid4().int % 10**12, limits, two, hard), caps if is_bound else SessionCaps())
    real, under_way, passed = Redis(model), [], []
    for one in data.draw(calls):
        call_id = str(uuid.uuid4())
        expected = model.verdict(one)
        reply = real.ask(one, call_id)
        assert (reply.which, reply.number) == expected
        if not expected[1]:
            model.take(one)
            under_way.append((one, call_id))
            passed.append(one)
        for _ in range(min(one.settles, len(under_way))):
            done, done_id = under_way.pop(0)
            assert real.settle(done, done_id) >= 0
            assert real.settle(done, done_id) == 0
            model.settle(done)
        for number, segment in ((n, s) for n in range(2) for s in "ab"):
            told = (model.spent.get((number, segment), 0), model.held.get((number, segment), 0))
            assert real.counts(number, segment) == told
    for one, call_id in under_way:
        real.settle(one, call_id)
    for number, segment in ((n, s) for n in range(2) for s in "ab"):
        spent, held = real.counts(number, segment)
        wrong = sum(max(0, one.cost - one.estimate) for one in passed if one.segments[number] == segment)
        assert held == 0
        assert not hard[number] or spent <= limits[number] + wrong, "beyond by more than the estimates were wrong"
