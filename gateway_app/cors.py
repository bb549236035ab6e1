"""Browsers may call too: what speaks here is a key a page sends itself, never a cookie the browser adds.

Only where keys are required: without, any page could call through a server it can reach and its visitor did not open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway_app.connection import Headers

_OURS: Final = (b"access-control-allow-origin", b"access-control-allow-credentials", b"access-control-expose-headers")
_GRANTED: Final[Headers] = [
    (b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", b"*"), (b"vary", b"origin"),
]  # fmt: skip
_METHODS: Final = b"GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a browser only asks if it may call."""
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def preflight_headers(headers: Mapping[str, str]) -> Headers:
    """Yes to whatever it wants to send."""
    wanted = headers.get("access-control-request-headers", "*")
    return [
        *_GRANTED, (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", wanted.encode("latin-1", "replace")),
        (b"access-control-max-age", b"7200"), (b"content-length", b"0"),
    ]  # fmt: skip


def granted(answered: Headers) -> Headers:
    """An answer's headers with which any page may read it; what the provider says of that is replaced."""
    return [*(line for line in answered if line[0].lower() not in _OURS), *_GRANTED]
