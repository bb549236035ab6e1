"""A service account of Google, as its JSON file says it: kept like any provider key, exchanged in edge. No Django.

    BadAccount    the sentence says what is wrong with the file; never with a word of its key
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

PROVIDER: Final = "google-vertex"
"""Whose keys may be one."""
TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
"""The only place an account is ever presented at, whatever its file says."""
_KEPT: Final = ("client_email", "private_key", "private_key_id", "project_id")


class BadAccount(ValueError):
    pass


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    client_email: str
    private_key: str = field(repr=False)
    """PEM."""
    private_key_id: str = ""
    project_id: str = ""

    def signer(self) -> RSAPrivateKey:
        """Takes a millisecond. Raises BadAccount."""
        try:
            key = load_pem_private_key(self.private_key.encode(), None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise BadAccount("Its private_key is no private key in PEM.") from None
        if not isinstance(key, RSAPrivateKey):
            raise BadAccount("Its private_key is not of the kind RSA.")
        return key

    def text(self) -> str:
        """As it is kept: printable ASCII on one line."""
        kept = {name: getattr(self, name) for name in _KEPT}
        return orjson.dumps({"type": "service_account", **kept}).decode()


def is_one(secret: str) -> bool:
    """Whether a secret is no key or token, but a file."""
    return secret.lstrip().startswith("{")


def read(text: str) -> ServiceAccount:
    """Raises BadAccount."""
    try:
        told: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise BadAccount("This is no JSON. Paste the whole file Google gave you.") from None
    if not isinstance(told, dict) or told.get("type") != "service_account":
        raise BadAccount("This is not the JSON of a service account: its type is another.")
    if missing := [name for name in _KEPT[:2] if not told.get(name)]:
        raise BadAccount(f"The file has no {' and no '.join(missing)}.")
    if told.get("token_uri", TOKEN_URI) != TOKEN_URI:
        raise BadAccount(f"Its token_uri is not {TOKEN_URI}, the only one accounts are presented at.")
    kept = {name: told.get(name) or "" for name in _KEPT}
    if not all(isinstance(value, str) and value.isascii() for value in kept.values()):
        raise BadAccount("Its fields must be ASCII texts.")
    return ServiceAccount(**kept)
