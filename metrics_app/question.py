"""One question put to what was counted, from an address or from JSON, and what is answered.

?metrics=requests,cost&by=time,model&range=7d&order=-cost&limit=8     and any filter of the requests page
{"metrics": [...], "by": [...], "from": "…", "to": "…", "filter": {…} or "model:gpt-4o", "grain": "day"}

BadQuestion(ValueError)     what was asked cannot be: the message says what would do
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal, cast, get_args
from zoneinfo import ZoneInfo

from django.http import QueryDict

from lib import periods, zones
from lib.clock import FIRST, reckonable
from lib.periods import BadPeriod
from llm.exchange import MODEL_KINDS
from metrics_app.catalog import TIME, Dimension, Metric, Number, Unknown, Value, dimension, metric
from requests_app import filter_json, filter_text, filter_url
from requests_app.filters import EVERYTHING, And, FilterError, Leaf, Node, join, leaves

Grain = Literal["minute", "hour", "6 hours", "day", "week", "month", "year"]
GRAINS: tuple[Grain, ...] = get_args(Grain)
LENGTHS: Mapping[Grain, timedelta] = {
    "minute": timedelta(minutes=1), "hour": timedelta(hours=1), "6 hours": timedelta(hours=6),
    "day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30), "year": timedelta(days=365),
}  # fmt: skip
"""About; a day of a zone may have 23 or 25 hours."""
FITTING: tuple[tuple[timedelta, Grain], ...] = (
    (timedelta(hours=3), "minute"), (timedelta(days=14), "hour"), (timedelta(days=60), "6 hours"),
    (timedelta(days=400), "day"), (timedelta(days=1500), "week"), (timedelta(days=36_500), "month"),
)  # fmt: skip
"""The grain a range of at most this length is drawn in, where none is asked for; beyond, years."""
MOST_POINTS = 20_000
MOST_GROUPS = 10_000
DEFAULT_LIMIT = 100
KEYS = frozenset({
    "metrics", "by", "range", "from", "to", "grain", "order", "limit", "offset", "compare", "zone",
})  # fmt: skip
"""What of an address is the question's own; every other key is a filter, or the page's."""
ALL_KINDS_FOR = frozenset({"kind", "id", "trace", "session", "q"})
"""Whoever asks by these means rows of any kind, as on the requests page."""


class BadQuestion(ValueError):
    """`path` is the key of the address or of the JSON that is wrong."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True)
class Question:
    """What of an organisation's requests in [since, until), None for no bound, is asked, grouped by what.

    `order` is the key of a metric or dimension, descending with a "-" before it; empty is by time, else the first
    metric downward. `limit` groups are shown from `offset` on; with `has_rest` the others are put together as OTHER
    instead of left out. With `time` among several dimensions, `limit` counts the values of the others, and there is
    always a rest.
    """

    organization_id: int
    metrics: tuple[str, ...]
    dimensions: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    filter: Node = EVERYTHING
    grain: Grain | None = None
    """None: as the range wants it."""
    zone: tzinfo = UTC
    kinds: frozenset[str] | None = MODEL_KINDS
    """None: every kind the filter lets through."""
    order: str = ""
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    has_rest: bool = False
    without: Node | None = None
    """Rows not meant that counts cannot tell from others; names and days are not asked with it."""

    def __post_init__(self) -> None:
        """Raises BadQuestion."""
        try:
            _ = self.asked_metrics, self.asked_dimensions
        except Unknown as error:
            raise BadQuestion(str(error)) from None
        if not self.metrics:
            raise BadQuestion("Ask for at least one metric.", "metrics")
        if len(set(self.dimensions)) != len(self.dimensions):
            raise BadQuestion("A dimension is asked for twice.", "by")
        if self.order and self.order.removeprefix("-") not in (*self.metrics, *self.dimensions):
            raise BadQuestion("An answer is ordered by one of the metrics or dimensions it has.", "order")
        if not 1 <= self.limit <= MOST_GROUPS or self.offset < 0:
            raise BadQuestion(f"The limit lies between 1 and {MOST_GROUPS}, the offset is not below 0.", "limit")
        if self.since and self.until and self.since > self.until:
            raise BadQuestion("The range ends before it starts.", "from")

    @property
    def asked_metrics(self) -> tuple[Metric, ...]:
        return tuple(map(metric, self.metrics))

    @property
    def asked_dimensions(self) -> tuple[Dimension, ...]:
        """Without time."""
        return tuple(dimension(key) for key in self.dimensions if key != TIME)

    @property
    def is_series(self) -> bool:
        return TIME in self.dimensions

    def previous(self, now: datetime) -> Question:
        """The same question about the stretch of equal length just before. Raises BadQuestion without a start."""
        if self.since is None:
            raise BadQuestion("All of time has no time before it to compare with.", "compare")
        since = reckonable(self.since)
        length = max((self.until or now) - since, timedelta())
        return replace(self, since=since - min(length, since - FIRST), until=since)


@dataclass(frozen=True, slots=True)
class Row:
    """One group: where its bucket starts (None without `time`), its values in the question's order, its numbers.

    A number is None where it is unknown or there is nothing to divide by.
    """

    at: datetime | None
    values: tuple[Value, ...]
    numbers: Mapping[str, Number | None]

    def __getitem__(self, key: str) -> Number | None:
        return self.numbers[key]


@dataclass(frozen=True, slots=True)
class Answer:
    """The groups asked for, and how far they can be trusted.

    `total` is over all groups, shown or not; `groups` says how many there are (in a series: rows). `times` are the
    starts of all buckets, those without requests too. `source` names the tables. `is_partial`: the ground held more
    than is read at once, and only what came since `since` is counted. `notes` say in sentences what was rounded.
    """

    question: Question
    rows: tuple[Row, ...]
    total: Row
    groups: int
    times: tuple[datetime, ...]
    grain: Grain | None
    source: tuple[str, ...]
    as_of: datetime
    since: datetime | None
    until: datetime | None
    is_partial: bool = False
    notes: tuple[str, ...] = ()


# --- from outside ---------------------------------------------------------------------------------------------


def from_url(
    organization_id: int, query: QueryDict, *, now: datetime, zone: tzinfo, reserved: Collection[str] = ()
) -> Question:
    """The question of an address; `reserved` are the page's own keys. Raises BadQuestion, FilterError."""
    try:
        period = periods.read(query, now=now, zone=zone)
    except BadPeriod as error:
        raise BadQuestion(str(error), "range") from None
    tree = filter_url.parse(query, reserved={*KEYS, *reserved})
    return Question(
        organization_id,
        _names(query.get("metrics", "requests")),
        _names(query.get("by", "")),
        since=period.since,
        until=period.until,
        filter=tree,
        grain=_grain(query.get("grain", "")),
        zone=_zone(str(query["zone"])) if query.get("zone") else zone,
        kinds=kinds_of(tree),
        order=query.get("order", ""),
        limit=_whole(query.get("limit", str(DEFAULT_LIMIT)), "limit"),
        offset=_whole(query.get("offset", "0"), "offset"),
    )


_JSON_KEYS = frozenset({
    "metrics", "by", "from", "to", "range", "filter", "grain", "zone", "order", "limit", "offset", "rest",
})  # fmt: skip


def from_json(organization_id: int, body: Any, *, now: datetime) -> Question:
    """The question of a JSON object. Raises BadQuestion, FilterError."""
    if not isinstance(body, Mapping):
        raise BadQuestion("An object is expected.")
    if unknown := body.keys() - _JSON_KEYS:
        raise BadQuestion(f"There is no {sorted(unknown)[0]!r}. There are: {', '.join(sorted(_JSON_KEYS))}.")
    zone = _zone(_text(body, "zone") or "UTC")
    try:
        asked = {key: _text(body, key) for key in ("range", "from", "to")}
        period = periods.read(asked, now=now, zone=zone)
    except BadPeriod as error:
        raise BadQuestion(str(error), "range") from None
    tree = filter_of(body.get("filter", "all"))
    return Question(
        organization_id,
        _listed(body, "metrics", ("requests",)),
        _listed(body, "by", ()),
        since=period.since,
        until=period.until,
        filter=tree,
        grain=_grain(_text(body, "grain")),
        zone=zone,
        kinds=kinds_of(tree),
        order=_text(body, "order"),
        limit=_whole(body.get("limit", DEFAULT_LIMIT), "limit"),
        offset=_whole(body.get("offset", 0), "offset"),
        has_rest=body.get("rest") is True,
    )


def filter_of(said: Any) -> Node:
    """A filter in Helicone's JSON, or in the text form. Raises FilterError."""
    return filter_text.parse(said) if isinstance(said, str) and said != "all" else filter_json.parse(said)


def kinds_of(tree: Node) -> frozenset[str] | None:
    return None if {one.key for one in leaves(tree)} & ALL_KINDS_FOR else MODEL_KINDS


def without_times(tree: Node) -> tuple[Node, datetime | None, datetime | None]:
    """The tree without the times it ANDs, and these as [since, until)."""
    parts = tree.parts if isinstance(tree, And) else (tree,)
    lows, highs, kept = [], [], []
    step = timedelta(microseconds=1)
    for part in parts:
        if not isinstance(part, Leaf) or part.key != "at" or not isinstance(part.value, datetime):
            kept.append(part)
        elif part.operator in (">", ">="):
            lows.append(reckonable(part.value) + (step if part.operator == ">" else timedelta()))
        elif part.operator in ("<", "<="):
            highs.append(reckonable(part.value) + (step if part.operator == "<=" else timedelta()))
        else:
            kept.append(part)
    return join("and", kept), max(lows, default=None), min(highs, default=None)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _text(body: Mapping[str, Any], key: str) -> str:
    if not isinstance(body.get(key, ""), str):
        raise BadQuestion(f"{key!r} is text.", key)
    return cast(str, body.get(key, ""))


def _listed(body: Mapping[str, Any], key: str, default: Sequence[str]) -> tuple[str, ...]:
    found = body.get(key, default)
    if not isinstance(found, list | tuple) or not all(isinstance(name, str) for name in found):
        raise BadQuestion(f"{key!r} is a list of names.", key)
    return tuple(found)


def _grain(text: str) -> Grain | None:
    if text and text not in GRAINS:
        raise BadQuestion(f"There is no grain {text!r}. There are: {', '.join(GRAINS)}.", "grain")
    return text or None


def _zone(name: str) -> tzinfo:
    if name not in zones.known():
        raise BadQuestion(f"There is no time zone {name!r}; write one as Europe/Berlin.", "zone")
    return ZoneInfo(name)


def _whole(raw: Any, key: str) -> int:
    try:
        if isinstance(raw, bool) or (isinstance(raw, float) and not raw.is_integer()):
            raise ValueError
        return int(raw)
    except (TypeError, ValueError, OverflowError):
        raise BadQuestion(f"{key!r} is a whole number.", key) from None


__all__ = [
    "GRAINS", "Answer", "BadQuestion", "FilterError", "Grain", "Question", "Row", "from_json", "from_url",
]  # fmt: skip
