"""How the house itself is: all of it for operators, an owner's own part for owners."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts_app.models import Role
from accounts_app.permissions import OrganizationRequest, page
from helicone_site import queries
from ingest_app import spool
from lib import heartbeat
from lib.heartbeat import Beat
from requests_app import keeping
from requests_app.queries import TooSlow

BURIED_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the line since its process started."""

    name: str
    items: int
    seconds: float | None

    @property
    def microseconds_each(self) -> float | None:
        return self.seconds / self.items * 1e6 if self.items and self.seconds is not None else None


@dataclass(frozen=True, slots=True)
class LineState:
    """What the line last said of itself and of its spool; None where it has not said."""

    waits_for: str
    ready: int | None
    under_way: int | None
    buried: int | None
    behind_seconds: float | None
    steps: tuple[Step, ...]
    drops: Mapping[str, int]


@require_safe
@page()
def system(request: OrganizationRequest) -> HttpResponse:
    is_operator = request.user.is_staff
    if not is_operator and request.membership.role != Role.OWNER:
        raise PermissionDenied("This page is for operators and owners.")
    beats = heartbeat.read(settings.HEALTH_DIR)
    context: dict[str, Any] = {
        "is_operator": is_operator, "beats": [(beat, _age(beat)) for beat in beats.values()],
        "is_well": bool(beats) and all(beat.is_well for beat in beats.values()),
        "line": line_state(beats.get("line")), "drops": drops(beats), **_mine(request.membership.organization_id),
    }  # fmt: skip
    if is_operator:
        context |= _all()
    return render(request, "system.html", context)


def drops(beats: Mapping[str, Beat]) -> dict[str, int]:
    """What was not kept, by reason, of the doors and the line together, since each process started."""
    found: dict[str, int] = {}
    for name in ("edge", "line"):
        said = _mapping(beats[name].detail.get("drops")) if name in beats else {}
        for reason, count in said.items():
            found[reason] = found.get(reason, 0) + count
    return found


def _age(beat: Beat) -> float:
    """Milliseconds since it spoke."""
    return max(time.time() - beat.at, 0) * 1000


def line_state(beat: Beat | None) -> LineState | None:
    if beat is None:
        return None
    said = beat.detail
    depth, items, seconds = (_mapping(said.get(name)) for name in ("spool", "items", "seconds"))
    steps = tuple(Step(name, int(count), seconds.get(name)) for name, count in items.items())
    return LineState(
        str(said.get("waits_for", "")), depth.get("ready"), depth.get("under_way"), depth.get("buried"),
        said.get("behind_seconds"), steps, _mapping(said.get("drops")),
    )  # fmt: skip


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mine(organization_id: int) -> dict[str, Any]:
    try:
        days = keeping.storage(organization_id)
        return {
            "requests": sum(day.requests for day in days), "bodies": sum(day.bodies for day in days),
            "bytes": sum(day.request_bytes + day.body_bytes for day in days),
            "unfolded": queries.unfolded(organization_id), "next_run": keeping.next_run(datetime.now(UTC)),
        }  # fmt: skip
    except TooSlow as error:
        return {"trouble": str(error)}


def _all() -> dict[str, Any]:
    buried = spool.buried(settings.SPOOL_DIR, limit=BURIED_SHOWN)
    try:
        found = {"tables": queries.sizes(), "weeks": queries.weeks(), "all_unfolded": queries.unfolded()}
    except TooSlow as error:
        return {"all_trouble": str(error), "buried": buried}
    return {**found, "buried": buried}
