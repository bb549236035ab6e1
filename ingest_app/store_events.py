"""Events that wait to be sent: written in the transaction of their row, each once."""

from __future__ import annotations

from collections.abc import Iterable

from llm.exchange import Exchange
from requests_app.rows import Change
from requests_app.store import Db

_KEEP = """
INSERT INTO pending_event (organization_id, request_id, host, sealed, tries, due_at)
SELECT o, i, h, s, 0, now() FROM unnest(%b::bigint[], %b::uuid[], %b::text[], %b::text[]) AS w (o, i, h, s)
ON CONFLICT DO NOTHING
"""


def keep(connection: Db, batch: Iterable[Exchange], changes: Iterable[Change]) -> None:
    """Those of the batch's exchanges whose rows are new."""
    wanted = {exchange.id: exchange.forward for exchange in batch if exchange.forward is not None}
    if not wanted:
        return
    new = [change.after for change in changes if change.before is None and change.after is not None]
    rows = [(row.organization_id, row.id, wanted[row.id]) for row in new if row.id in wanted]
    connection.execute(_KEEP, (
        [row[0] for row in rows], [row[1] for row in rows], [row[2].host for row in rows],
        [row[2].sealed for row in rows],
    ))
