"""Budgets: which a request counts for, what it may cost at most, and what its client is told.

    estimate = bytes of the body / 4 × price in + tokens it may answer × price out

The estimate is held before the call, and the line puts the cost in its place (ingest_app/settling.py).
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

import orjson

from alerts_app.budgets import Budget, Edges, usd
from alerts_app.segments import Facts
from gateway_app.connection import Headers
from gateway_app.errors import BudgetExceeded
from gateway_app.headers import printable
from gateway_app.limits import user_of
from lib.clock import EPOCH
from lib.frozen import dataclass
from llm import loose
from llm.exchange import Attribution, Hold
from llm.parse import PATH_MODEL
from llm.pricing import BadPrice, PriceBook, PriceRow, compiled

WARNING_HEADER: Final = b"helicone-budget-warning"
HELD_SECONDS: Final = 5
"""After these a call may find free what others held."""
BYTES_PER_TOKEN: Final = 4.0
WIDE_BYTES_PER_TOKEN: Final = 2.5
"""Of text beyond ASCII."""
PICTURE_TOKENS: Final = 1600
PICTURE_BYTES: Final = 512 * 1024
"""What of a very long body is not read is taken for pictures of this size."""
DEFAULT_OUTPUT_TOKENS: Final = 4096
_BLOB: Final = re.compile(rb"[A-Za-z0-9+/_-]{2000,}={0,2}")
"""Base64 of a picture or a file: it is not read as text."""
_MODEL: Final = re.compile(rb'"model"\s*:\s*"([\x20-\x7e]{1,200}?)"')
_MOST: Final = frozenset({
    "max_completion_tokens", "max_tokens", "max_output_tokens", "max_tokens_to_sample", "maxOutputTokens", "maxTokens",
    "max_new_tokens", "max_gen_len", "maxTokenCount", "num_predict",
})  # fmt: skip
_NESTED: Final = frozenset({
    "generationConfig", "generation_config", "inferenceConfig", "textGenerationConfig", "options", "parameters",
})  # fmt: skip
_CHOICES: Final = frozenset({"n", "candidateCount", "best_of"})
_BOUNDING: Final = _MOST | _NESTED | _CHOICES
LARGEST_ESTIMATE: Final = 10**15


@dataclass(frozen=True, slots=True)
class Asking:
    """A request's body, read as far as budgets and sessions need."""

    body: Mapping[str, Any]
    is_whole: bool
    """`body` is all of its JSON."""
    raw: bytes
    unread: int
    """Bytes of a long body that had not come."""
    model: str | None
    end_user_id: str | None


def read(url: str, body: bytes, attribution: Attribution, *, unread: int = 0) -> Asking:
    """Never raises: what is no JSON object tells nothing but, of one that has not come whole, the model."""
    is_whole = True
    try:
        value: Any = orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        is_whole = False
        value = {"model": found[1].decode()} if (found := _MODEL.search(body)) else None
    told = value if isinstance(value, dict) else {}
    named = told.get("model")
    model = named if isinstance(named, str) and named else _path_model(url)
    user = attribution.end_user_id or user_of(told)
    return Asking(told, is_whole and told is value, body, max(0, unread), model, user)


def _path_model(url: str) -> str | None:
    found = PATH_MODEL.search(loose.path(url))
    return unquote(found[1]) if found else None


def facts(asking: Asking, attribution: Attribution, key_id: int) -> Facts:
    return Facts(key_id, asking.end_user_id, attribution.session_id, asking.model, attribution.properties)


# --- what it may cost -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Estimate:
    input_tokens: int
    output_tokens: int
    nano_usd: int | None
    """None where no price is known."""


def estimate(
    asking: Asking, prices: PriceBook, *, provider: str, organization_id: int, attribution: Attribution,
    default_tokens: int = DEFAULT_OUTPUT_TOKENS,
) -> Estimate:  # fmt: skip
    sent = input_tokens(asking.raw) + -(-asking.unread // PICTURE_BYTES) * PICTURE_TOKENS
    answered = output_tokens(asking.body, default_tokens)
    each = _declared(attribution) or _listed(asking, prices, provider, organization_id, attribution.model_override)
    if each is None:
        return Estimate(sent, answered, None)
    return Estimate(sent, answered, min(LARGEST_ESTIMATE, math.ceil(sent * each[0] + answered * each[1])))


def input_tokens(body: bytes) -> int:
    """From its bytes; a picture or file within counts as a large picture, however many bytes it has."""
    blobs = 0
    if len(body) > 4000:
        body, blobs = _BLOB.subn(b"", body)
    per = BYTES_PER_TOKEN if body.isascii() else WIDE_BYTES_PER_TOKEN
    return math.ceil(len(body) / per) + blobs * PICTURE_TOKENS


def output_tokens(body: Mapping[str, Any], default: int = DEFAULT_OUTPUT_TOKENS) -> int:
    """As many as the request lets come, of all its choices; `default` where it sets no bound."""
    told = [one for one in body.items() if one[0] in _BOUNDING]
    if not told:
        return default
    told += [one for name, nested in told if name in _NESTED and isinstance(nested, dict) for one in nested.items()]
    bounds = [bound for name, value in told if name in _MOST and (bound := _count(value)) is not None]
    choices = [count for name, value in told if name in _CHOICES and (count := _count(value))]
    return max(bounds, default=default) * max(choices, default=1)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10**9 else None


def _declared(told: Attribution) -> tuple[float, float] | None:
    """The client's own prices."""
    into, out = told.input_nano_usd_per_token, told.output_nano_usd_per_token
    return None if into is None and out is None else (into or 0.0, out or 0.0)


def _listed(
    asking: Asking, prices: PriceBook, provider: str, organization_id: int, override: str | None
) -> tuple[float, float] | None:
    model = override or asking.model
    row = prices.find(provider, model, at=EPOCH, organization_id=organization_id) if model else None
    return None if row is None else _per_token(row)


_known: dict[int, tuple[PriceRow, tuple[float, float] | None]] = {}
"""Prices of rows as they were used last, by their id."""


def _per_token(row: PriceRow) -> tuple[float, float] | None:
    """Nano-USD of a token in and out, at the dearest tier."""
    known = _known.get(row.id)
    if known is None or known[0] is not row:
        known = _known[row.id] = row, _dearest(row)
    return known[1]


def _dearest(row: PriceRow) -> tuple[float, float] | None:
    try:
        found = compiled(row.prices).base
    except BadPrice:
        return None
    into, out = (
        max((price.base, *(tier for _, tier in price.tiers))) if (price := found.get(unit)) else 0
        for unit in ("input_mtok", "output_mtok")
    )  # fmt: skip
    return float(into) * 1000, float(out) * 1000


# --- drawing ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Draw:
    """A budget this request counts for."""

    budget: Budget
    value: str
    """Of the segment."""
    estimate: int
    """Nano-USD held."""
    hold: Hold

    @property
    def keys(self) -> tuple[str, str, str]:
        return self.hold.spent, self.hold.holds, self.budget.values_key

    def numbers(self, at: float) -> str:
        """For the script: limit, estimate, 1 where it refuses, window and slot of a rolling one, edges of periods."""
        budget = self.budget
        known = _numbers.get(budget.id)
        if known is None or known[0] is not budget or not known[1][1] <= at < known[1][2]:
            period, edges = budget.period, budget.period.edges(at)
            text = f"{int(budget.is_hard)} {period.window} {period.width} {' '.join(map(str, edges))}"
            known = _numbers[budget.id] = budget, edges, text
        return f"{budget.limit_nano_usd} {self.estimate} {known[2]}"


_numbers: dict[int, tuple[Budget, Edges, str]] = {}
"""What a budget's script is told besides, with the edges it holds between."""


def drawn(budgets: Sequence[Budget], told: Facts, estimated: int) -> list[Draw]:
    found = ((budget, budget.segment.of(told)) for budget in budgets)
    return [draw_of(budget, value, estimated) for budget, value in found if value is not None]


def draw_of(budget: Budget, value: str, estimated: int) -> Draw:
    return Draw(budget, value, estimated, Hold(budget.spent_key(value), budget.holds_key))


@dataclass(frozen=True, slots=True)
class Count:
    """What a budget had come to before this call, in nano-USD."""

    spent: int
    reserved: int
    frees_at: int
    """Seconds since 1970 when the period ends, or the oldest of a window is forgotten."""
    is_known: bool
    """False while Redis has not yet been told what Postgres knows."""


def counts(told: Sequence[str]) -> list[Count]:
    """Of four words a budget (gateway_app/scripts.py)."""
    return [
        Count(int(told[at]), int(told[at + 1]), int(told[at + 2]), told[at + 3] == "1")
        for at in range(0, len(told), 4)
    ]


def are_quiet(draws: Sequence[Draw], told: Sequence[str]) -> bool:
    """Whether all are known and below their lowest threshold, this call included, as nearly always."""
    at = 0
    for draw in draws:
        used, warns = int(told[at]) + int(told[at + 1]) + draw.estimate, draw.budget.warn_percents
        if told[at + 3] != "1" or (warns and used * 100 >= warns[0] * draw.budget.limit_nano_usd):
            return False
        at += 4
    return True


def warnings(draws: Sequence[Draw], found: Sequence[Count], *, is_unpriced: str) -> Headers:
    """A line for each budget beyond its lowest threshold, this call included; and for a model of unknown price."""
    said = [
        f"{printable(draw.budget.name, most=200)}: {share:.0%} of {usd(draw.budget.limit_nano_usd)} used"
        for draw, count in zip(draws, found, strict=True)
        if draw.budget.warn_percents and (share := _share(draw, count)) * 100 >= draw.budget.warn_percents[0]
    ]
    if is_unpriced:
        said.append(f"no price is known for {printable(is_unpriced, most=200)}, so nothing is held for this call")
    return [(WARNING_HEADER, line.encode()) for line in said]


def _share(draw: Draw, count: Count) -> float:
    return (count.spent + count.reserved + draw.estimate) / max(1, draw.budget.limit_nano_usd)


def refusal(draw: Draw, count: Count) -> BudgetExceeded:
    """Where only what calls under way hold stands in the way, the client is asked to come again soon."""
    budget = draw.budget
    is_held = count.spent + draw.estimate <= budget.limit_nano_usd
    wait = HELD_SECONDS if is_held else max(1, count.frees_at - int(time.time()))
    resets = datetime.fromtimestamp(count.frees_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    of = "" if budget.segment.by == "organization" else f" of {budget.segment.by} {_shown(draw)}"
    what = "is taken up by calls under way" if is_held else "is used up"
    error = BudgetExceeded(
        f"The budget “{budget.name}”{of} {what}: limit {usd(budget.limit_nano_usd)} {budget.period.words}, "
        f"spent {usd(count.spent)}, reserved by calls under way {usd(count.reserved)}, "
        f"this call may cost {usd(draw.estimate)}. "
        + ("What they hold and do not cost is free again when they end." if is_held else f"It resets at {resets}."),
        retry_after_seconds=wait,
        details={
            "budget": budget.name,
            "segment": {"by": budget.segment.by, "name": budget.segment.name, "value": draw.value},
            "limit_usd": _exact(budget.limit_nano_usd), "spent_usd": _exact(count.spent),
            "reserved_usd": _exact(count.reserved), "estimate_usd": _exact(draw.estimate), "resets_at": resets,
        },
    )  # fmt: skip
    error.is_final = not is_held
    return error


def _shown(draw: Draw) -> str:
    name = draw.budget.segment.name
    return f"{name} {draw.value}" if name else draw.value


def _exact(nano_usd: int) -> float:
    return nano_usd / 10**9
