"""Whether the Postgres and the Redis we are told of can carry the product.

Unfit                  a sentence for the operator
"""

from __future__ import annotations

import importlib
import time

from django.conf import settings
from django.db import OperationalError, connection

from helicone_site.embedded import OLDEST_POSTGRES
from lib import env

OLDEST_REDIS = 7
PATIENCE_SECONDS = 60.0
"""A database of the same compose file may still be starting."""


class Unfit(Exception):
    """A server is away, or too old."""


def verify(patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Waits for both servers and looks at their versions. Raises Unfit."""
    until = time.monotonic() + patience_seconds
    _verify_postgres(until)
    if env.text("REDIS_URL"):
        _verify_redis(until)


def _verify_postgres(until: float) -> None:
    while True:
        try:
            connection.ensure_connection()
            break
        except OperationalError as error:
            if time.monotonic() > until:
                raise Unfit(f"Postgres does not answer (DATABASE_URL): {error}") from error
            time.sleep(0.5)
    version = connection.connection.info.server_version
    if version // 10_000 < OLDEST_POSTGRES:
        raise Unfit(
            f"The Postgres of DATABASE_URL is version {version // 10_000}; {OLDEST_POSTGRES} or later is needed."
        )


def _verify_redis(until: float) -> None:
    redis = importlib.import_module("redis")  # a quarter of a second; the embedded one is known to be right
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        while True:
            try:
                version = str(client.info("server")["redis_version"])
                break
            except redis.RedisError as error:
                if time.monotonic() > until:
                    raise Unfit(f"Redis does not answer (REDIS_URL): {error}") from error
                time.sleep(0.5)
    if int(version.split(".")[0]) < OLDEST_REDIS:
        raise Unfit(f"The Redis of REDIS_URL is version {version}; {OLDEST_REDIS} or later is needed, or any Valkey.")
