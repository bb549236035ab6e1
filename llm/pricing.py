"""What a call cost, exactly: decimal prices, integer nano-USD, and how it was reached.

Who decides, first to last: the client's own cost, the client's own token prices, the provider's declared cost,
the operator's price rows (an organisation's own before everybody's), the seeded rows. A cost of 0 that comes with
tokens is no answer and passes the question on. What nobody knows is None with a reason, never 0.

A price row's `prices` (JSON; numbers as text so that they stay exact):

    {"input_mtok": "2.5",                                             USD per million tokens
     "output_mtok": {"base": "10", "tiers": [{"start": 200000, "price": "15"}]},    all tokens, once input > start
     "web_searches_kcount": "10",                                     USD per thousand; units: llm/units.py
     "audio_hours": {"base": "0.111", "least": 10000},                at least so many of the unit, where there are any
     "hours": [{"start": "00:30", "end": "16:30", "prices": {…}}],    UTC time of day; these replace the others
     "variants": [{"when": {"service_tier": "flex"}, "starts_at": "2026-10-14", "prices": {…}}]}   key by key

and its `match`: {"equals"|"starts_with"|"ends_with"|"contains"|"regex": text} or {"or"|"and": [match, …]}.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from datetime import date, datetime, time
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

from lib.frozen import dataclass, replace
from llm import providers, units
from llm import usage as token_usage
from llm.exchange import MODEL_KINDS, STATUS_THREAT, Charge, Exchange, Reading, Usage
from llm.units import UNITS, Tally, Unit

REASONS: Final = {
    "price": "Tokens times the prices of a price row.",
    "provider": "The provider stated this cost in its reply.",
    "client": "The client stated this cost, or its own prices, with the call.",
    "no_price": "No price row is for this model at this provider and time.",
    "no_usage": "The reply does not tell the token counts a cost needs.",
    "no_model": "Neither request nor reply names a model.",
    "not_a_model_call": "This step calls no model.",
    "failed": "The call failed; providers charge nothing for it.",
}
"""Every `Charge.reason`, and what it means to a reader."""

# ValueError
#   └ BadPrice   a price row that cannot be understood


class BadPrice(ValueError):
    """A price row's `match` or `prices` cannot be understood; says which part."""


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One row of model_price."""

    id: int
    provider: str
    """A provider's slug, or a price list of genai-prices; empty matches any."""
    model_key: str
    match: Mapping[str, Any]
    prices: Mapping[str, Any]
    organization_id: int | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    priority: int = 0
    source: str = ""

    @property
    def is_operators(self) -> bool:
        return not self.source.startswith("genai-prices")

    def is_active(self, moment: datetime) -> bool:
        return (self.starts_at is None or self.starts_at <= moment) and (self.ends_at is None or moment < self.ends_at)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill: `quantity` of something at `unit_usd` each."""

    label: str
    quantity: int
    unit_usd: Decimal
    per: int
    """How many `unit_usd` is for: 1,000,000 tokens, 1,000 searches, 3,600,000 ms."""
    amount_nano_usd: Decimal
    is_fee: bool = False
    """Searches and the like, and what other models took, beside the call's own tokens."""
    per_words: str = ""
    """What `unit_usd` is for, in words: `1M tokens`, `hour`."""


# --- matching model names ---------------------------------------------------------------------------------------------


def matcher(match: Mapping[str, Any]) -> Callable[[str], bool]:
    """A `match` as a predicate of a lower-case model name. Raises BadPrice for one that cannot be understood."""
    if len(match) != 1:
        raise BadPrice(f"a match has one key: equals, starts_with, ends_with, contains, regex, or, and; not {match}")
    ((key, value),) = match.items()
    if key in ("or", "and"):
        clauses = [matcher(clause) for clause in value]
        join = any if key == "or" else all
        return lambda name: join(clause(name) for clause in clauses)
    if key not in _CLAUSES or not isinstance(value, str):
        raise BadPrice(f"no such match: {key}")
    return _CLAUSES[key](value)


LONGEST_TRIED: Final = 300
"""Characters of a name a regular expression looks at: two of its signs without end take the cube of them."""


def _regex(value: str) -> Callable[[str], bool]:
    try:
        pattern = re.compile(value)
    except re.error as error:
        raise BadPrice(f"not a regular expression: {value} ({error})") from error
    return lambda name: pattern.search(name, 0, LONGEST_TRIED) is not None


_CLAUSES: Final[Mapping[str, Callable[[str], Callable[[str], bool]]]] = {
    "equals": lambda value: value.lower().__eq__,
    "starts_with": lambda value: lambda name: name.startswith(value.lower()),
    "ends_with": lambda value: lambda name: name.endswith(value.lower()),
    "contains": lambda value: lambda name: value.lower() in name,
    "regex": _regex,
}

_COMPACT_DATE: Final = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


def _spellings(model: str, price_list: str) -> tuple[str, ...]:
    """A model name as price rows may spell it: itself, then with a compact date written out, then both without what
    clients put before it: `models/` as Google's API does, or the name of the list it is looked up in."""
    name = model.lower()
    bare = name.removeprefix("models/").removeprefix(f"{price_list}/") if "/" in name else name
    return tuple(dict.fromkeys(
        spelling for told in (name, bare) for spelling in (told, _COMPACT_DATE.sub(r"-\1-\2-\3", told))
    ))  # fmt: skip


# --- a row's prices at a moment ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Price:
    base: Decimal
    tiers: tuple[tuple[int, Decimal], ...] = ()
    """(start, price), highest start first."""
    least: int = 0
    """The fewest that are charged for, where there are any."""

    def at(self, input_tokens: int) -> Decimal:
        for start, price in self.tiers:
            if input_tokens > start:
                return price
        return self.base


_Prices = Mapping[str, _Price]


@dataclass(frozen=True, slots=True)
class _Variant:
    when: Mapping[str, str]
    starts_at: date | None
    prices: _Prices


@dataclass(frozen=True, slots=True)
class _Compiled:
    base: _Prices
    hours: tuple[tuple[time, time, _Prices], ...] = ()
    variants: tuple[_Variant, ...] = field(default=())

    def at(self, moment: datetime, context: Mapping[str, str]) -> _Prices:
        prices = next((these for start, end, these in self.hours if _is_within(moment.time(), start, end)), self.base)
        overrides: dict[str, _Price] = {}
        for variant in self.variants:
            if variant.starts_at is not None and moment.date() < variant.starts_at:
                continue
            if all(context.get(key) == value for key, value in variant.when.items()):
                overrides = {**variant.prices, **overrides}
        return {**prices, **overrides} if overrides else prices


def _is_within(now: time, start: time, end: time) -> bool:
    return start <= now < end if start <= end else now >= start or now < end


def compiled(prices: Mapping[str, Any]) -> _Compiled:
    """A row's `prices` ready to be used. Raises BadPrice."""
    try:
        return _Compiled(
            base=_price_map(prices),
            hours=tuple(
                (time.fromisoformat(item["start"]), time.fromisoformat(item["end"]), _price_map(item["prices"]))
                for item in prices.get("hours", ())
            ),
            variants=tuple(
                _Variant(item["when"], _date(item.get("starts_at")), _price_map(item["prices"]))
                for item in prices.get("variants", ())
            ),
        )
    except (KeyError, TypeError, ValueError, InvalidOperation) as error:
        raise BadPrice(f"prices cannot be read: {type(error).__name__} {error}") from error


def _date(value: str | None) -> date | None:
    return date.fromisoformat(value) if value else None


def _price_map(prices: Mapping[str, Any]) -> _Prices:
    return {key: _price(value) for key, value in prices.items() if key not in ("hours", "variants")}


def _price(value: Any) -> _Price:
    if not isinstance(value, Mapping):
        return _Price(_decimal(value))
    tiers = sorted(((int(tier["start"]), _decimal(tier["price"])) for tier in value.get("tiers", ())), reverse=True)
    return _Price(_decimal(value["base"]), tuple(tiers), int(value.get("least", 0)))


def _decimal(value: Any) -> Decimal:
    number = Decimal(str(value))
    if not number.is_finite() or number < 0:
        raise BadPrice(f"a price is a number from 0 up, not {value}")
    return number


# --- the bill ---------------------------------------------------------------------------------------------------------

_NANO: Final = 10**9
_PLACES: Final = {key: place for place, key in enumerate(UNITS)}
"""The order of a bill's lines."""


def bill(prices: _Prices, usage: Usage) -> tuple[Line, ...]:
    """The lines of a call. Parts that have a price of their own are taken out of what they are part of."""
    return _lines(prices, units.tally(prices, usage), usage)


def _lines(prices: _Prices, tally: Tally, usage: Usage) -> tuple[Line, ...]:
    tier = usage.input_tokens or 0
    keys = sorted((key for key, quantity in tally.charged.items() if quantity), key=_PLACES.__getitem__)
    return tuple(_line(UNITS[key], prices[key], tally.charged[key], tier=tier) for key in keys)


def _line(unit: Unit, price: _Price, quantity: int, *, tier: int) -> Line:
    quantity, usd = max(quantity, price.least), price.at(tier)
    return Line(
        unit.label, quantity, usd, unit.per, usd * quantity * _NANO / unit.per,
        is_fee=unit.is_fee, per_words=unit.per_words,
    )  # fmt: skip


def total(lines: Iterable[Line]) -> int:
    """Nano-USD of a bill, rounded once, half to even."""
    return _whole(sum((line.amount_nano_usd for line in lines), Decimal(0)))


def _whole(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


# --- the book ---------------------------------------------------------------------------------------------------------


class PriceBook:
    """All current prices, ready to be asked. Rows that cannot be read are left out and named in `unreadable`."""

    def __init__(self, rows: Iterable[PriceRow]) -> None:
        self._rows: dict[int, PriceRow] = {}
        self._lists: dict[tuple[int | None, str, bool], list[tuple[Callable[[str], bool], PriceRow]]] = {}
        self.unreadable: dict[int, str] = {}
        for row in sorted(rows, key=lambda row: (row.priority, row.id)):
            self._add(row)
        self._compiled = lru_cache(maxsize=8192)(self._compile)
        self._candidates = lru_cache(maxsize=16384)(self._find)

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, price_id: int) -> PriceRow | None:
        return self._rows.get(price_id)

    def _add(self, row: PriceRow) -> None:
        try:
            is_match = matcher(row.match)
        except BadPrice as error:
            self.unreadable[row.id] = str(error)
            return
        self._rows[row.id] = row
        self._lists.setdefault((row.organization_id, row.provider, row.is_operators), []).append((is_match, row))

    def _compile(self, price_id: int) -> _Compiled | None:
        try:
            return compiled(self._rows[price_id].prices)
        except BadPrice as error:
            self.unreadable[price_id] = str(error)
            return None

    def charge(self, exchange: Exchange, reading: Reading) -> Charge:
        """What an exchange cost, and why; see the head of this file for who decides."""
        if reading.kind not in MODEL_KINDS:
            return Charge(None, "not_a_model_call")
        usage = reading.usage
        has_tokens = bool(usage.input_tokens or usage.output_tokens)
        if (stated := self._stated(exchange, reading, has_tokens=has_tokens)) is not None:
            return stated
        if exchange.status >= 400 or (exchange.status == STATUS_THREAT and not has_tokens):
            return Charge(None, "failed")
        is_failed = bool(reading.error_type or reading.error_message)
        if _is_half_told(reading):
            return Charge(None, "failed") if is_failed else self._unpriced(exchange, reading, "no_usage")
        charge = self._priced(exchange, reading)
        return self._unpriced(exchange, reading, charge.reason) if charge.nano_usd is None else charge

    def _stated(self, exchange: Exchange, reading: Reading, *, has_tokens: bool) -> Charge | None:
        """The cost client or provider state themselves."""
        declared = exchange.attribution.declared_cost_nano_usd
        if declared is not None and (declared or not has_tokens):
            return Charge(declared, "client")
        if has_tokens and (own := _client_prices(exchange, reading.usage)) is not None:
            return Charge(own, "client")
        declared = reading.provider_cost_nano_usd
        if declared is not None and (declared or not has_tokens):
            return Charge(declared, "provider")
        return None

    def _priced(self, exchange: Exchange, reading: Reading) -> Charge:
        models, moment, usage = models_of(exchange, reading), exchange.requested_at, reading.usage
        reason = "no_price" if models else "no_model"
        for model in models:
            row = self.find(exchange.provider, model, at=moment, organization_id=exchange.organization_id)
            prices = self._prices(row, moment, context(usage, reading.service_tier)) if row else None
            if row is None or prices is None or not (tally := units.tally(prices, usage)).is_whole:
                continue
            if tally.is_told:
                return Charge(total((*_lines(prices, tally, usage), *self.beside(exchange, reading))), "price", row.id)
            reason = "no_usage"
        return Charge(None, reason)

    def beside(self, exchange: Exchange, reading: Reading) -> tuple[Line, ...]:
        """The lines of tokens told beside the totals (an advisor's, a compaction's), each at its own model's price.
        Those of a model without one are left out."""
        told = reading.usage.sent or {}
        if "iterations" not in told:
            return ()
        found: list[Line] = []
        for each in token_usage.beside(told):
            models = (each.model,) if each.model else models_of(exchange, reading)
            found += self._beside(exchange, models, each, tier=reading.service_tier)
        return tuple(found)

    def _beside(
        self, exchange: Exchange, models: Iterable[str], each: token_usage.Beside, *, tier: str | None
    ) -> list[Line]:
        moment = exchange.requested_at
        for model in models:
            row = self.find(exchange.provider, model, at=moment, organization_id=exchange.organization_id)
            if row and (prices := self._prices(row, moment, context(each.usage, tier))):
                return [replace(line, label=f"{line.label}, {each.what} {model}", is_fee=True)
                        for line in bill(prices, each.usage)]
        return []

    def _unpriced(self, exchange: Exchange, reading: Reading, reason: str) -> Charge:
        """An unknown cost, beside it what the estimated counts would cost."""
        guess = reading.estimate
        if guess is None or reason != "no_usage":
            return Charge(None, reason)
        told = reading.usage
        guessed = replace(
            told,
            input_tokens=guess.input_tokens if told.input_tokens is None else told.input_tokens,
            output_tokens=guess.output_tokens if told.output_tokens is None else told.output_tokens,
        )
        if _is_half_told(replace(reading, usage=guessed)):
            return Charge(None, reason)
        charge = self._priced(exchange, replace(reading, usage=guessed))
        return Charge(None, reason, estimated_nano_usd=charge.nano_usd)

    def _prices(self, row: PriceRow, moment: datetime, given: Mapping[str, str]) -> _Prices | None:
        prices = self._compiled(row.id)
        return prices.at(moment, given) if prices else None

    def find(self, provider: str, model: str, *, at: datetime, organization_id: int | None = None) -> PriceRow | None:
        """The row a model of a provider is charged at: by order of who decides, then the one active at the time."""
        for row in self._candidates(organization_id, provider, model):
            if row.is_active(at):
                return row
        return None

    def candidates(self, provider: str, model: str, *, organization_id: int | None = None) -> tuple[PriceRow, ...]:
        """Every row that could be meant at some time, the one that decides first."""
        return self._candidates(organization_id, provider, model)

    def _find(self, organization_id: int | None, provider: str, model: str) -> tuple[PriceRow, ...]:
        """Every row that could be meant, best first. Of a price list only the first model that matches."""
        found: list[PriceRow] = []
        described = providers.by_slug(provider)
        for own in dict.fromkeys((organization_id, None)):
            for name in dict.fromkeys((provider, "")):
                found += self._matching((own, name, True), model)
        lists, listed = described.price_lists(model) if described else ((provider,), model)
        for name in lists:
            seeded = self._matching((None, name, False), listed)
            found += [row for row in seeded if row.model_key == seeded[0].model_key]
            if seeded:
                break
        return tuple(found)

    def _matching(self, key: tuple[int | None, str, bool], model: str) -> list[PriceRow]:
        for spelling in _spellings(model, key[1]):
            if rows := [row for is_match, row in self._lists.get(key, ()) if is_match(spelling)]:
                return rows
        return []

    def explain(
        self, price_id: int, usage: Usage, *, at: datetime, service_tier: str | None = None
    ) -> tuple[Line, ...]:
        """The lines of a bill at a row of this book; () where the row is not in it (see `explain` below)."""
        row = self._rows.get(price_id)
        return explain(row, usage, at=at, service_tier=service_tier) if row else ()


def explain(row: PriceRow, usage: Usage, *, at: datetime, service_tier: str | None = None) -> tuple[Line, ...]:
    """The lines of a bill at any row, replaced ones too. Raises BadPrice."""
    return bill(compiled(row.prices).at(at, context(usage, service_tier)), usage)


def _is_half_told(reading: Reading) -> bool:
    """Whether counts a cost needs are missing: what answers in text must tell both sides of its tokens.

    Of other kinds it depends on what their price is for: tokens, images, minutes, searches.
    """
    return reading.kind == "llm" and None in (
        UNITS["input_mtok"].count(reading.usage), UNITS["output_mtok"].count(reading.usage)
    )  # fmt: skip


def models_of(exchange: Exchange, reading: Reading) -> tuple[str, ...]:
    """Names to look a price up by, best first.

    What a log door is told of the request is the client's word (litellm writes gpt-3.5-turbo for models it does not
    know): where the reply names a model, only that counts there.
    """
    if override := exchange.attribution.model_override:
        return (override,)
    names = [reading.response_model, reading.request_model]
    if exchange.door != "gateway" and reading.response_model:
        names.pop()
    return tuple(dict.fromkeys(name for name in names if name))


_TIERS: Final = {
    "on_demand_flex": "flex", "on_demand_priority": "priority", "service_tier_flex": "flex",
    "service_tier_priority": "priority", "service_tier_batch": "batch",
}  # fmt: skip
"""Google's words for what the others call flex and priority."""
_CONTEXT_KEYS: Final = ("speed", "search_context_size", "search_type", "inference_geo")


def context(usage: Usage, service_tier: str | None) -> dict[str, str]:
    """What variants of a price depend on: the tier that served the call, and how it was asked."""
    sent = usage.sent or {}
    tier = next((told for told in (service_tier, sent.get("service_tier"), sent.get("trafficType"))
                 if isinstance(told, str) and told), "").lower()
    found = {key: value for key in _CONTEXT_KEYS if isinstance(value := sent.get(key), str)}
    if tier:
        found["service_tier"] = _TIERS.get(tier, tier)
    if found.get("service_tier") == "batch":
        found["processing"] = "batch"
    return found


def _client_prices(exchange: Exchange, usage: Usage) -> int | None:
    """Tokens times the prices the client sent with the call; a side without a price of its own makes it unknown."""
    told = exchange.attribution
    amount = Decimal(0)
    for price, tokens in (
        (told.input_nano_usd_per_token, usage.input_tokens), (told.output_nano_usd_per_token, usage.output_tokens),
    ):
        if price is None and tokens:
            return None
        amount += Decimal(str(price or 0)) * (tokens or 0)
    if told.input_nano_usd_per_token is None and told.output_nano_usd_per_token is None:
        return None
    return _whole(amount)
