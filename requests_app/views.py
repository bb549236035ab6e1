"""The requests page, its fragments, and one request."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse, HttpResponseBase, QueryDict, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_safe
from django_htmx.http import HttpResponseClientRefresh

from accounts_app.models import Role
from accounts_app.permissions import OrganizationRequest, is_at_least, page
from requests_app import asking, billing, bodies, drawing, exports, filter_bar, queries, queries_sums, telling
from requests_app.asking import Asked
from requests_app.filters import Entry, FilterError, catalogue
from requests_app.queries import Page, Question, TooSlow, cursor_of, read_cursor
from requests_app.queries_steps import Around, around
from requests_app.rows import RequestRow, has_attempts

LIVE_SUMMARY_RANGES = ("15m", "1h", "24h")
"""Ranges short enough to be summed again while one looks on."""


@require_safe
@page()
def requests(request: OrganizationRequest) -> HttpResponseBase:
    """The list with its frame. Takes the filter form too, and answers with the address it means."""
    asked = _asked(request)
    try:
        if said := asking.said(asked, request.GET):
            return redirect(said)
    except FilterError as error:
        return render(request, "requests_app/requests.html", _frame(request, asked, complaint=error.message))
    return render(request, "requests_app/requests.html", _frame(request, asked))


@require_safe
@page()
def rows(request: OrganizationRequest) -> HttpResponseBase:
    """The list alone, as htmx puts it in place of the old one."""
    return render(request, "requests_app/_list.html", _listed(request, _asked(request)))


@require_safe
@page()
def live(request: OrganizationRequest) -> HttpResponseBase:
    """204 while the newest page is what the reader has; else the list itself at the top, or a pill further down."""
    asked = _asked(request)
    context = _listed(request, asked)
    if context["fingerprint"] == request.GET.get("seen"):
        return HttpResponse(status=204)
    if not request.GET.get("since"):  # the list was empty: its frame is another now, too
        return HttpResponseClientRefresh()
    if request.GET.get("top") == "1":
        answer = render(request, "requests_app/_list.html", context)
        answer["HX-Retarget"], answer["HX-Reswap"] = "#list", "outerHTML"
        return answer
    return render(request, "requests_app/_pill.html", context)


@require_safe
@page()
def summary(request: OrganizationRequest) -> HttpResponseBase:
    """The strip of figures over the whole filtered range."""
    asked = _asked(request)
    context: dict[str, Any] = {"asked": asked, "is_repeated": _is_summed_again(asked)}
    try:
        found = queries_sums.summary(asked.question)
        bars = [(bar, _zoom(asked, bar)) for bar in drawing.bars(found)]
        context |= {"summary": found, "bars": bars, "width": len(bars) * drawing.BAR_WIDTH}
    except TooSlow:
        context["count"] = _count(asked.question)
    if others := asking.left_out(asked):
        context["others"] = _count(others)
        context["with_others"] = asked.link("requests", **{**asking.PLACE, "kind": "*"})
    return render(request, "requests_app/_summary.html", context)


@require_safe
@page()
def values(request: OrganizationRequest) -> HttpResponseBase:
    """The fields of the filter form for one key, with values seen lately."""
    organization_id = request.membership.organization_id
    entry = catalogue().get(request.GET.get("add_key") or "model")
    if entry is None:
        raise Http404("There is no such filter.")
    context = {
        "entry": entry, "operators": filter_bar.operators(entry),
        "offered": _offered(organization_id, entry, request.GET),
        "names": queries_sums.property_keys(organization_id) if entry.kind == "property" else [],
    }  # fmt: skip
    part = "_options.html" if request.GET.get("part") == "options" else "_fields.html"
    return render(request, f"requests_app/{part}", context)


@require_safe
@page()
def request(request: OrganizationRequest, request_id: UUID) -> HttpResponseBase:
    """One request: in the drawer where htmx asks, else a page of its own."""
    row = queries.one(request.membership.organization_id, str(request_id))
    if row is None:
        return render(request, "requests_app/gone.html", {"request_id": request_id}, status=404)
    context = {
        "drawer": drawing.drawer(row, queries.body(row)), "row": row, "bill": billing.bill(row),
        "around": _around(row), "attempts": _attempts(row),
        "timing": drawing.timing(row), "public_url": request.build_absolute_uri("/").rstrip("/"),
        "may_delete": is_at_least(request.membership.role, Role.ADMIN),
        "may_rate": is_at_least(request.membership.role, Role.MEMBER),
    }  # fmt: skip
    if request.htmx:
        return render(request, "requests_app/_request.html", context)
    newer, older = queries.neighbours(Question(row.organization_id, asking.CALLS), row)
    return render(request, "requests_app/request.html", {**context, "newer": newer, "older": older})


@require_safe
@page()
def body(request: OrganizationRequest, request_id: UUID, side: str) -> HttpResponseBase:
    """One side whole, as a file to keep: never as a page of ours."""
    row = queries.one(request.membership.organization_id, str(request_id))
    if row is None or side not in ("request", "response", "response_raw"):
        raise Http404("There is no such body.")
    data = getattr(bodies.read(queries.body(row)), side)
    if data is None:
        raise Http404("This body was not kept.")
    answer = HttpResponse(bodies.pretty(data), content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{request_id}-{side}.txt"'
    return answer


@require_safe
@page()
def export(request: OrganizationRequest, form: str) -> HttpResponseBase:
    """The filtered list as CSV or JSONL (`?bodies=1`), streamed."""
    asked = _asked(request)
    if form not in ("csv", "jsonl") or asked.complaint:
        raise Http404(asked.complaint or "An export is .csv or .jsonl.")
    has_bodies = request.GET.get("bodies") == "1"
    lines = exports.as_csv(asked.question) if form == "csv" else exports.as_jsonl(asked.question, has_bodies=has_bodies)
    kind = "text/csv; charset=utf-8" if form == "csv" else "application/x-ndjson"
    answer = StreamingHttpResponse(lines, content_type=kind)
    answer["Content-Disposition"] = f'attachment; filename="requests-{timezone.now():%Y%m%d-%H%M}.{form}"'
    return answer


# --- what the templates are given -----------------------------------------------------------------------------


def _asked(request: OrganizationRequest) -> Asked:
    return asking.read(request.membership.organization_id, request.GET)


def _frame(request: OrganizationRequest, asked: Asked, *, complaint: str = "") -> dict[str, Any]:
    """The whole page's context."""
    return {
        **filter_bar.context(request, asked, "requests", complaint=complaint),
        **_listed(request, asked), "frame": _frame_links(asked),
        "all_columns": asking.COLUMNS.values(), "is_repeated": _is_summed_again(asked),
        "may_delete": is_at_least(request.membership.role, Role.ADMIN),
    }  # fmt: skip


def _listed(request: OrganizationRequest, asked: Asked) -> dict[str, Any]:
    found, trouble = _found(asked)
    since = read_cursor(request.GET.get("since", ""))
    known = (since.requested_at, since.id) if since else None
    lines = [telling.line(row, is_new=known is not None and (row.requested_at, row.id) > known) for row in found.rows]
    fingerprint = telling.fingerprint(found.rows)
    return {
        "asked": asked, "lines": lines, "columns": asking.shown_columns(asked), "page": found, "trouble": trouble,
        "fingerprint": fingerprint, "links": _links(asked, found, fingerprint),
        "new": sum(line.is_new for line in lines),
        "is_unused": not found.rows and not trouble and not queries.has_any(asked.question.organization_id),
    }  # fmt: skip


def _found(asked: Asked) -> tuple[Page, str]:
    """The page of rows, and what stood in the way of it."""
    nothing = Page((), has_older=False, has_newer=False)
    if asked.complaint:
        return nothing, asked.complaint
    try:
        return queries.page(asked.question, size=asked.size, older=asked.older, newer=asked.newer), ""
    except TooSlow as error:
        return nothing, str(error)


def _links(asked: Asked, found: Page, fingerprint: str) -> dict[str, Any]:
    first, last = (str(cursor_of(found.rows[i])) if found.rows else "" for i in (0, -1))
    away: dict[str, Any] = dict(asking.PLACE)
    here = {**away, "since": asked.parameters.get("since")}
    return {
        "newest": asked.link(**away), "older": asked.link(**{**away, "older": last}),
        "newer": asked.link(**{**away, "newer": first}),
        "live": asked.link("requests-live", **{**away, "since": first or None, "seen": fingerprint}),
        "live_from_here": asked.link("requests-live", **{**here, "seen": fingerprint}),
        "rows_from_here": asked.link("request-rows", **here),
        "sizes": [(size, asked.link(**{**away, "size": str(size)})) for size in asking.SIZES],
        "cleared": asked.cleared(), "all_time": asked.link(**{**away, "range": "all", "from": None, "to": None}),
    }  # fmt: skip


def _frame_links(asked: Asked) -> dict[str, Any]:
    away: dict[str, Any] = dict(asking.PLACE)
    return {
        "delete": asked.link("requests-delete", **away),
        "summary": asked.link("requests-summary", **away), "csv": asked.link("requests-csv", **away),
        "jsonl": asked.link("requests-jsonl", **away),
        "jsonl_bodies": asked.link("requests-jsonl", **{**away, "bodies": "1"}),
        "toggle_live": asked.link(**{**away, "live": "0" if asked.is_live else None}),
    }  # fmt: skip


def _is_summed_again(asked: Asked) -> bool:
    return asked.is_live and asked.period.preset in LIVE_SUMMARY_RANGES


def _count(question: Question) -> queries_sums.Count | None:
    try:
        return queries_sums.count(question)
    except TooSlow:
        return None


def _around(row: RequestRow) -> Around:
    try:
        return around(row)
    except TooSlow:
        return Around()


def _attempts(row: RequestRow) -> list[telling.Line]:
    if not has_attempts(row):
        return []
    try:
        return [telling.line(attempt) for attempt in queries.attempts(row)]
    except TooSlow:
        return []


def _zoom(asked: Asked, bar: drawing.Bar) -> str:
    changes: dict[str, Any] = {**asking.PLACE, "range": None, "from": bar.since, "to": bar.until}
    return asked.link(**changes)


def _offered(organization_id: int, entry: Entry, query: QueryDict) -> list[str]:
    name, term = (query.get(key, "").replace("\x00", "") for key in ("add_name", "add_value"))
    if not entry.is_suggested or (entry.is_map and not name):
        return []
    try:
        return queries_sums.suggestions(organization_id, entry.key, name=name, term=term)
    except TooSlow:
        return []
