"""Whether the counts agree with the requests behind them: the health check of counting."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import tuple_row

from lib.clock import now
from llm.exchange import MODEL_KINDS
from metrics_app import fold, rebuild
from metrics_app.rollup import FACET_MEASURES, MEASURES, Db
from metrics_app.rollup_statements import TIERS


@dataclass(frozen=True, slots=True)
class Difference:
    """A measure whose count is not what the requests come to. `surface`: minute, hour, day, all or user."""

    surface: str
    measure: str
    counted: int
    ground: int


_TOKENS = MEASURES[3:10]
_PART = "(usage_parts ->> 'saved_{}')::bigint"
_SAVED = (
    f"sum({_PART.format('nano_usd')})", f"count({_PART.format('nano_usd')})", f"sum({_PART.format('ms')})",
    f"sum(coalesce({_PART.format('input_tokens')}, 0) + coalesce({_PART.format('output_tokens')}, 0))",
)  # fmt: skip
_GROUND = f"""
SELECT count(*), count(cost_nano_usd) FILTER (WHERE is_call), sum(cost_nano_usd) FILTER (WHERE is_call),
    {", ".join(f"sum({name}) FILTER (WHERE is_call)" for name in _TOKENS)},
    sum(duration_ms), count(duration_ms), sum(time_to_first_token_ms), count(time_to_first_token_ms),
    {", ".join(f"{one} FILTER (WHERE is_call AND cached)" for one in _SAVED)}
FROM (SELECT *, kind = ANY (%(kinds)s) AS is_call FROM llm_request
    WHERE organization_id = %(organization)s AND requested_at >= %(since)s AND requested_at < %(until)s
    AND kind <> 'attempt') r"""  # noqa: S608
_WINDOW = "organization_id = %(organization)s AND {time} >= %(since)s AND {time} < %(until)s"


def _counted(table: str) -> str:
    names = ", ".join(MEASURES)
    return (
        f"SELECT {', '.join(f'sum({name})' for name in MEASURES)} FROM ("  # noqa: S608 (names of ours)
        f"SELECT {names} FROM {table} WHERE {_WINDOW.format(time='bucket')} "
        f"UNION ALL SELECT {names} FROM usage_delta WHERE {_WINDOW.format(time='minute')}) q"
    )


_FACET_GROUND = f"""
SELECT count(*), count(*) FILTER (WHERE status NOT BETWEEN 200 AND 399), count(cost_nano_usd), sum(cost_nano_usd),
    sum(input_tokens), sum(output_tokens), sum(duration_ms), count(duration_ms), sum(cache_read_tokens),
    sum(cache_write_tokens), sum(reasoning_tokens), sum(input_audio_tokens), sum(output_audio_tokens),
    count(*) FILTER (WHERE cached), sum(time_to_first_token_ms), count(time_to_first_token_ms),
    {", ".join(f"{one} FILTER (WHERE cached)" for one in _SAVED)}
FROM llm_request WHERE organization_id = %(organization)s AND requested_at >= %(since)s AND requested_at < %(until)s
    AND kind = ANY (%(kinds)s)"""  # noqa: S608 (names of ours)
_FACET_DAYS = "organization_id = %(organization)s AND day >= %(first)s AND day < %(end)s"


def _faceted(dim: str) -> str:
    names = ", ".join(FACET_MEASURES)
    arrays = ", ".join(f"d.{name}" for name in FACET_MEASURES)
    return (
        f"SELECT {', '.join(f'sum({name})' for name in FACET_MEASURES)} FROM ("  # noqa: S608 (names of ours)
        f"SELECT {names} FROM facet_day WHERE {_FACET_DAYS} AND dim = '{dim}' "
        f"UNION ALL SELECT {', '.join(f'u.{name}' for name in FACET_MEASURES)} FROM facet_delta d, "
        f"unnest(d.dims, {arrays}) AS u (dim, {names}) WHERE {_FACET_DAYS} AND u.dim = '{dim}') q"
    )


def differences(connection: Db, organization_id: int, *, since: datetime, until: datetime) -> list[Difference]:
    """Where tier + delta is not the ground, over whole UTC days; empty is healthy. `since` is moved up to what
    retention has left. Each surface is read together with the ground in one statement."""
    kept = rebuild.ground_from(connection, organization_id)
    since = max(since, _next_midnight(kept)) if kept else since
    if since >= until:
        return []
    values = {
        "organization": organization_id, "since": since, "until": until, "kinds": sorted(MODEL_KINDS),
        "first": since.date(), "end": until.date(),
    }  # fmt: skip
    tiers = [tier for tier in TIERS if since >= fold.oldest(tier, at=now())]
    questions: list[tuple[str, str, str, tuple[str, ...]]] = [
        *[(tier.name, _counted(tier.table), _GROUND, MEASURES) for tier in tiers],
        ("all", _faceted("all"), _FACET_GROUND, FACET_MEASURES),
        ("user", _faceted("user"), f"{_FACET_GROUND} AND end_user_id <> ''", FACET_MEASURES),
    ]
    found: list[Difference] = []
    with connection.cursor(row_factory=tuple_row) as cursor:
        for surface, counted, ground, measures in questions:
            rows = cursor.execute(f"SELECT c.*, g.* FROM ({counted}) c, ({ground}) g", values).fetchall()  # noqa: S608
            sums = [int(value or 0) for value in rows[0]]
            pairs = zip(measures, sums[: len(measures)], sums[len(measures) :], strict=True)
            found += [Difference(surface, name, one, other) for name, one, other in pairs if one != other]
    return found


def _next_midnight(moment: datetime) -> datetime:
    """The moment itself where it is one."""
    floor = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return floor if floor == moment else floor + (TIERS[-1].width)
