"""Late facts from pages and the REST API: this process's own writer to the spool, opened when first needed."""

from __future__ import annotations

import functools

from django.conf import settings

from ingest_app.spool import Record, Writer

DURABLE_SECONDS = 10.0


@functools.cache
def _writer() -> Writer:
    return Writer(
        settings.SPOOL_DIR, max_bytes=settings.SPOOL_MAX_BYTES, min_free_bytes=settings.SPOOL_MIN_FREE_BYTES
    )


def send(record: Record) -> None:
    """Durable when it returns. Raises SpoolUnavailable or TimeoutError: nothing was kept."""
    _writer().put(record).result(DURABLE_SECONDS)
