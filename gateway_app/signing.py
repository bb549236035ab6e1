"""AWS Signature Version 4: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

ALGORITHM: Final = "AWS4-HMAC-SHA256"
_NOT_SIGNED: Final = frozenset({"user-agent", "x-amzn-trace-id", "authorization", "x-amz-date", "x-amz-security-token"})


class Keys(NamedTuple):
    """Credentials of an AWS account. Never logged, never kept."""

    access: str
    secret: str
    session_token: str = ""

    def __repr__(self) -> str:
        return "Keys(…)"


class Scope(NamedTuple):
    """What a signature is good for."""

    region: str
    service: str

    def of_day(self, day: str) -> str:
        return f"{day}/{self.region}/{self.service}/aws4_request"


class Request(NamedTuple):
    """A request as it goes out. `path` as on the wire: percent-encoded once, without query."""

    method: str
    host: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = {}
    """Lower-case names; those of AWS's own and the content type are signed."""
    body: bytes = b""


def sign(request: Request, keys: Keys, scope: Scope, *, at: datetime) -> dict[str, str]:
    """The headers that sign the request (lower-case names). `at` in UTC."""
    moment = at.strftime("%Y%m%dT%H%M%SZ")
    added = {"x-amz-date": moment}
    if keys.session_token:
        added["x-amz-security-token"] = keys.session_token
    signed = {"host": request.host, **_signed_of(request.headers), **added}
    names = ";".join(sorted(signed))
    full_scope = scope.of_day(moment[:8])
    digest = hashlib.sha256(_canonical(request, signed, names).encode()).hexdigest()
    text = "\n".join((ALGORITHM, moment, full_scope, digest))
    signature = hmac.new(_key(keys.secret, moment[:8], scope), text.encode(), hashlib.sha256).hexdigest()
    credential = f"Credential={keys.access}/{full_scope}"
    return {"authorization": f"{ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}", **added}


def _signed_of(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value for name, value in headers.items()
        if (name == "content-type" or name.startswith("x-amz")) and name not in _NOT_SIGNED
    }  # fmt: skip


def _canonical(request: Request, signed: Mapping[str, str], names: str) -> str:
    lines = [f"{name}:{' '.join(signed[name].split())}" for name in sorted(signed)]
    payload = hashlib.sha256(request.body).hexdigest()
    return "\n".join((request.method, _path(request.path), _query(request.query), *lines, "", names, payload))


def _path(path: str) -> str:
    """Encoded a second time, as every service but S3 wants it, dots and empty segments resolved."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    whole = "/" + "/".join(kept)
    return quote(whole + "/" if path.endswith("/") and kept else whole, safe="/-_.~")


def _query(query: str) -> str:
    pairs = [part.partition("=")[::2] for part in query.split("&") if part]
    encoded = [(quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~")) for name, value in pairs]
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


def _key(secret: str, day: str, scope: Scope) -> bytes:
    """The key of one day, region and service."""
    key = f"AWS4{secret}".encode()
    for part in (day, scope.region, scope.service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def scope_of(authorization: str) -> tuple[str, str] | None:
    """(region, service) a signed request says it is for; None for one that is not signed so."""
    if not authorization.startswith(ALGORITHM):
        return None
    credential = authorization.partition("Credential=")[2].partition(",")[0].strip()
    parts = credential.split("/")
    return (parts[2], parts[3]) if len(parts) == 5 else None
