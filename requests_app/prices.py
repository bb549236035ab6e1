"""The price table: seeded from the installed genai-prices, read into the book that charges by it.

Seeded rows are never changed in what they say: a price that is new or different gets a new row, the one it replaces
stays with `is_current` false, because requests keep the id of the row they were charged at.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson
from django.db import connection as default_connection
from django.db import transaction

from llm.pricing import PriceBook, PriceRow
from requests_app.models import ModelPrice

SOURCE: Final = "genai-prices"
_LOCK: Final = 0x7072_6963  # any number nobody else locks: two seeders must not both insert
_COLUMNS: Final = (
    "id, provider, model_key, match, prices, organization_id, starts_at, ends_at, priority, source"
)


class Stamp(NamedTuple):
    """Changes whenever the current prices do; cheap to ask."""

    newest_id: int
    current: int


@dataclass(frozen=True, slots=True)
class Seeded:
    """What a seeding did, in rows."""

    version: str
    added: int
    replaced: int
    kept: int


_EDITION: Final = 4
"""Raised when this file reads the same data otherwise, so that installed systems seed again."""


def installed_version() -> str:
    """The package's version and our edition of it: `0.2.3/2`."""
    return f"{importlib.metadata.version(SOURCE)}/{_EDITION}"


def is_seeded() -> bool:
    """Whether the current prices are those of the installed genai-prices."""
    return ModelPrice.objects.filter(source=f"{SOURCE} {installed_version()}", is_current=True).exists()


# --- reading ----------------------------------------------------------------------------------------------------------


def load_book(connection: Any) -> PriceBook:
    """The current prices as a book; `connection` is psycopg's or Django's."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_COLUMNS} FROM model_price WHERE is_current")  # noqa: S608 (names of ours)
        return PriceBook([_row(values) for values in cursor.fetchall()])


def load_row(connection: Any, price_id: int) -> PriceRow | None:
    """One row, current or replaced: what a request was charged at."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_COLUMNS} FROM model_price WHERE id = %s", [price_id])  # noqa: S608
        values = cursor.fetchone()
    return _row(values) if values else None


def stamp(connection: Any) -> Stamp:
    """Reload the book when this differs from when it was loaded."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0), count(*) FILTER (WHERE is_current) FROM model_price")
        return Stamp(*cursor.fetchone())


def _row(values: Any) -> PriceRow:
    row = PriceRow(*values)
    if isinstance(row.match, str):  # Django's connections hand JSON over as text
        return PriceRow(*values[:3], orjson.loads(values[3]), orjson.loads(values[4]), *values[5:])
    return row


# --- seeding ----------------------------------------------------------------------------------------------------------


def seed() -> Seeded:
    """Make the current seeded rows those of the installed genai-prices. Twice changes nothing the second time."""
    version = installed_version()
    wanted = {_identity(row): row for row in bundled(version)}
    with transaction.atomic():
        with default_connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        seeded = ModelPrice.objects.filter(organization_id=None, source__startswith=SOURCE, is_current=True)
        known = {_identity(row): row.pk for row in seeded}
        replaced = [pk for identity, pk in known.items() if identity not in wanted]
        added = [row for identity, row in wanted.items() if identity not in known]
        seeded.filter(pk__in=replaced).update(is_current=False)
        seeded.exclude(source=f"{SOURCE} {version}").update(source=f"{SOURCE} {version}")
        ModelPrice.objects.bulk_create(added, batch_size=500)
        _tell_windows(wanted, known)
    return Seeded(version, added=len(added), replaced=len(replaced), kept=len(known) - len(replaced))


def _tell_windows(wanted: Mapping[bytes, ModelPrice], known: Mapping[bytes, int]) -> None:
    """What models take, on the rows there were before: it is no price, so a change of it makes no new one."""
    told = {known[identity]: row.context_window for identity, row in wanted.items() if identity in known}
    rows = [row for row in ModelPrice.objects.filter(pk__in=told) if row.context_window != told[row.pk]]
    for row in rows:
        row.context_window = told[row.pk]
    ModelPrice.objects.bulk_update(rows, ["context_window"], batch_size=500)


def _identity(row: ModelPrice) -> bytes:
    """What makes two rows the same price."""
    said = [row.provider, row.model_key, row.match, row.prices, row.starts_at, row.ends_at, row.priority]
    return orjson.dumps(said, option=orjson.OPT_SORT_KEYS)


def bundled(version: str) -> Iterator[ModelPrice]:
    """The package's data as rows: one a model and span of time. Imported here by name: it costs 40 MB and a second."""
    data = importlib.import_module("genai_prices.data")
    for provider in data.providers:
        for order, model in enumerate(provider.models):
            for starts_on, ends_on, prices in _spans(model, _BESIDE.get((provider.id, model.id), {})):
                yield ModelPrice(
                    provider=provider.id, model_key=model.id, match=_match(model.match), prices=prices,
                    starts_at=_midnight(starts_on), ends_at=_midnight(ends_on), priority=order,
                    source=f"{SOURCE} {version}", context_window=model.context_window,
                )


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)


_REQUESTS: Final = {"sonar": ("5", "8", "12"), "sonar-reasoning": ("5", "8", "12"),
                    "sonar-pro": ("6", "10", "14"), "sonar-reasoning-pro": ("6", "10", "14")}
"""USD per thousand requests by how much of the web is read; the package knows the highest alone."""
_SHORTEST_MS: Final = 10_000
_BESIDE: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = {
    **{
        ("perplexity", model): {"variants": [
            {"when": {"search_context_size": size}, "prices": {"requests_kcount": fee}}
            for size, fee in zip(("low", "medium", "high"), fees, strict=True)
        ]}
        for model, fees in _REQUESTS.items()
    },
    **{("groq", model): {"least": {"audio_hours": _SHORTEST_MS, "input_audio_hours": _SHORTEST_MS}}
       for model in ("whisper-large-v3", "whisper-large-v3-turbo")},
    ("openai", "gpt-4o-audio-preview"): {"prices": {"input_audio_mtok": "40", "output_audio_mtok": "80"}},
    ("openai", "gpt-4o-mini-audio-preview"): {"prices": {"input_audio_mtok": "10", "output_audio_mtok": "20"}},
}
"""What the package's data has no place for: fees by search context, the shortest audio Groq charges for.

And what it leaves out: audio of the first models that spoke, which would else be charged as text.
"""


def _spans(
    model: Any, beside: Mapping[str, Any]
) -> Iterator[tuple[date | None, date | None, dict[str, Any]]]:
    """(first day, day after the last, prices) of each span in which a model's prices stand."""
    variants = [*beside.get("variants", ()), *(_variant(variant) for variant in model.price_variants or ())]
    extra = {"variants": variants} if variants else {}
    least = beside.get("least", {})
    if not isinstance(model.prices, list):
        yield None, None, {**_free(model), **beside.get("prices", {}), **_price_map(model.prices, least), **extra}
        return
    starts = sorted({start for item in model.prices if (start := _start(item.constraint))})
    edges: list[date | None] = [None, *starts]
    for edge, following in zip(edges, [*starts, None], strict=True):
        yield edge, following, {**_at(model.prices, edge), **extra}


def _free(model: Any) -> dict[str, str]:
    """Prices of what is given away; the package has none for it, nor for what it does not know."""
    if model.id == "moderation":
        return {"requests_kcount": "0"}
    return {"input_mtok": "0", "output_mtok": "0"} if model.id.endswith(":free") else {}


def _start(constraint: Any) -> date | None:
    return getattr(constraint, "start_date", None)


def _at(items: list[Any], day: date | None) -> dict[str, Any]:
    """The prices from a day on: the last that has begun, and before it those of its hours; the first if none has."""
    hours: list[dict[str, Any]] = []
    for item in reversed(items):
        constraint = item.constraint
        if hasattr(constraint, "start_time"):
            hours.append({"start": _clock(constraint.start_time), "end": _clock(constraint.end_time),
                          "prices": _price_map(item.prices)})
        elif (start := _start(constraint)) is None or (day is not None and start <= day):
            return {**_price_map(item.prices), **({"hours": hours} if hours else {})}
    return {**_price_map(items[0].prices), **({"hours": hours} if hours else {})}


def _clock(value: Any) -> str:
    """A time of day in UTC as hh:mm:ss."""
    moment = datetime.combine(date(2000, 1, 2), value)
    return (moment.astimezone(UTC) if moment.tzinfo else moment).time().isoformat()


def _variant(variant: Any) -> dict[str, Any]:
    start = _start(variant.constraint)
    return {"when": dict(variant.when), "prices": _price_map(variant.prices),
            **({"starts_at": start.isoformat()} if start else {})}


def _price_map(prices: Any, least: Mapping[str, int] = MappingProxyType({})) -> dict[str, Any]:
    return {key: _price(value, least.get(key)) for key, value in sorted(vars(prices).items()) if value is not None}


def _price(value: Any, least: int | None) -> Any:
    if least is not None:
        return {"base": str(value), "least": least}
    if hasattr(value, "tiers"):
        tiers = [{"start": tier.start, "price": str(tier.price)} for tier in value.tiers]
        return {"base": str(value.base), "tiers": tiers}
    return str(value)


_CLAUSES: Final[Mapping[str, str]] = {
    "ClauseEquals": "equals", "ClauseStartsWith": "starts_with", "ClauseEndsWith": "ends_with",
    "ClauseContains": "contains", "ClauseRegex": "regex",
}


def _match(clause: Any) -> dict[str, Any]:
    for name, attribute in (("or", "or_"), ("and", "and_")):
        if hasattr(clause, attribute):
            return {name: _matches(getattr(clause, attribute))}
    key = _CLAUSES[type(clause).__name__]
    return {key: getattr(clause, key)}


def _matches(clauses: Iterable[Any]) -> list[dict[str, Any]]:
    return [_match(clause) for clause in clauses]
