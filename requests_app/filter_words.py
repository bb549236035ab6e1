"""How one condition is written, in addresses and in the text form alike."""

from __future__ import annotations

from datetime import datetime

from requests_app.filters import Value

PREFIXES = ("!=", ">=", "<=", "!~", "like:", "ilike:", ">", "<", "~", "=")
"""Operators before a value, longer ones first."""
KNOWN, NOT_KNOWN = "*", "!*"


def plain(value: Value) -> str:
    """A value as text that reads back as itself."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)
