"""Routes an organization has stored, as `edge` knows them: named lists of targets, tried in order."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any, Final

from accounts_app.snapshot import Rows, Snapshot
from gateway_app.fallbacks import USUAL, Codes
from lib.frozen import dataclass


@dataclass(frozen=True, slots=True)
class StoredTarget:
    provider: str = ""
    """Slug; empty: the request's own."""
    model: str = ""
    """Empty: as the request names it."""
    goes_on: Codes = USUAL
    calls: int = 1
    """To this target, in all."""


@dataclass(frozen=True, slots=True)
class StoredRoute:
    name: str
    pattern: str
    """Models it is for without being named: `gpt-4o*`; empty for none."""
    targets: tuple[StoredTarget, ...]


Routes = Mapping[int, tuple[StoredRoute, ...]]


PART: Final = "gateway_routes"
"""Of the snapshot."""


def read(rows: Rows) -> Routes:
    """As the part's rows tell them, in their order."""
    found: dict[int, tuple[StoredRoute, ...]] = {}
    for row in rows:
        route = StoredRoute(row["name"], row["pattern"], tuple(map(_target, row["targets"])))
        found[row["organization_id"]] = (*found.get(row["organization_id"], ()), route)
    return found


def _target(told: Mapping[str, Any]) -> StoredTarget:
    codes = Codes(tuple((low, high) for low, high in told.get("codes") or ())) or USUAL
    return StoredTarget(told.get("provider", ""), told.get("model", ""), codes, told.get("calls", 1))


def of(snapshot: Snapshot | None, organization_id: int) -> tuple[StoredRoute, ...]:
    routes: Routes = getattr(snapshot, "parts", {}).get(PART) or {}
    return routes.get(organization_id, ())


def named(routes: tuple[StoredRoute, ...], name: str) -> StoredRoute | None:
    return next((route for route in routes if route.name.lower() == name.lower()), None)


def for_model(routes: tuple[StoredRoute, ...], model: str) -> StoredRoute | None:
    """The route whose pattern fits, the longest first."""
    fits = (route for route in routes if route.pattern and fnmatch.fnmatchcase(model.lower(), route.pattern.lower()))
    return next(fits, None)
