"""What an organisation wants screened and redacted, as `edge` knows it. No Django."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final

from accounts_app.secrets import CannotOpen, Keyring
from accounts_app.snapshot import Part, Rows, Snapshot
from lib.frozen import dataclass
from lib.redact import BadPattern, Redactor

log = logging.getLogger("accounts_app")

NAME: Final = "safety"
QUERY: Final = (
    "SELECT organization_id, screens_replies, blocks_when_failing, classifier_url, classifier_sealed, model_provider,"
    " model_name, redacted_kinds, redacted_patterns FROM organization_safety"
)


def context_of(organization_id: int) -> str:
    """What the envelope of a classifier's token is bound to."""
    return f"classifier_token:{organization_id}"


@dataclass(frozen=True, slots=True)
class SafetyRules:
    screens_replies: bool = False
    blocks_when_failing: bool = False
    classifier_url: str = ""
    classifier_token: str = field(default="", repr=False)
    model_provider: str = ""
    """Slug of the stored key the guard model is asked with."""
    model_name: str = ""
    redactor: Redactor | None = None


NO_RULES: Final = SafetyRules()


def part(keyring: Keyring) -> Part:
    return Part(NAME, QUERY, lambda rows: _read(rows, keyring))


def safety(snapshot: Snapshot | None, organization_id: int) -> SafetyRules:
    parts: Mapping[str, Mapping[int, SafetyRules]] = getattr(snapshot, "parts", {})
    return parts.get(NAME, {}).get(organization_id, NO_RULES)


def _read(rows: Rows, keyring: Keyring) -> dict[int, SafetyRules]:
    return {row["organization_id"]: _rules(row, keyring) for row in rows}


def _rules(row: Mapping[str, Any], keyring: Keyring) -> SafetyRules:
    return SafetyRules(
        row["screens_replies"], row["blocks_when_failing"], row["classifier_url"], _token(row, keyring),
        row["model_provider"], row["model_name"], _redactor(row),
    )  # fmt: skip


def _token(row: Mapping[str, Any], keyring: Keyring) -> str:
    if not row["classifier_sealed"]:
        return ""
    try:
        return keyring.open(row["classifier_sealed"], context_of(row["organization_id"]))
    except CannotOpen as reason:
        log.warning("classifier_token_closed organization=%s reason=%s", row["organization_id"], reason)
        return ""


def _redactor(row: Mapping[str, Any]) -> Redactor | None:
    """Patterns were checked when they were saved; one that is refused by now is left out, and that is said."""
    good = []
    for name, text in row["redacted_patterns"] or []:
        try:
            Redactor(patterns=[(name, text)])
            good.append((name, text))
        except BadPattern as reason:
            of = row["organization_id"]
            log.error("redaction_pattern_refused organization=%s name=%s reason=%s", of, name, reason)
    return Redactor(row["redacted_kinds"] or [], good) or None
