"""What is kept encrypted: envelopes, opened only by who holds a key of the keyring. No Django: `edge` uses it.

    envelope   v1.<key id>.<wrapped>.<sealed>          each part base64url
    sealed     AES-256-GCM of the text under a data key made for it alone
    wrapped    AES-256-GCM of that data key under a key of the ring

Both are bound to `context` (what the secret is and whose): an envelope copied to another organisation does not open.
A new key is put first; `manage.py rewrap_secrets` wraps the data keys anew with it, and the old one can go.

CannotOpen    no key of the ring fits, or the envelope is another's, or broken
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_VERSION: Final = "v1"


class CannotOpen(Exception):
    """The envelope stays closed."""


def new_key() -> str:
    """A key as the setting takes it."""
    return _text(os.urandom(KEY_BYTES))


class Keyring:
    """`keys`: base64 of 32 bytes each; the first encrypts, all open. Raises ValueError for anything else."""

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ValueError("there is no key")
        self._keys = {_id_of(key): AESGCM(key) for key in map(_key, keys)}
        self._first = next(iter(self._keys))

    def seal(self, secret: str, context: str) -> str:
        data_key = os.urandom(KEY_BYTES)
        sealed = _encrypt(AESGCM(data_key), secret.encode(), context)
        return self._envelope(data_key, _text(sealed), context)

    def open(self, envelope: str, context: str) -> str:
        """Raises CannotOpen."""
        data_key, sealed = self._data_key(envelope, context)
        return _decrypt(AESGCM(data_key), _bytes(sealed), context).decode()

    def rewrapped(self, envelope: str, context: str) -> str:
        """The same secret for the first key; the secret itself is not opened. Raises CannotOpen."""
        return self._envelope(*self._data_key(envelope, context), context)

    def is_newest(self, envelope: str) -> bool:
        return envelope.split(".")[1:2] == [self._first]

    def _envelope(self, data_key: bytes, sealed: str, context: str) -> str:
        wrapped = _encrypt(self._keys[self._first], data_key, context)
        return ".".join((_VERSION, self._first, _text(wrapped), sealed))

    def _data_key(self, envelope: str, context: str) -> tuple[bytes, str]:
        parts = envelope.split(".")
        if len(parts) != 4 or parts[0] != _VERSION:
            raise CannotOpen("This is no envelope.")
        if (key := self._keys.get(parts[1])) is None:
            raise CannotOpen("The key it was encrypted with is not among SECRETS_KEY.")
        return _decrypt(key, _bytes(parts[2]), context), parts[3]


def _encrypt(key: AESGCM, data: bytes, context: str) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + key.encrypt(nonce, data, context.encode())


def _decrypt(key: AESGCM, data: bytes, context: str) -> bytes:
    try:
        return key.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], context.encode())
    except (InvalidTag, ValueError):
        raise CannotOpen("It was sealed for something else, or is broken.") from None


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(f"each key must be base64 of {KEY_BYTES} random bytes (openssl rand -base64 {KEY_BYTES})")
    return key


def _id_of(key: bytes) -> str:
    """A name of the key that tells nothing of it."""
    return hashlib.sha256(b"helicone secrets key " + key).hexdigest()[:12]


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text)
    except (binascii.Error, ValueError):
        raise CannotOpen("It is broken.") from None
