"""Compressed bodies from strangers: as much as is allowed, and no bomb.

InflateError
 ├─ UnknownCoding    a content-encoding we do not undo
 ├─ Broken           not what the encoding says
 └─ TooLarge         grows beyond the limit
"""

from __future__ import annotations

import zlib


class InflateError(ValueError):
    """The body cannot be unpacked."""


class UnknownCoding(InflateError):
    pass


class Broken(InflateError):
    pass


class TooLarge(InflateError):
    pass


MAX_CODINGS = 3
MAX_MEMBERS = 64
"""What follows a member is copied for each of them: a body of nothing but members would take hours."""
_GZIP, _ZLIB, _RAW = 31, 15, -15


def inflate(data: bytes, encoding: str, *, limit: int) -> bytes:
    """`data` without its content codings, at no stage longer than `limit` bytes. Raises InflateError."""
    codings = [coding for part in encoding.split(",") if (coding := part.strip().lower()) not in ("", "identity")]
    if len(codings) > MAX_CODINGS:
        raise UnknownCoding(encoding)
    for coding in reversed(codings):
        data = _undo(data, coding, limit)
    return data


def _undo(data: bytes, coding: str, limit: int) -> bytes:
    if coding in ("gzip", "x-gzip"):
        return _members(data, limit)
    if coding == "deflate":
        is_wrapped = len(data) > 1 and data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
        return _stream(data, _ZLIB if is_wrapped else _RAW, limit)[0]
    raise UnknownCoding(coding)


def _members(data: bytes, limit: int) -> bytes:
    """A gzip file is one member after the other."""
    out = b""
    for _ in range(MAX_MEMBERS):
        member, data = _stream(data, _GZIP, limit - len(out))
        out += member
        if not data.startswith(b"\x1f\x8b"):
            return out
    raise Broken(f"it has more than {MAX_MEMBERS} members")


def _stream(data: bytes, window: int, limit: int) -> tuple[bytes, bytes]:
    """What was packed, and what follows it."""
    inflater = zlib.decompressobj(window)
    try:
        out = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise Broken(str(error)) from error
    if len(out) > limit:
        raise TooLarge
    if not inflater.eof:
        raise Broken("it ends too early")
    return out, inflater.unused_data
