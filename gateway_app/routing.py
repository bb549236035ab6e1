"""Stored routes as admins make them: checked, kept, written into the audit log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from django.db import IntegrityError, transaction

from accounts_app import audit
from accounts_app.models import User
from gateway_app.models import GatewayRoute
from ingest_app.directives import MAX_ATTEMPTS
from lib.frozen import dataclass
from llm import providers

MOST_ROUTES: Final = 100
MOST_TARGETS: Final = 10
_CODES: Final = re.compile(r"(\d{3})(?:\s*-\s*(\d{3}))?")


class BadRoute(ValueError):
    """`field` is `name`, `pattern`, `targets`, or a field of a target."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Target:
    """An empty provider or model is the request's own."""

    provider: str
    model: str
    codes: tuple[tuple[int, int], ...]
    calls: int


@dataclass(frozen=True, slots=True)
class Route:
    name: str
    pattern: str
    targets: tuple[Target, ...]


def read_codes(text: str) -> tuple[tuple[int, int], ...]:
    """`429, 500-599` as ranges. Raises BadRoute."""
    ranges = []
    for part in filter(None, map(str.strip, text.split(","))):
        found = _CODES.fullmatch(part)
        low, high = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 100 <= low <= high:
            raise BadRoute("codes", f"“{part[:20]}” is no status or range of statuses, such as 429 or 500-599.")
        ranges.append((low, high))
    return tuple(ranges)


def codes_text(ranges: Sequence[Sequence[int]]) -> str:
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def checked(route: Route) -> Route:
    """Raises BadRoute."""
    if not route.targets:
        raise BadRoute("targets", "A route needs at least one target.")
    if "," in route.pattern:
        raise BadRoute("pattern", "One pattern without commas; * stands for any letters.")
    for target in route.targets:
        if target.provider and providers.by_slug(target.provider) is None:
            raise BadRoute("provider", f"No provider is called “{target.provider[:50]}” here.")
        if not 1 <= target.calls <= MAX_ATTEMPTS:
            raise BadRoute("calls", f"Between 1 and {MAX_ATTEMPTS} calls.")
    return route


def all_of(organization_id: int) -> list[GatewayRoute]:
    return list(GatewayRoute.objects.filter(organization_id=organization_id).order_by("name"))


def one(organization_id: int, route_id: int) -> GatewayRoute | None:
    return GatewayRoute.objects.filter(organization_id=organization_id, pk=route_id).first()


def save(organization_id: int, user: User, route: Route, *, row: GatewayRoute | None = None) -> GatewayRoute:
    """A new route, or `row` as it is to be. Raises BadRoute."""
    checked(route)
    if row is None and GatewayRoute.objects.filter(organization_id=organization_id).count() >= MOST_ROUTES:
        raise BadRoute("name", f"An organization has {MOST_ROUTES} routes at most.")
    action = "route changed" if row else "route added"
    row = row or GatewayRoute(organization_id=organization_id)
    row.name, row.pattern, row.targets = route.name, route.pattern, [_stored(target) for target in route.targets]
    try:
        with transaction.atomic():
            row.save()
            audit.record(organization_id, user, action, name=row.name, models=row.pattern or "by name only",
                         targets=" → ".join(words(target) for target in row.targets))
    except IntegrityError:
        raise BadRoute("name", "Another route has this name.") from None
    return row


@transaction.atomic
def remove(user: User, row: GatewayRoute) -> None:
    audit.record(row.organization_id, user, "route removed", name=row.name)
    row.delete()


def _stored(target: Target) -> dict[str, Any]:
    return {"provider": target.provider, "model": target.model, "codes": target.codes, "calls": target.calls}


def words(target: dict[str, Any]) -> str:
    """A stored target for a reader: `gpt-4o at OpenAI`."""
    provider = providers.by_slug(target.get("provider", ""))
    return f"{target.get('model') or 'the model asked for'} at {provider.name if provider else 'its own provider'}"
