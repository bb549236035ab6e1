"""Leave to upload the two bodies of one call: a token of ours, in place of an S3 URL's signature.

It names the organisation and the call, ends after a while, and is worth nothing for another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import orjson

PATH: Final = "/v1/router/control-plane/bodies"
LASTS: Final = timedelta(minutes=15)
_PURPOSE: Final = b"helicone upload of bodies"


class Leave(NamedTuple):
    """To upload the bodies of the call `request_id`, which its client has named so."""

    organization_id: int
    request_id: UUID
    until: datetime


def token(leave: Leave, secret: str) -> str:
    said = orjson.dumps([leave.organization_id, str(leave.request_id), int(leave.until.timestamp())])
    return f"{_text(said)}.{_text(_signature(said, secret))}"


def read(token: str, secret: str, *, now: datetime) -> Leave | None:
    """The leave; None for a token that is not ours, was changed, or has ended."""
    packed, _, signature = token.partition(".")
    try:
        said, signed = _bytes(packed), _bytes(signature)
    except (binascii.Error, ValueError):
        return None
    if not hmac.compare_digest(signed, _signature(said, secret)):
        return None
    organization_id, request_id, until = orjson.loads(said)
    if now.timestamp() > until:
        return None
    return Leave(organization_id, UUID(request_id), datetime.fromtimestamp(until, now.tzinfo))


def _signature(said: bytes, secret: str) -> bytes:
    key = hashlib.sha256(_PURPOSE + b"\0" + secret.encode()).digest()
    return hmac.digest(key, said, "sha256")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
