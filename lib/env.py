"""Settings from the environment; a bad value fails loudly and by name."""

from __future__ import annotations

import os
from pathlib import Path


class BadSetting(ValueError):
    """An environment variable holds a value its setting cannot take."""


def text(name: str, default: str = "") -> str:
    """The variable, or what the file named by `<name>_FILE` holds (for mounted secrets)."""
    if file := os.environ.get(f"{name}_FILE"):
        try:
            return Path(file).read_text().strip()
        except OSError as error:
            raise BadSetting(f"{name}_FILE: {error}") from error
    return os.environ.get(name, default)


def integer(name: str, default: int, minimum: int | None = None) -> int:
    raw = text(name).strip()
    if not raw:
        return default
    try:
        value = int(raw)
    except ValueError:
        raise BadSetting(f"{name} must be a whole number, not {raw!r}") from None
    if minimum is not None and value < minimum:
        raise BadSetting(f"{name} must be at least {minimum}, not {value}")
    return value


def boolean(name: str, default: bool) -> bool:
    raw = text(name).strip().lower()
    if not raw:
        return default
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw in {"0", "false", "no", "off"}:
        return False
    raise BadSetting(f"{name} must be 1 or 0, not {raw!r}")


def names(name: str, default: str = "") -> list[str]:
    """A comma list, blanks dropped."""
    return [part.strip() for part in text(name, default).split(",") if part.strip()]
