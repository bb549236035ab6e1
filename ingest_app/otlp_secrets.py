"""Credentials an SDK wrote into a span, taken out before it is kept.

Tracing SDKs put request headers and the arguments of a client into attributes (`gen_ai.headers`, `extra_headers` in
`llm.invocation_parameters`, `http.request.header.authorization`), often as JSON or Python packed into text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

REDACTED: Final = b"[redacted]"
_NAMES: Final = (
    b"authorization", b"cookie", b"api-key", b"api_key", b"apikey", b"helicone-auth", b"access_token", b"refresh_token",
    b"id_token", b"auth_token", b"client_secret", b"secret_access_key", b"secret_key", b"security-token",
    b"session_token", b"private_key",
)  # fmt: skip
"""How a name ends that holds a credential."""
_ENDS: Final = (b"authorization", b"cookie", b"key", b"-auth", b"token", b"secret")
"""How each of them ends: few to look for."""
_VALUE: Final = re.compile(
    rb"""(?P<packed>\\{0,63}["'])\s{0,64}:\s{0,64}(?:\[\s{0,64})?(?P=packed)(?P<value>[^"'\\]+)"""
)
"""What follows such a name: the end of its quotes, however often packed into text, and a text in the same quotes."""
_URL_KEYS: Final = (b"url.full", b"url.query", b"http.url", b"http.target")
_URL: Final = re.compile(rb'":"[^"]+')
_IN_URL: Final = re.compile(
    rb"""(?i)([?&](?:key|api[-_]?key|access_token|token|sig|signature|x-amz-signature|x-amz-security-token)=)[^&"'\\\s#]+"""
)


def without_secrets(document: bytes) -> bytes:
    """The JSON of a span with `[redacted]` where credentials stood. Prompts lose what looks like a named one, too."""
    places = sorted({place for place in (*_named(document), *_in_urls(document)) if place[0] < place[1]})
    if not places:
        return document
    pieces, at = [], 0
    for start, end in places:
        pieces += [document[at:start], REDACTED] if start >= at else []
        at = max(at, end)
    return b"".join((*pieces, document[at:]))


def _named(document: bytes) -> Iterator[tuple[int, int]]:
    """Where the values of names stand that hold credentials."""
    lowered = document.lower()
    for end in _ENDS:
        at = lowered.find(end)
        while at >= 0:
            after = at + len(end)
            if lowered.endswith(_NAMES, 0, after) and (found := _VALUE.match(document, after)):
                yield found.span("value")
            at = lowered.find(end, after)


def _in_urls(document: bytes) -> Iterator[tuple[int, int]]:
    for key in _URL_KEYS:
        at = document.find(key)
        while at >= 0:
            after = at + len(key)
            if url := _URL.match(document, after):
                yield from ((found.end(1), found.end()) for found in _IN_URL.finditer(document, *url.span()))
            at = document.find(key, after)
