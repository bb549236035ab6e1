"""Rows, folds and counts over the ground, for the tests of counting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from metrics_app import fold, histogram
from metrics_app.rollup import FACET_MEASURES, KEY, MEASURES, Db
from requests_app.rows import Change, RequestRow
from tests.requests_app.factories import make_row

ORGANIZATION = 77
KEYED = ", ".join(KEY)
SUMMED = ", ".join(f"sum({name})::bigint" for name in MEASURES)
FACETS_SUMMED = ", ".join(f"sum({name})::bigint" for name in FACET_MEASURES)
TABLES = (
    "llm_request, llm_request_body, session, request_alias, pending_amendment, usage_delta, usage_minute, usage_hour, "
    "usage_day, facet_delta, facet_day, facet_cap, counting_state"
)


def row(at: datetime, **values: Any) -> RequestRow:
    return make_row(values.pop("organization_id", ORGANIZATION), at, **values)


def added(rows: Iterable[RequestRow]) -> list[Change]:
    return [Change(None, one) for one in rows]


def fold_all(connection: Db, organization_id: int = ORGANIZATION, caps: fold.Caps = fold.CAPS) -> None:
    while True:
        folded = fold.fold(connection, organization_id, caps=caps)
        assert not folded.is_busy
        if folded == fold.Folded():
            return


def folded_tables(connection: Db) -> dict[Any, Any]:
    """Everything in the folded tables that is not nothing, histograms decoded."""
    found: dict[Any, Any] = {}
    for tier in ("minute", "hour", "day"):
        query = f"SELECT organization_id, bucket, {KEYED}, {', '.join(MEASURES)}, duration_hist, ttft_hist"
        rows = connection.execute(f"{query} FROM usage_{tier}").fetchall()
        for *front, durations, ttfts in rows:
            words = [+counter for counter in map(histogram.unpack, (durations, ttfts))]
            if any(front[7:]) or any(words):
                found[tier, *front[:7]] = (front[7:], *words)
    query = f"SELECT organization_id, dim, state, val, day, {', '.join(FACET_MEASURES)} FROM facet_day"
    for values in connection.execute(query).fetchall():
        if any(values[5:]):
            found["facet", *values[:5]] = values[5:]
    return found


def expected_tables(rows: Sequence[RequestRow]) -> dict[Any, Any]:
    """The same, counted here from rows, value by value; no cap is reached."""
    found: dict[Any, Any] = {}
    for one in rows:
        at = one.requested_at.astimezone(UTC)
        minute = at.replace(second=0, microsecond=0)
        buckets = {"minute": minute, "hour": minute.replace(minute=0), "day": minute.replace(hour=0, minute=0)}
        for tier, bucket in buckets.items():
            key = (tier, one.organization_id, bucket, one.kind, one.provider, one.model or "", one.status, one.cached)
            sums, durations, ttfts = found.setdefault(key, ([0] * len(MEASURES), Counter(), Counter()))
            for place, amount in enumerate(amounts(one)):
                sums[place] += amount
            if one.duration_ms is not None:
                durations[histogram.bucket(one.duration_ms)] += 1
            if one.time_to_first_token_ms is not None:
                ttfts[histogram.bucket(one.time_to_first_token_ms)] += 1
        if one.kind != "tool":
            for dim, val in facets(one):
                facet = ("facet", one.organization_id, dim, 0, val, at.date())
                before = found.get(facet, (0,) * len(FACET_MEASURES))
                found[facet] = tuple(map(sum, zip(before, facet_amounts(one), strict=True)))
    return found


def amounts(one: RequestRow) -> list[int]:
    is_call = one.kind != "tool"
    tokens = [getattr(one, name) or 0 if is_call else 0 for name in MEASURES[3:10]]
    cost = one.cost_nano_usd if is_call else None
    return [
        1, int(cost is not None), cost or 0, *tokens, one.duration_ms or 0, int(one.duration_ms is not None),
        one.time_to_first_token_ms or 0, int(one.time_to_first_token_ms is not None),
        *(saved(one) if is_call else (0, 0, 0, 0)),
    ]  # fmt: skip


def saved(one: RequestRow) -> tuple[int, int, int, int]:
    told = one.usage_parts if one.cached and one.usage_parts else {}
    return (
        told.get("saved_nano_usd") or 0, int("saved_nano_usd" in told), told.get("saved_ms") or 0,
        (told.get("saved_input_tokens") or 0) + (told.get("saved_output_tokens") or 0),
    )  # fmt: skip


def facet_amounts(one: RequestRow) -> list[int]:
    return [
        1, int(not 200 <= one.status < 400), int(one.cost_nano_usd is not None), one.cost_nano_usd or 0,
        one.input_tokens or 0, one.output_tokens or 0, one.duration_ms or 0, int(one.duration_ms is not None),
        one.cache_read_tokens or 0, one.cache_write_tokens or 0, one.reasoning_tokens or 0,
        one.input_audio_tokens or 0, one.output_audio_tokens or 0, int(one.cached), one.time_to_first_token_ms or 0,
        int(one.time_to_first_token_ms is not None), *saved(one),
    ]  # fmt: skip


def facets(one: RequestRow) -> list[tuple[str, str]]:
    told = {
        "user": one.end_user_id, "key": one.api_key_id, "prompt": one.prompt_id, "country": one.country_code,
        "session": one.session_name,
    }  # fmt: skip
    found = [("all", ""), *((dim, str(val)) for dim, val in told.items() if val)]
    for key, value in one.properties.items():
        found += [("p", key), (f"p:{key}", value)]
    return found
