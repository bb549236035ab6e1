"""Rate limits an organization has stored, and what it lets a session do. No Django: `edge` uses it."""

from __future__ import annotations

from typing import Final, Literal

from alerts_app.segments import Segment
from lib.frozen import dataclass

Unit = Literal["request", "cents"]
SHORTEST_WINDOW, LONGEST_WINDOW = 60, 31_536_000
LARGEST_QUOTA: Final = 10**12
RULE_KINDS: Final = ("organization", "key", "user", "property")
"""What a rate limit may count by."""


@dataclass(frozen=True, slots=True)
class StoredRule:
    """So many requests or cents in any `window` seconds, of each or one of a segment."""

    id: int
    organization_id: int
    name: str
    quota: float
    window: int
    unit: Unit
    segment: Segment

    @property
    def text(self) -> str:
        """As the policy header would say it."""
        unit = ";u=cents" if self.unit == "cents" else ""
        by = self.segment.name if self.segment.by == "property" else self.segment.by
        segment = "" if self.segment.by == "organization" else f";s={by}"
        return f"{self.quota:.15g};w={self.window}{unit}{segment}"


@dataclass(frozen=True, slots=True)
class SessionCaps:
    """What one session may come to; None is no bound."""

    max_cost_nano_usd: int | None = None
    max_calls: int | None = None
    max_depth: int | None = None
    """Segments of its path."""
    max_repeats: int | None = None
    """Times the same tool is called with the same arguments."""

    def __bool__(self) -> bool:
        return self is not NO_CAPS and self != NO_CAPS

    @property
    def is_counted(self) -> bool:
        """Whether somebody has to count for it: depth is seen at each request alone."""
        return (self.max_cost_nano_usd, self.max_calls, self.max_repeats) != (None, None, None)

    def tightened(self, other: SessionCaps) -> SessionCaps:
        """The lower bound of both, each."""
        if not other:
            return self
        return SessionCaps(*(_least(getattr(self, name), getattr(other, name)) for name in self.__slots__))


NO_CAPS: Final = SessionCaps()


def _least(one: int | None, other: int | None) -> int | None:
    told = [bound for bound in (one, other) if bound is not None]
    return min(told, default=None)
