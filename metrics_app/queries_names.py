"""What is listed by name: the values of a dimension there are, and when a user was there.

TooSlow        of the requests room: the statement took longer than it may
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from metrics_app import calendar, sql
from metrics_app.catalog import Value
from metrics_app.rollup_statements import DAY
from requests_app.filters import escaped
from requests_app.queries import reader


def names(organization_id: int, dim: str, *, term: str = "", limit: int) -> list[str]:
    """Values of a facet that hold the term, the commonest first; of `p` the keys of properties."""
    with reader() as cursor:
        cursor.execute(sql.VALUES, [organization_id, dim, organization_id, dim, f"%{escaped(term)}%", limit])
        return [value for (value,) in cursor.fetchall()]


def has_any(organization_id: int, dim: str) -> bool:
    """Whether a facet has any value."""
    with reader() as cursor:
        cursor.execute(sql.HAS_VALUES, [organization_id, dim, organization_id, dim])
        return bool((cursor.fetchone() or (False,))[0])


Seen = tuple[datetime | None, datetime | None]


def seen(organization_id: int, users: Sequence[tuple[Value, Seen]]) -> list[Seen]:
    """When users were first and last seen, to the microsecond where an answer by day has only told the days."""
    found = [times for _, times in users]
    for absent in (False, True):
        asked = [
            (place, str(user or ""), low, high) for place, (user, (low, high)) in enumerate(users)
            if (user is None) is absent and low and high and {low, high} & {_day(low), _day(high)}
        ]  # fmt: skip
        if not asked:
            continue
        clause = sql.edges_of_users(organization_id, [(n, _day(low), _day(high)) for _, n, low, high in asked],
                                    absent=absent)  # fmt: skip
        with reader() as cursor:
            cursor.execute(clause.sql, clause.values)
            for (place, _, low, high), (first, last) in zip(asked, cursor.fetchall(), strict=True):
                found[place] = (first or low, last or high)
    return found


def _day(moment: datetime) -> datetime:
    return calendar.floor(moment, DAY.width)
