"""The pages that count: Dashboard, Users, Properties, Cache, Models; and their charts, loaded after the page."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.http import Http404, HttpResponse, HttpResponseBadRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.text import slugify
from django.views.decorators.http import require_POST, require_safe

from accounts_app.models import Role
from accounts_app.permissions import OrganizationRequest, page
from metrics_app import charts, hiding
from metrics_app.catalog import PROPERTY
from metrics_app.charts import CHARTS
from metrics_app.pages import cache as pages_cache
from metrics_app.pages import frame, reading, strip, tables, tops
from metrics_app.pages.reading import View
from metrics_app.pages.tops import TOPS
from metrics_app.question import MOST_GROUPS, BadQuestion
from requests_app import asking, exports, filter_bar, queries
from requests_app.filters import FilterError
from requests_app.queries import TooSlow

CSV_LENGTH = MOST_GROUPS - 1
"""Most rows of a table as a file."""
SAVED = frozenset({"dashboard", "users", "properties", "cache", "models"})
"""Pages whose views can be saved: those whose path says nothing itself."""
UNANSWERED = (TooSlow, BadQuestion)
"""What stands in the way of an answer, in words for the reader."""


@require_safe
@page()
def dashboard(request: OrganizationRequest) -> HttpResponseBase:
    """The frame; figures and charts come after it."""
    return _page(request, "dashboard", frame.dashboard)


@require_safe
@page()
def users(request: OrganizationRequest) -> HttpResponseBase:
    return _table_file(request, tables.USERS) or _page(request, "users", frame.users)


@require_safe
@page()
def user(request: OrganizationRequest, user_id: str) -> HttpResponseBase:
    """One end user: what they used, and their requests."""
    if "\x00" in user_id:
        raise Http404("No user is called so.")
    return _page(request, "user", lambda _, view: frame.user(request, view, user_id))


@require_safe
@page()
def properties(request: OrganizationRequest) -> HttpResponseBase:
    return _page(request, "properties", frame.properties)


@require_POST
@page(role=Role.MEMBER)
def hide_property(request: OrganizationRequest) -> HttpResponseBase:
    """`key`, out of the lists or, with `restore`, back in them; then to `next`."""
    key, back = request.POST.get("key", ""), request.POST.get("next", "")
    if not key or "\x00" in key:
        return HttpResponseBadRequest("Say which property: key.")
    change = hiding.restore if "restore" in request.POST else hiding.hide
    change(request.membership.organization_id, key)
    is_ours = url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return redirect(back if is_ours else "properties")


@require_safe
@page()
def property_page(request: OrganizationRequest, name: str) -> HttpResponseBase:
    """One property: its values, over time and as a table."""
    if not reading.is_dimension(PROPERTY + name):
        raise Http404("No property is called so.")
    kind = tables.property_values(PROPERTY + name)
    return _table_file(request, kind) or _page(
        request, "property", lambda _, view: frame.property_page(request, view, name)
    )


@require_safe
@page()
def models(request: OrganizationRequest) -> HttpResponseBase:
    return _table_file(request, frame.models_asked(request)) or _page(request, "models", frame.models)


@require_safe
@page()
def cache(request: OrganizationRequest) -> HttpResponseBase:
    return _page(request, "cache", pages_cache.context)


# --- parts, loaded by htmx ------------------------------------------------------------------------------------


@require_safe
@page()
def figures(request: OrganizationRequest) -> HttpResponseBase:
    """The strip of figures; `?of=cache` those of the cache."""
    view, of = _counted(request), request.GET.get("of", "calls")
    if of not in strip.STRIPS:
        raise Http404("There are no such figures.")
    try:
        shown, found = strip.figures(view, of)
    except UNANSWERED as error:
        return render(request, "metrics_app/_slow.html", {"trouble": str(error)})
    return render(request, "metrics_app/_figures.html", {"figures": shown, "found": found, "view": view})


@require_safe
@page()
def repeated(request: OrganizationRequest) -> HttpResponseBase:
    """What was answered from the cache most often."""
    try:
        found = pages_cache.repeated(_counted(request))
    except UNANSWERED as error:
        return render(request, "metrics_app/_slow.html", {"trouble": str(error)})
    return render(request, "metrics_app/_repeated.html", {"found": found})


@require_safe
@page()
def chart(request: OrganizationRequest, key: str) -> HttpResponseBase:
    """One chart or top list, with its table twin; `?by=` a dimension, `?compare=1`."""
    view, by = _counted(request), _dimension(request)
    try:
        if key in TOPS:
            listing = tops.listing(TOPS[key], view, by=by)
            return render(request, "metrics_app/_top.html", {"listing": listing, "csv": _csv_url(request, key)})
        drawing = charts.draw(_known(key), view, by=by)
    except UNANSWERED as error:
        return render(request, "metrics_app/_slow.html", {"trouble": str(error)})
    return render(request, "metrics_app/_chart.html", {"drawing": drawing, "csv": _csv_url(request, key)})


@require_safe
@page()
def chart_file(request: OrganizationRequest, key: str) -> HttpResponseBase:
    """The same as CSV."""
    view, by = _counted(request), _dimension(request)
    try:
        if key in TOPS:
            return _file(f"{key}-{by}", tops.csv_rows(tops.listing(TOPS[key], view, by=by, length=CSV_LENGTH)))
        return _file(key, charts.csv_rows(charts.draw(_known(key), view, by=by)))
    except UNANSWERED as error:
        return _no_file(error)


# --- what they share ------------------------------------------------------------------------------------------


def _page(
    request: OrganizationRequest, name: str, frame_of: Callable[[OrganizationRequest, View], dict[str, Any]]
) -> HttpResponseBase:
    """A whole page; takes the filter form too, and answers with the address it means."""
    view, complaint = reading.read(request), ""
    try:
        if said := asking.said(view.asked, request.GET):
            return redirect(said)
    except FilterError as error:
        complaint = error.message
    context = {
        **filter_bar.context(request, view.asked, name if name in SAVED else "", complaint=complaint), "view": view,
        "is_unused": not queries.has_any(view.organization_id), **frame_of(request, view),
    }  # fmt: skip
    return render(request, f"metrics_app/{name}.html", context)


def _counted(request: OrganizationRequest) -> View:
    """The view of a part. Raises Http404 with the complaint about an address that cannot be read."""
    view = reading.read(request)
    if view.asked.complaint:
        raise Http404(view.asked.complaint)
    return view


def _known(key: str) -> charts.Chart:
    if key not in CHARTS:
        raise Http404(f"There is no chart {key!r}.")
    return CHARTS[key]


def _dimension(request: OrganizationRequest) -> str:
    by = request.GET.get("by", "")
    if by and not reading.is_dimension(by):
        raise Http404("Nothing is counted by that.")
    return by


def _csv_url(request: OrganizationRequest, key: str) -> str:
    return reading.with_parameters(request, reading.chart_file_path(key))


def _table_file(request: OrganizationRequest, kind: tables.Kind) -> HttpResponse | None:
    """The table as CSV where `?format=csv` asks for it."""
    if request.GET.get("format") != "csv":
        return None
    try:
        table = frame.counted_table(request, kind, _counted(request), length=CSV_LENGTH)
        return _file(kind.key, tables.csv_rows(table))
    except UNANSWERED as error:
        return _no_file(error)


def _no_file(error: Exception) -> HttpResponse:
    return HttpResponse(str(error), status=503, content_type="text/plain; charset=utf-8")


def _file(name: str, rows: Iterable[Sequence[Any]]) -> HttpResponse:
    text = io.StringIO()
    csv.writer(text).writerows([exports.cell(value) for value in row] for row in rows)
    answer = HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{slugify(name)}.csv"'
    return answer
