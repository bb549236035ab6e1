"""Access tokens of Google for stored service accounts: asked for once an hour, kept in memory and nowhere else.

    account ─▶ a claim signed with its key (RFC 7523) ─▶ Google's token endpoint ─▶ a token, till shortly before its end

    TokenRefused    no token was given: what Google said of it
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

import orjson
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from accounts_app.service_account import TOKEN_URI, BadAccount, ServiceAccount
from gateway_app import asking
from gateway_app.asking import Reply
from gateway_app.errors import GatewayError, TokenRefused
from gateway_app.targets import read_target
from gateway_app.upstream import Pool
from llm import loose

log = logging.getLogger("gateway")

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
FORM: Final = {"content-type": "application/x-www-form-urlencoded"}
CLAIMED_SECONDS: Final = 3_600
AHEAD_SECONDS: Final = 120.0
"""A token is no longer used so long before it ends: calls take their time."""
REFUSED_SECONDS: Final = 5.0
"""So long a refusal is believed, so that a wrong key asks Google now and then and not with each call."""
PATIENCE_SECONDS: Final = 10.0
MOST: Final = 1_000


class _Kept(NamedTuple):
    until: float
    token: str
    refusal: str


@dataclass(slots=True)
class Tokens:
    """One a process."""

    pool: Pool
    url: str = TOKEN_URI
    clock: Callable[[], float] = time.monotonic
    _kept: dict[bytes, _Kept] = field(default_factory=dict, repr=False)
    _asking: dict[bytes, asyncio.Task[_Kept]] = field(default_factory=dict, repr=False)

    async def bearer(self, account: ServiceAccount) -> str:
        """Those who ask at the same time wait for one answer. Raises TokenRefused."""
        name = hashlib.sha256(account.text().encode()).digest()
        kept = self._kept.get(name)
        if kept is None or self.clock() >= kept.until:
            task = self._asking.get(name)
            if task is None:
                task = self._asking[name] = asyncio.create_task(self._ask(name, account))
                task.add_done_callback(lambda _: self._asking.pop(name, None))
            kept = await asyncio.shield(task)
        if kept.refusal:
            raise TokenRefused(kept.refusal)
        return kept.token

    async def _ask(self, name: bytes, account: ServiceAccount) -> _Kept:
        try:
            kept = await self._exchanged(account)
        except (GatewayError, BadAccount) as error:
            said = error.message if isinstance(error, GatewayError) else str(error)
            log.warning("google_token_refused reason=%s", said[:300])
            refusal = f"Google gave no access token for the stored service account {account.client_email}: {said}"
            kept = _Kept(self.clock() + REFUSED_SECONDS, "", refusal)
        if len(self._kept) >= MOST:
            del self._kept[next(iter(self._kept))]
        self._kept[name] = kept
        return kept

    async def _exchanged(self, account: ServiceAccount) -> _Kept:
        claim = await asyncio.to_thread(assertion, account, self.url, time.time())
        parts = urlsplit(self.url)
        target = read_target(self.url, is_guarded=True, keeps_path=False)
        asked_at = self.clock()
        reply = await asking.fetch(
            self.pool, target, parts.path, body=urlencode({"grant_type": GRANT, "assertion": claim}).encode(),
            headers=FORM, seconds=PATIENCE_SECONDS,
        )  # fmt: skip
        told = _told(reply)
        token, lasts = told.get("access_token"), told.get("expires_in")
        if reply.status != 200 or not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise TokenRefused(_words(reply.status, told))
        seconds = lasts if isinstance(lasts, int) and not isinstance(lasts, bool) else 0
        return _Kept(asked_at + max(0.0, seconds - AHEAD_SECONDS), token, "")


def assertion(account: ServiceAccount, audience: str, at: float) -> str:
    """The account's word that it asks, as a JWT. Raises BadAccount."""
    head = {"alg": "RS256", "typ": "JWT"} | ({"kid": account.private_key_id} if account.private_key_id else {})
    claims = {
        "iss": account.client_email, "scope": SCOPE, "aud": audience, "iat": int(at), "exp": int(at) + CLAIMED_SECONDS,
    }  # fmt: skip
    signed = b".".join(map(_encoded, (orjson.dumps(head), orjson.dumps(claims))))
    signature = account.signer().sign(signed, PKCS1v15(), SHA256())
    return (signed + b"." + _encoded(signature)).decode()


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _told(reply: Reply) -> dict[str, Any]:
    try:
        told = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}


def _words(status: int, told: dict[str, Any]) -> str:
    said = " ".join(filter(None, (loose.text(told.get("error")), loose.text(told.get("error_description")))))
    return f"it answered with status {status}" + (f" ({said[:300]})" if said else "")
