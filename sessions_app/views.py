"""Two pages: the sessions of a stretch of time, and one session as tree and waterfall."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_safe

from accounts_app.models import Role
from accounts_app.permissions import OrganizationRequest, is_at_least, page
from requests_app import asking, filter_bar, keeping
from requests_app.asking import Asked
from requests_app.filters import FilterError, leaf
from requests_app.queries import TooSlow
from sessions_app import queries, queries_traces, showing
from sessions_app.queries import SORTS, Page, Question, Seen, Totals, storable

PAGE_KEYS = asking.PAGE_KEYS | {"q", "name", "errors", "sort", "dir", "view"}
"""What an address of the list says beside its filter; `q` looks in ids and names."""
PAGE_LENGTH = 50
DEFAULT_RANGE = "7d"


@require_safe
@page()
def sessions(request: OrganizationRequest) -> HttpResponse:
    """The list. `?q= &name= &errors=1 &sort= &dir=asc &after= &after_id=`, range and filter as everywhere."""
    asked = asking.read(
        request.membership.organization_id, request.GET,
        home=request.path, page_keys=PAGE_KEYS, default_range=DEFAULT_RANGE,
    )  # fmt: skip
    complaint = asked.complaint
    try:
        if said := asking.said(asked, request.GET):
            return redirect(said)
    except FilterError as error:
        complaint = error.message
    question = _question(request, asked)
    organization_id = request.membership.organization_id
    found, totals, trouble = Page((), None), Totals(), asked.complaint
    try:
        if not trouble:
            found, totals = queries.session_page(organization_id, question), queries.totals(organization_id, question)
    except TooSlow as error:
        trouble = str(error)
    context = {
        **filter_bar.context(request, asked, "sessions", complaint=complaint),
        "question": question, "trouble": trouble, "sessions": found.rows, "totals": totals,
        "is_unused": not found.rows and not trouble and not queries.has_any(organization_id),
        "per_session": totals.cost_nano_usd // totals.sessions if totals.priced else None,
        "error_part": totals.with_errors / totals.sessions if totals.sessions else None,
        "links": _links(request, question, found.next), "own_chips": _chips(request),
        "public_url": request.build_absolute_uri("/").rstrip("/"),
        "has_traces": queries_traces.has_any(organization_id),
    }  # fmt: skip
    return render(request, "sessions_app/sessions.html", context)


@require_safe
@page()
def session(request: OrganizationRequest, session_id: str) -> HttpResponse:
    """One session. `?tree=paths`, `?view=chat`, `?open=<request id>`."""
    organization_id = request.membership.organization_id
    row = queries.session(organization_id, storable(session_id))
    if row is None:
        raise Http404("There is no session with this id here.")
    steps = queries.steps(organization_id, row)
    context: dict[str, Any] = {
        "session": row,
        "is_pinned": keeping.is_pinned(organization_id, row.session_id),
        "may_pin": is_at_least(request.membership.role, Role.MEMBER),
        **showing.context(
            organization_id, request.GET, steps,
            of=leaf("session", "=", row.session_id), since=row.first_at, counted=row,
        ),
    }  # fmt: skip
    return render(request, "sessions_app/session.html", context)


def _question(request: HttpRequest, asked_of: Asked) -> Question:
    asked = {key: storable(value).strip() for key, value in request.GET.dict().items()}
    sort = asked.get("sort", "")
    sort = sort if sort in SORTS else "newest"
    return Question(
        start=asked_of.period.since,
        end=asked_of.period.until,
        filter=asked_of.tree,
        search=asked.get("q", ""),
        name=asked.get("name"),
        errors_only=asked.get("errors") == "1",
        sort=sort,
        is_ascending=asked.get("dir") == "asc",
        after=_seen(sort, asked.get("after", ""), asked.get("after_id", "")),
        limit=PAGE_LENGTH,
    )


def _seen(sort: str, value: str, session_id: str) -> Seen | None:
    """Where the page before ended; None, so the first page, for what no page ends with."""
    if not session_id:
        return None
    try:
        at: datetime | int | None = parse_datetime(value) if SORTS[sort].is_time else int(value)
    except ValueError:
        return None
    if (isinstance(at, datetime) and at.tzinfo is None) or (isinstance(at, int) and abs(at) >= 2**63):
        return None
    return None if at is None else (at, session_id)


def _links(request: HttpRequest, question: Question, following: Seen | None) -> dict[str, Any]:
    """Where everything on the list leads; `older` is empty on the last page."""
    return {
        "sorts": _sorts(request, question),
        "first": _with(request),
        "errors": _with(request, errors="1"),
        "all_time": _with(request, range="all", **{"from": None, "to": None}),
        "older": _with(request, after=_written(following[0]), after_id=following[1]) if following else "",
    }


def _written(value: datetime | int) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _with(request: HttpRequest, **changed: str | None) -> str:
    """This address with some of its query changed; None takes a key away. Another question starts on page one."""
    query = request.GET.copy()
    for key, value in {"after": None, "after_id": None, **changed}.items():
        query.pop(key, None)
        if value is not None:
            query[key] = value
    return "?" + query.urlencode(safe="/:<>=*!~@")


def _sorts(request: HttpRequest, question: Question) -> dict[str, dict[str, str]]:
    """By column: where its head leads and its aria-sort."""
    heads = {}
    for key in SORTS:
        is_current = key == question.sort
        turned = "asc" if is_current and not question.is_ascending else None
        state = ("ascending" if question.is_ascending else "descending") if is_current else "none"
        heads[key] = {"url": _with(request, sort=key, dir=turned), "state": state}
    return heads


def _chips(request: HttpRequest) -> list[dict[str, str]]:
    """The filters in force, each with the address without it."""
    words = {"name": "name is"}
    chips = [
        {"words": text, "value": request.GET[key] or "(none)", "without": _with(request, **{key: None})}
        for key, text in words.items()
        if key in request.GET and (request.GET[key] or key == "name")
    ]
    if request.GET.get("errors") == "1":
        chips.append({"words": "with errors", "value": "", "without": _with(request, errors=None)})
    return chips
