"""A call's request, reply and headers as one text, to be packed as one zstd frame: what they share is packed once.

    length of the request (3 bytes, big-endian) · length of the reply (3 bytes) · request · reply · headers
"""

from __future__ import annotations

from lib import zstd

LONGEST = zstd.LONGEST_WITH_DICTIONARY
"""Bytes of all three; what is longer is packed part by part, so nobody who wants one side unpacks megabytes of the
other."""
_LENGTH = 3

Parts = tuple[bytes, bytes, bytes]
"""Request, reply, headers; empty where there is none."""


def join(parts: Parts) -> bytes | None:
    """None where there is nothing to pack, or too much."""
    request, reply, headers = parts
    if not 0 < len(request) + len(reply) + len(headers) <= LONGEST:
        return None
    return b"".join((len(request).to_bytes(_LENGTH), len(reply).to_bytes(_LENGTH), request, reply, headers))


def split(joined: bytes) -> Parts:
    start = 2 * _LENGTH
    middle = start + int.from_bytes(joined[:_LENGTH])
    end = middle + int.from_bytes(joined[_LENGTH:start])
    return joined[start:middle], joined[middle:end], joined[end:]
