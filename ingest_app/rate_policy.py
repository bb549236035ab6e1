"""The grammar of `Helicone-RateLimit-Policy`: `QUOTA;w=SECONDS[;u=request|cents][;s=SEGMENT]`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal, cast

from lib.frozen import dataclass

Unit = Literal["request", "cents"]
USER: Final = "user"
SHORTEST_WINDOW, LONGEST_WINDOW = 60, 31_536_000
LARGEST_QUOTA: Final = 10**12
_POLICY: Final = re.compile(r"(?i)(\d+(?:\.\d+)?);w=(\d+)(?:;u=(request|cents))?(?:;s=([\w-]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """So many requests or cents in any `window` seconds; of each user or value of a property, or of everybody."""

    quota: float
    window: int
    unit: Unit = "request"
    segment: str = ""
    """Empty: everybody together; `user`; or a property's key, in lower case."""

    @property
    def text(self) -> str:
        """As it is told back: `u=` only for cents."""
        unit = ";u=cents" if self.unit == "cents" else ""
        segment = f";s={self.segment}" if self.segment else ""
        return f"{self.quota:.15g};w={self.window}{unit}{segment}"


@lru_cache(maxsize=1024)
def read(text: str) -> RatePolicy:
    """Raises ValueError, saying what is wrong with it."""
    found = _POLICY.fullmatch(text.strip())
    if found is None:
        raise ValueError("must be QUOTA;w=SECONDS[;u=request|cents][;s=user|PROPERTY], such as 1000;w=3600;s=user")
    quota, window, unit, segment = found.groups()
    if not 0 < float(quota) <= LARGEST_QUOTA:
        raise ValueError(f"the quota must be above 0 and at most {LARGEST_QUOTA}")
    if len(window) > 9 or not SHORTEST_WINDOW <= int(window) <= LONGEST_WINDOW:
        raise ValueError(f"w must be from {SHORTEST_WINDOW} to {LONGEST_WINDOW} seconds")
    return RatePolicy(float(quota), int(window), cast(Unit, (unit or "request").lower()), (segment or "").lower())
