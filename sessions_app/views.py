"""Two pages: the sessions of a stretch of time, and one session as tree and waterfall."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_safe

from accounts_app.models import Role
from accounts_app.permissions import OrganizationRequest, is_at_least, page
from lib import periods
from lib.clock import now
from lib.periods import Period
from requests_app import keeping
from requests_app.queries import TooSlow
from sessions_app import chat, drawing, queries
from sessions_app.queries import SORTS, Page, Question, Seen, Totals, storable
from sessions_app.tree import from_paths

PAGE_LENGTH = 50
DEFAULT_RANGE = "7d"
FALLBACK_ROWS = 200
"""Nodes listed for a reader without script."""


@require_safe
@page()
def sessions(request: OrganizationRequest) -> HttpResponse:
    """The list. `?range= &from= &to= &q= &name= &user= &errors=1 &sort= &dir=asc &after= &after_id=`"""
    period, complaint = _period(request)
    question = _question(request, period)
    organization_id = request.membership.organization_id
    try:
        found, totals = queries.session_page(organization_id, question), queries.totals(organization_id, question)
    except TooSlow as error:
        found, totals, complaint = Page((), None), Totals(), str(error)
    context = {
        "question": question, "period": period, "complaint": complaint, "sessions": found.rows, "totals": totals,
        "is_unused": not found.rows and not complaint and not queries.has_any(organization_id),
        "per_session": totals.cost_nano_usd // totals.sessions if totals.priced else None,
        "error_part": totals.with_errors / totals.sessions if totals.sessions else None,
        "links": _links(request, question, found.next), "chips": _chips(request),
        "public_url": request.build_absolute_uri("/").rstrip("/"),
    }  # fmt: skip
    return render(request, "sessions_app/sessions.html", context)


@require_safe
@page()
def session(request: OrganizationRequest, session_id: str) -> HttpResponse:
    """One session. `?view=chat`, `?open=<request id>`."""
    organization_id = request.membership.organization_id
    row = queries.session(organization_id, storable(session_id))
    if row is None:
        raise Http404("There is no session with this id here.")
    steps = queries.steps(organization_id, row)
    tree = from_paths(steps) if steps else None
    context: dict[str, Any] = {
        "session": row,
        "tree": tree,
        "summary": drawing.summary(row, steps, tree),
        "view": "tree",
        "is_pinned": keeping.is_pinned(organization_id, row.session_id),
        "may_pin": is_at_least(request.membership.role, Role.MEMBER),
    }
    if request.GET.get("view") == "chat":
        context |= {"view": "chat", "chat": chat.read(organization_id, row, request.GET.get("after", ""))}
    elif tree:
        context |= {"drawing": drawing.drawing(tree), "fallback": tree.nodes[1 : FALLBACK_ROWS + 1]}
    return render(request, "sessions_app/session.html", context)


def _period(request: HttpRequest) -> tuple[Period, str]:
    """The period asked for, and what to say where it could not be read."""
    moment, query = now(), request.GET.dict()
    try:
        return periods.read(query, now=moment, zone=timezone.get_current_timezone(), default=DEFAULT_RANGE), ""
    except periods.BadPeriod as error:
        return periods.read({}, now=moment, default=DEFAULT_RANGE), str(error)


def _question(request: HttpRequest, period: Period) -> Question:
    asked = {key: storable(value).strip() for key, value in request.GET.dict().items()}
    sort = asked.get("sort", "")
    sort = sort if sort in SORTS else "newest"
    return Question(
        start=period.since,
        end=period.until,
        search=asked.get("q", ""),
        name=asked.get("name"),
        end_user_id=asked.get("user") or None,
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
    ranges = {
        key: {"label": label, "url": _with(request, range=key, **{"from": None, "to": None})}
        for key, (label, _) in periods.PRESETS.items()
    }
    return {
        "ranges": ranges,
        "sorts": _sorts(request, question),
        "first": _with(request),
        "errors": _with(request, errors="1"),
        "all_time": ranges["all"]["url"],
        "older": _with(request, after=_written(following[0]), after_id=following[1]) if following else "",
    }


def _written(value: datetime | int) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _with(request: HttpRequest, **changed: str | None) -> str:
    """This address with some of its query changed; None takes a key away. Another question starts on page one."""
    query: dict[str, Any] = {key: value for key, value in request.GET.items() if key not in {"after", "after_id"}}
    query |= changed
    return "?" + urlencode({key: value for key, value in query.items() if value is not None})


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
    words = {"q": "id or name contains", "name": "name is", "user": "user is"}
    chips = [
        {"words": text, "value": request.GET[key] or "(none)", "without": _with(request, **{key: None})}
        for key, text in words.items()
        if key in request.GET and (request.GET[key] or key == "name")
    ]
    if request.GET.get("errors") == "1":
        chips.append({"words": "with errors", "value": "", "without": _with(request, errors=None)})
    return chips
