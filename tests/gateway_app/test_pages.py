"""Providers, and Settings → Routes: who sees and changes what, and what it says."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.urls import reverse

from accounts_app.models import AuditEntry, Role
from gateway_app import routing
from gateway_app.models import GatewayRoute
from gateway_app.routing import BadRoute
from gateway_app.snapshot_parts import ROUTES
from gateway_app.stored_routes import for_model
from lib.clock import now
from llm.exchange import ATTEMPT
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
