"""What of the ground has no cost, and what of a usage no rule knows: answered from two partial indexes.

The conditions must say what the indexes' own do (migration 0005), word for word, or Postgres reads the whole ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from requests_app.queries import reader

TIMEOUT_MS = 10_000
MOST_GROUPS = 500

_UNPRICED = (
    "{r}.organization_id = %(org)s AND {r}.cost_nano_usd IS NULL "
    "AND {r}.cost_reason IN ('no_price', 'no_usage', 'no_model') AND octet_length({r}.provider) <= 300"
)
_WITHIN = _UNPRICED.format(r="r") + " AND r.requested_at >= %(since)s"


@dataclass(frozen=True, slots=True)
class Group:
    """Requests of one model at one provider that have no cost for one reason."""

    reason: str
    provider: str
    model: str
    is_stream: bool
    requests: int
    input_tokens: int | None
    output_tokens: int | None
    first_at: datetime
    last_at: datetime
    example: UUID | None


_EXAMPLE = f"""
    SELECT e.id FROM llm_request e WHERE {_UNPRICED.format(r="e")} AND e.cost_reason = g.cost_reason
    AND e.provider = g.provider AND e.requested_at = g.last_at AND e.model"""  # noqa: S608 (names of ours)
_GROUPS = f"""
WITH g AS (
    SELECT r.cost_reason, r.provider, r.model, r.is_stream AND r.cost_reason = 'no_usage' AS streamed,
        count(*) AS requests, sum(r.input_tokens)::bigint AS input_tokens,
        sum(r.output_tokens)::bigint AS output_tokens, min(r.requested_at) AS first_at, max(r.requested_at) AS last_at
    FROM llm_request r WHERE {_WITHIN} GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC LIMIT %(most)s)
SELECT cost_reason, provider, coalesce(model, ''), streamed, requests, input_tokens, output_tokens, first_at, last_at,
    coalesce(({_EXAMPLE} = g.model LIMIT 1), ({_EXAMPLE} IS NULL LIMIT 1))
FROM g ORDER BY g.requests DESC, g.provider, g.model"""  # noqa: S608
"""An example is looked up by all columns of the index: of each group one entry is read, however large it is."""


def groups(organization_id: int, since: datetime) -> list[Group]:
    """The largest first, at most MOST_GROUPS. Raises TooSlow."""
    with reader(TIMEOUT_MS) as cursor:
        cursor.execute(_GROUPS, {"org": organization_id, "since": since, "most": MOST_GROUPS})
        return [Group(*row) for row in cursor.fetchall()]


_KEYS = f"""
SELECT r.provider, coalesce(r.model, ''), r.api_key_id, count(*) FROM llm_request r
WHERE {_WITHIN} AND r.cost_reason = 'no_usage' AND r.is_stream GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT %(most)s"""  # noqa: S608


def keys_of_silent_streams(organization_id: int, since: datetime) -> Sequence[tuple[str, str, int | None, int]]:
    """(provider, model, id of the API key, requests), the most first. Raises TooSlow."""
    with reader(TIMEOUT_MS) as cursor:
        cursor.execute(_KEYS, {"org": organization_id, "since": since, "most": MOST_GROUPS})
        return [(provider, model, key, count) for provider, model, key, count in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class UnknownKey:
    """A number in a provider's usage that no rule knows."""

    provider: str
    key: str
    requests: int
    first_at: datetime
    last_at: datetime
    example: UUID


_CODE = "usage_key_unknown"
_UNKNOWN = f"""
SELECT r.provider, ltrim(substr(p.text, {len(_CODE) + 2})), count(*), min(r.requested_at), max(r.requested_at),
    (array_agg(r.id ORDER BY r.requested_at DESC))[1]
FROM llm_request r, unnest(r.problems) AS p (text)
WHERE r.organization_id = %(org)s AND r.requested_at >= %(since)s AND r.problems <> '{{}}'
    AND has_problem(r.problems, '{_CODE}') AND starts_with(p.text, '{_CODE}')
GROUP BY 1, 2 ORDER BY 3 DESC LIMIT %(most)s"""  # noqa: S608


def unknown_usage_keys(organization_id: int, since: datetime) -> list[UnknownKey]:
    """The most frequent first. Raises TooSlow."""
    with reader(TIMEOUT_MS) as cursor:
        cursor.execute(_UNKNOWN, {"org": organization_id, "since": since, "most": MOST_GROUPS})
        return [UnknownKey(*row) for row in cursor.fetchall()]
