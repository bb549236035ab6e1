"""Whom a rule or budget counts together: everybody, one of a kind, or each apart. No Django: `edge` uses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Final, Literal, get_args

from lib.frozen import dataclass

By = Literal["organization", "key", "user", "property", "session", "model"]
KINDS: Final[tuple[By, ...]] = get_args(By)


@dataclass(frozen=True, slots=True)
class Facts:
    """What of a request tells whom it counts for."""

    key_id: int | None = None
    end_user_id: str | None = None
    session_id: str | None = None
    model: str | None = None
    """As it is asked for."""
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Segment:
    by: By = "organization"
    name: str = ""
    """Of a property, in lower case."""
    value: str = ""
    """Empty: each value has a count of its own."""

    @property
    def is_each(self) -> bool:
        return self.by != "organization" and not self.value

    @property
    def words(self) -> str:
        """`everybody together`, `each user`, `user bob`, `each plan`, `plan pro`."""
        if self.by == "organization":
            return "everybody together"
        kind = {"key": "API key", "property": self.name}.get(self.by, self.by)
        return f"{kind} {self.value}" if self.value else f"each {kind}"

    def of(self, facts: Facts) -> str | None:
        """The value a request counts for, "" for the organization; None where it does not count here."""
        if self.by == "organization":
            return ""
        found = _told(self, facts)
        return found if found and self.value in ("", found) else None


def _told(segment: Segment, facts: Facts) -> str | None:
    if segment.by == "property":
        return facts.properties.get(segment.name)
    if segment.by == "key":
        return None if facts.key_id is None else str(facts.key_id)
    if segment.by == "user":
        return facts.end_user_id
    return facts.session_id if segment.by == "session" else facts.model
