"""Which headers go where: on to the provider, back to the client, into the record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from gateway_app.connection import Headers
from ingest_app import directives

HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te",
     b"trailer", b"transfer-encoding", b"upgrade"}
)  # fmt: skip
OF_THIS_HOP = frozenset(
    {b"host", b"content-length", b"expect", b"accept-encoding", b"forwarded", b"via", b"x-real-ip", b"x-forwarded-for",
     b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto", b"aws-access-key", b"aws-secret-key",
     b"aws-session-token", b"aws-region"}
)  # fmt: skip
"""Set anew, or nobody's business further on. Accept-Encoding too: see `identity` below."""
WEB_BELIEVES = (b"x-forwarded-", b"forwarded")
"""Beginnings of what `web` takes for our own word. So is a name with an underscore: `SCRIPT_NAME` would move every link
a page or a mail makes."""
OURS = (b"helicone-", b"x-helicone-", b"__helicone-")
OUR_COOKIES = ("helicone_session", "csrftoken")
ACCEPT_IDENTITY = b"accept-encoding: identity\r\n"
"""A compressed stream comes in lumps and cannot be read on its way past; every client takes plain bytes."""

SECRET_NAMES = frozenset(
    {"authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "set-cookie", "helicone-auth", "helicone-jwt",
     "proxy-authorization", "x-amz-security-token", "aws-access-key", "aws-secret-key", "aws-session-token"}
)  # fmt: skip
SECRET_ENDINGS = ("-key", "-token", "-secret", "-jwt", "-password", "-signature", "-credential",
                  "authorization", "cookie")  # fmt: skip
NO_SECRETS = frozenset({"idempotency-key", "x-idempotency-key"})


@lru_cache(maxsize=4096)
def name_of(raw: bytes) -> str:
    """A header's name, lower-case."""
    return raw.decode("latin-1").lower()


@lru_cache(maxsize=4096)
def is_secret(name: str) -> bool:
    if name in NO_SECRETS:
        return False
    return name in SECRET_NAMES or name.endswith(SECRET_ENDINGS) or directives.is_credential(name)


@lru_cache(maxsize=4096)
def _stays_here(name: bytes) -> bool:
    """Of a lower-case request header's name: whether it ends at the gateway."""
    return name in HOP_BY_HOP or name in OF_THIS_HOP or name.startswith(OURS)


@lru_cache(maxsize=4096)
def _ends_at_us(name: bytes) -> bool:
    """The same of an answer's header."""
    return name.lower() in HOP_BY_HOP or name.lower().startswith(b"helicone-")


def read(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Lower-case names and their values; UTF-8 where it is that. Of a repeated one, joined by commas; but what comes
    twice the same, as where a library and a proxy both set it, is one."""
    found: dict[str, str] = {}
    for raw, value in headers:
        name = name_of(raw)
        text = _text(value)
        before = found.get(name, text)
        found[name] = text if before == text else f"{before}, {text}"
    return found


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def recorded(headers: Mapping[str, str]) -> dict[str, str]:
    """What a row keeps of headers: everything but credentials."""
    return {
        name: value for name, value in headers.items()
        if not is_secret(name) and not directives.tells_credentials(name, value)
    }  # fmt: skip


def printable(text: str, *, most: int = 500) -> str:
    """A text of a stranger's as it may stand in a header of ours: what is no printable ASCII as `?`, `most` letters."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text[:most])


class Framing(NamedTuple):
    """How long a request's body is: known in bytes, or told chunk by chunk, or there is none."""

    length: int | None = None
    is_chunked: bool = False


def request_head(
    method: str, path: str, *, host: str, headers: Iterable[tuple[bytes, bytes]],
    credentials: Mapping[str, str | None] | None, framing: Framing,
) -> bytes:
    """The head of a request to a provider; `credentials` replaces or drops headers (lower-case names)."""
    changed = credentials or {}
    named = _named_by_connection(headers)
    lines = [f"{method} {path} HTTP/1.1\r\nhost: {host}\r\n".encode("latin-1"), ACCEPT_IDENTITY]
    for name, value in headers:
        if _stays_here(name) or name in named:
            continue
        if changed and name_of(name) in changed:
            continue
        lines.append(b"%b: %b\r\n" % (name, _without_our_cookies(value) if name == b"cookie" else value))
    lines += [f"{name}: {value}\r\n".encode() for name, value in changed.items() if value is not None]
    lines.append(_framing_line(framing))
    return b"".join(lines)


def passed_head(
    method: str, path: str, *, headers: Iterable[tuple[bytes, bytes]], framing: Framing, forwarded: Headers
) -> bytes:
    """The head of a request handed to `web`: as it came, but for this hop's own headers."""
    lines = [f"{method} {path} HTTP/1.1\r\n".encode("latin-1")]
    passed = [(name, value) for name, value in headers if not _is_for_us_to_say(name)]
    lines += [b"%b: %b\r\n" % line for line in (*passed, *forwarded)]
    lines.append(_framing_line(framing))
    return b"".join(lines)


def _is_for_us_to_say(name: bytes) -> bool:
    is_of_this_hop = name in HOP_BY_HOP or name in (b"content-length", b"expect")
    return is_of_this_hop or b"_" in name or name.startswith(WEB_BELIEVES)


def _framing_line(framing: Framing) -> bytes:
    """The last header and the empty line."""
    if framing.is_chunked:
        return b"transfer-encoding: chunked\r\n\r\n"
    if framing.length is not None:
        return b"content-length: %d\r\n\r\n" % framing.length
    return b"\r\n"


def _named_by_connection(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Headers that `Connection` declares to be of this hop."""
    for name, value in headers:
        if name == b"connection" and value.lower() not in (b"keep-alive", b"close"):
            return frozenset(token.strip().lower() for token in value.split(b","))
    return frozenset()


def _without_our_cookies(value: bytes) -> bytes:
    kept = [part for part in value.split(b";") if part.split(b"=")[0].strip().decode("latin-1") not in OUR_COOKIES]
    return b";".join(kept).strip()


def answer_headers(headers: Headers, *, has_body: bool) -> Headers:
    """An answer's headers for the client: all but this hop's, and none that would touch our own pages' cookies."""
    return [
        (name, value)
        for name, value in headers
        if not _ends_at_us(name)
        and not _sets_our_cookie(name, value)
        and (has_body or name.lower() != b"content-length")
    ]


def passed_answer_headers(headers: Headers, *, has_body: bool) -> Headers:
    """The headers of an answer `web` gave: all but this hop's."""
    return [
        (name, value)
        for name, value in headers
        if name.lower() not in HOP_BY_HOP and (has_body or name.lower() != b"content-length")
    ]


def _sets_our_cookie(name: bytes, value: bytes) -> bool:
    """Also one without a name: browsers send `=csrftoken=x` back as `csrftoken=x`."""
    if name.lower() != b"set-cookie":
        return False
    pair = value.split(b";")[0].strip().lstrip(b"=")
    return pair.split(b"=")[0].strip().decode("latin-1") in OUR_COOKIES
