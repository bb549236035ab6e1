"""Providers, and Settings → Routes: who sees and changes what, and what it says."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.urls import reverse

from accounts_app.models import AuditEntry, Role
from gateway_app import errors, routing
from gateway_app.models import GatewayRoute
from gateway_app.refused import CODES
from gateway_app.routing import BadRoute
from gateway_app.snapshot_parts import ROUTES
from gateway_app.stored_routes import for_model
from lib.clock import now
from llm.exchange import ATTEMPT
from metrics_app.queries import answer as asked
from metrics_app.question import Question
from requests_app.queries import TooSlow
from tests import factories
from tests.factories import browser
from tests.metrics_app import counted
from tests.requests_app.factories import make_row

pytestmark = pytest.mark.django_db


def said(*targets, name="Main", pattern="gpt-4o*"):
    """A route as its form sends it."""
    fields = {"name": name, "pattern": pattern, "target-TOTAL_FORMS": str(max(1, len(targets))),
              "target-INITIAL_FORMS": "0"}  # fmt: skip
    for place, target in enumerate(targets):
        for key in ("provider", "model", "codes", "calls"):
            fields[f"target-{place}-{key}"] = target.get(key, "")
    return fields


TWO: tuple[dict[str, str], ...] = (
    {"model": "gpt-4o", "codes": "429, 500-599", "calls": "3"}, {}, {"provider": "Anthropic", "model": "claude"},
)  # fmt: skip


def test_an_admin_makes_changes_and_removes_a_route_and_it_is_written_down(cast):
    client = browser(cast.alice)
    assert client.post(reverse("gateway-route-add"), said(*TWO)).status_code == 302
    [row] = routing.all_of(cast.acme.pk)
    assert row.targets == [
        {"provider": "", "model": "gpt-4o", "codes": [[429, 429], [500, 599]], "calls": 3},
        {"provider": "anthropic", "model": "claude", "codes": [], "calls": 1},
    ]
    page = client.get(reverse("gateway-route", args=[row.pk])).content.decode()
    assert 'value="429, 500-599"' in page
    changed = said({"provider": "groq", "model": "llama"}, name="Main 2", pattern="")
    client.post(reverse("gateway-route", args=[row.pk]), changed)
    listed = client.get(reverse("gateway-routes")).content.decode()
    assert "llama at Groq" in listed
    assert "by name only" in listed
    client.post(reverse("gateway-route-remove", args=[row.pk]))
    assert not GatewayRoute.objects.exists()
    actions = AuditEntry.objects.filter(action__startswith="route").order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["route added", "route changed", "route removed"]


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
def test_others_read_routes_and_change_none(cast, role):
    reader = factories.person("reader@example.org")
    factories.membership(cast.acme, reader, role)
    row = routing.save(cast.acme.pk, cast.alice, routing.Route("r", "", (routing.Target("", "m", (), 1),)))
    client = browser(reader)
    page = client.get(reverse("gateway-routes")).content.decode()
    assert "Admins and owners change routes" in page
    assert "Add a route" not in page
    for name, args in (("gateway-route-add", []), ("gateway-route", [row.pk]), ("gateway-route-remove", [row.pk])):
        assert client.post(reverse(name, args=args), said(*TWO)).status_code == 403
    assert GatewayRoute.objects.get().name == "r"


def test_a_route_of_another_organisation_is_not_there(cast):
    row = routing.save(cast.acme.pk, cast.alice, routing.Route("r", "", (routing.Target("", "m", (), 1),)))
    client = browser(cast.charlie)
    assert client.get(reverse("gateway-route", args=[row.pk])).status_code == 404
    assert client.post(reverse("gateway-route-remove", args=[row.pk])).status_code == 404
    assert b"None." in client.get(reverse("gateway-routes")).content


@pytest.mark.parametrize(("fields", "sentence"), [
    (said(), "at least one target"), (said(*TWO, name=""), "required"),
    (said({"provider": "nobody"}), "No provider is called"), (said({"model": "m", "codes": "often"}), "no status"),
    (said({"model": "m", "codes": "599-500"}), "no status"), (said({"model": "m", "calls": "99"}), "than or equal"),
    (said(*TWO, pattern="a,b"), "without commas"), (said(*TWO, name="TAKEN"), "Another route"),
])  # fmt: skip
def test_what_cannot_be_is_said_beside_the_form_and_nothing_is_kept(cast, fields, sentence):
    routing.save(cast.acme.pk, cast.alice, routing.Route("Taken", "", (routing.Target("", "m", (), 1),)))
    answer = browser(cast.alice).post(reverse("gateway-route-add"), fields)
    assert answer.status_code == 400
    assert sentence in answer.content.decode()
    assert GatewayRoute.objects.count() == 1
    assert AuditEntry.objects.filter(action="route added").count() == 1


def test_edge_reads_what_admins_make_longest_pattern_first(cast):
    version = "SELECT version FROM snapshot_version"
    with connection.cursor() as cursor:
        cursor.execute(version)
        (before,) = cursor.fetchone()
        for name, pattern in (("a", "gpt*"), ("b", "gpt-4o*"), ("c", "")):
            target = routing.Target("openai", "m", ((429, 429),), 2)
            routing.save(cast.acme.pk, cast.alice, routing.Route(name, pattern, (target,)))
        cursor.execute(version)
        assert cursor.fetchone()[0] == before + 3
        cursor.execute(f"SELECT json_agg(part) FROM ({ROUTES.query}) AS part")
        (told,) = cursor.fetchone()
    routes = ROUTES.read(told if isinstance(told, list) else json.loads(told))[cast.acme.pk]
    assert [route.name for route in routes] == ["b", "a", "c"]
    assert for_model(routes, "GPT-4o-mini").name == "b"
    assert for_model(routes, "claude") is None
    assert (429 in routes[0].targets[0].goes_on, routes[0].targets[0].calls) == (True, 2)


def test_a_number_of_routes_is_enough(cast, monkeypatch):
    monkeypatch.setattr(routing, "MOST_ROUTES", 1)
    target = (routing.Target("", "m", (), 1),)
    routing.save(cast.acme.pk, cast.alice, routing.Route("a", "", target))
    with pytest.raises(BadRoute, match="at most"):
        routing.save(cast.acme.pk, cast.alice, routing.Route("b", "", target))


def test_providers_with_what_was_tried_and_saved(cast):
    at = now() - timedelta(minutes=5)
    problems = ("attempts_failed: 1",)
    counted.count([
        make_row(cast.acme.pk, at), make_row(cast.acme.pk, at, provider="groq", problems=problems),
        make_row(cast.acme.pk, at, provider="groq", problems=problems, status=500),
        *(make_row(cast.acme.pk, at, kind=ATTEMPT, status=503, provider="openai") for _ in range(3)),
        make_row(cast.acme.pk, at, kind=ATTEMPT, status=503, provider="mistral"),
    ])  # fmt: skip
    answer = browser(cast.bob).get(reverse("providers"), {"range": "1h"})
    tried = {line.value: (line.row["requests"], one.failed, one.saved) for line, one, _ in answer.context["lines"]}
    assert tried == {"openai": (1, 3, 0), "groq": (2, 0, 1)}
    assert [(slug, one.failed) for slug, one, _ in answer.context["others"]] == [("mistral", 1)]
    page = answer.content.decode()
    assert "1 request got an answer after a call had failed" in page
    assert f"kind={ATTEMPT}" in page
    theirs = browser(cast.charlie).get(reverse("providers"), {"range": "1h"})
    assert (theirs.context["lines"], theirs.context["others"]) == ([], [])


CALLED = [
    (200, ("limits_unreachable", "budgets_unreachable")), (503, ("limits_unreachable",)), (429, ()),
    (503, ("screen_failed: classifier: away",)), (-4, ("threat_found: assistant: rules: 0.9 x",)),
    (403, ("attempts_failed: 1", "target_refused: inside")), (502, ("upstream_unreachable: gone",)),
]  # fmt: skip
REFUSED = [
    (429, ("rate_limited: used up",)), (429, ("budget_exceeded: spent",)), (429, ("session_stopped: depth",)),
    (403, ("target_refused: inside",)), (400, ("request_not_read", "fallbacks_invalid: no list")),
    (-4, ("threat_found: user: rules: 0.9 x",)), (400, ("moderation_flagged: hate",)),
    (503, ("limits_unreachable", f"limits_unreachable: {errors.LIMITS_AWAY}")),
    (503, ("budgets_unreachable", f"budgets_unreachable: {errors.BUDGETS_AWAY}")),
]  # fmt: skip


@pytest.mark.parametrize("query", [{}, {"status": "!=200"}, {"country": "DE"}])
@pytest.mark.parametrize("is_folded", [True, False])
def test_what_was_refused_before_anybody_was_called_is_no_provider_s_call(cast, query, is_folded):
    at = now() - timedelta(minutes=5)
    made = {"country_code": "DE", "duration_ms": 2000, "cost_nano_usd": None}
    told = {"country_code": "DE", "duration_ms": 1, "cost_nano_usd": None, "time_to_first_token_ms": None}
    counted.count([
        *(make_row(cast.acme.pk, at, status=status, problems=said, **made) for status, said in CALLED),
        *(make_row(cast.acme.pk, at, status=status, problems=said, **told) for status, said in REFUSED * 3),
        make_row(cast.acme.pk, at, provider="foo", status=404, problems=("provider_unknown: foo",), **told),
    ])  # fmt: skip
    if is_folded:
        counted.fold_all(cast.acme.pk)
    answer = browser(cast.bob).get(reverse("providers"), {"range": "1h", **query})
    ((line, _, _),) = answer.context["lines"]
    calls = len(CALLED) - ("status" in query)
    assert (line.value, line.row["requests"], line.row["errors"]) == ("openai", calls, 6)
    assert line.row["duration_p50"] == pytest.approx(2000, rel=0.01)
    assert answer.context["table"].total["requests"] == calls
    assert asked(Question(cast.acme.pk, ("requests",))).total["requests"] == len(CALLED) + 3 * len(REFUSED) + 1


def test_where_the_refused_cannot_be_found_in_time_the_page_says_that_they_count(cast, monkeypatch):
    def slow(*_):
        raise TooSlow("slow")

    monkeypatch.setattr("metrics_app.queries.taken_away", slow)
    at = now() - timedelta(minutes=5)
    counted.count([make_row(cast.acme.pk, at), make_row(cast.acme.pk, at, status=429, problems=("rate_limited: x",))])
    answer = browser(cast.bob).get(reverse("providers"), {"range": "1h"})
    assert [line.row["requests"] for line, _, _ in answer.context["lines"]] == [2]
    assert "are counted here, too" in answer.content.decode()


def test_of_every_error_it_is_known_whether_somebody_was_called():
    def kinds(of):
        return {of, *(one for child in of.__subclasses__() for one in kinds(child))}

    codes = {one.code for one in kinds(errors.GatewayError)}
    never_on_a_row = {"helicone_key_missing", "invalid_api_key", "helicone_key_read_only", "not_ready",
                      "gateway_error"}  # fmt: skip
    was_called = {one.code for one in kinds(errors.UpstreamError)} | {errors.AllFailed.code}
    said_by_a_screen = {one.code for one in kinds(errors.Blocked)} | {errors.ScreenFailed.code}
    refused = {code.partition(":")[0] for code in CODES} - {"threat_found", "moderation_flagged"}
    assert codes - never_on_a_row - was_called - said_by_a_screen == refused


def test_a_small_screen_shows_errors_and_p95_of_providers(cast):
    counted.count([make_row(cast.acme.pk, now(), provider="openai")])
    page = browser(cast.bob).get(reverse("providers"), {"range": "1h"}).content.decode()
    heads = re.findall(r'<th scope="col" class="num( wide-only)?"[^>]*>(?:<a[^>]*>)?([^<]*)', page)
    assert [words for wide, words in heads if not wide] == ["Requests", "Errors", "p95", "Cost"]


def test_providers_of_a_filter_and_of_one_that_cannot_be_read(cast):
    at = now() - timedelta(minutes=5)
    counted.count([make_row(cast.acme.pk, at), make_row(cast.acme.pk, at, provider="groq", status=500)])
    found = browser(cast.bob).get(reverse("providers"), {"range": "1h", "status": ">=500"})
    assert [line.value for line, _, _ in found.context["lines"]] == ["groq"]
    bad = browser(cast.bob).get(reverse("providers"), {"nonsense": "1"})
    assert bad.status_code == 200
    assert b"Clear all filters" in bad.content
