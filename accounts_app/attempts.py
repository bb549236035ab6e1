"""How often somebody may try: per subject (an e-mail address from one place), in a window that starts anew.

Without Redis nobody is locked out: the count is a brake, not the lock.
"""

from __future__ import annotations

import hashlib
import logging

import redis
from django.core.cache import cache
from django.http import HttpRequest

logger = logging.getLogger("accounts")

MOST = 10
WINDOW_SECONDS = 15 * 60


def address(request: HttpRequest) -> str:
    """Where the request comes from; behind `edge` (a unix socket) it is what `edge` put last."""
    if remote := request.META.get("REMOTE_ADDR"):
        return str(remote)
    return request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()


def _key(action: str, *subject: str) -> str:
    return f"attempts:{action}:" + hashlib.sha256("\n".join(subject).lower().encode()).hexdigest()


def are_too_many(action: str, *subject: str) -> bool:
    try:
        return int(cache.get(_key(action, *subject), 0)) >= MOST
    except redis.RedisError as error:
        logger.warning("attempts not counted error=%s", error)
        return False


def count(action: str, *subject: str) -> None:
    key = _key(action, *subject)
    try:
        cache.add(key, 0, WINDOW_SECONDS)
        cache.incr(key)
    except (redis.RedisError, ValueError) as error:
        logger.warning("attempts not counted error=%s", error)


def forget(action: str, *subject: str) -> None:
    try:
        cache.delete(_key(action, *subject))
    except redis.RedisError as error:
        logger.warning("attempts not counted error=%s", error)
