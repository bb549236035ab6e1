"""Two more pages: traces that belong to no session, and one trace as tree and waterfall."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_safe

from accounts_app.permissions import OrganizationRequest, page
from requests_app import asking, filter_bar
from requests_app.asking import Asked
from requests_app.filters import FilterError, leaf
from requests_app.queries import TooSlow
from sessions_app import queries_traces, showing
from sessions_app.queries import storable
from sessions_app.queries_traces import Page, Question, Seen
from sessions_app.tree import Step, label_of

DEFAULT_RANGE = "7d"
PAGE_LENGTH = 50


@require_safe
@page()
def traces(request: OrganizationRequest) -> HttpResponse:
    """The list, newest first. Range and filter as everywhere, `?after= &after_id=`; `?find=` goes to a trace."""
    if found := storable(request.GET.get("find", "")).strip():
        return redirect("trace", trace_id=found)
    organization_id = request.membership.organization_id
    asked = asking.read(
        organization_id, request.GET, home=request.path, page_keys=asking.PAGE_KEYS | {"find"},
        default_range=DEFAULT_RANGE,
    )  # fmt: skip
    complaint = asked.complaint
    try:
        if said := asking.said(asked, request.GET):
            return redirect(said)
    except FilterError as error:
        complaint = error.message
    listed, trouble = _listed(organization_id, asked)
    again: dict[str, Any] = {"after": None, "after_id": None}
    further = {"after": listed.next[0].isoformat(), "after_id": listed.next[1]} if listed.next else {}
    context = {
        **filter_bar.context(request, asked, "", complaint=complaint),
        "traces": listed.rows, "trouble": trouble, "older": asked.link("", **further) if further else "",
        "first": asked.link("", **again) if _seen(request.GET) else "",
        "all_time": asked.link("", **{**again, "range": "all", "from": None, "to": None}),
        "is_unused": not listed.rows and not trouble and not queries_traces.has_any(organization_id),
        "public_url": request.build_absolute_uri("/").rstrip("/"),
    }  # fmt: skip
    return render(request, "sessions_app/traces.html", context)


@require_safe
@page()
def trace(request: OrganizationRequest, trace_id: str) -> HttpResponse:
    """One trace. `?tree=paths`, `?view=chat`, `?open=<request id>`."""
    organization_id, wanted = request.membership.organization_id, storable(trace_id)
    steps, session_id = queries_traces.trace_steps(organization_id, wanted)
    if not steps and wanted != wanted.lower():
        return redirect("trace", trace_id=wanted.lower())
    if not steps:
        raise Http404("There is no trace with this id here.")
    context: dict[str, Any] = {
        "trace_id": wanted, "session_id": session_id, "title": _title(steps),
        **showing.context(
            organization_id, request.GET, steps, of=leaf("trace", "=", wanted), since=steps[0].started_at
        ),
    }  # fmt: skip
    return render(request, "sessions_app/trace.html", context)


def _title(steps: Sequence[Step]) -> str:
    """What its root is called; while that has not come, its first step."""
    return label_of(next((step for step in steps if step.parent_span_id is None), steps[0]))


def _listed(organization_id: int, asked: Asked) -> tuple[Page, str]:
    """The page of traces, and what stood in the way of it."""
    if asked.complaint:
        return Page((), None), asked.complaint
    question = Question(
        asked.period.since, asked.period.until, asked.tree, after=_seen(asked.parameters), limit=PAGE_LENGTH
    )
    try:
        return queries_traces.trace_page(organization_id, question), ""
    except TooSlow as error:
        return Page((), None), str(error)


def _seen(asked: QueryDict) -> Seen | None:
    """Where the page before ended; None, so the first page, for what no page ends with."""
    trace_id = storable(asked.get("after_id", ""))
    try:
        at: datetime | None = parse_datetime(asked.get("after", ""))
    except ValueError:
        return None
    return (at, trace_id) if trace_id and at is not None and at.tzinfo is not None else None
