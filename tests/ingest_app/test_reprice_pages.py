"""Settings → Re-price and /v1/reprice: who looks, applies, stops and undoes; and the inbox of what has no price."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.urls import reverse

from accounts_app.models import AuditEntry
from ingest_app import reprice_words, repricing
from ingest_app.models import Repricing
from lib.clock import now
from lib.postgres import conninfo
from requests_app import price_rules
from requests_app.models import Dismissal, LLMRequest
from requests_app.price_rules import Author, Rule
from tests.factories import api_key, bearer, browser
from tests.metrics_app.counting import TABLES
from tests.requests_app.factories import make_request

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def ground(transactional_db):
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {TABLES}, repricing, repriced_row, model_price")


@pytest.fixture(autouse=True)
def no_wait_for_the_line(monkeypatch):
    monkeypatch.setattr(repricing, "LINE_SECONDS", -1.0)


def work() -> None:
    with psycopg.connect(conninfo(connection.settings_dict, application="test"), autocommit=True) as db:
        repricing.work(db, seconds=10, on_end=reprice_words.ended)


def unpriced(cast, model="mine", **values: Any):
    at = values.pop("at", now() - timedelta(hours=3))
    fields = {"model": model, "request_model": model, "response_model": model, "provider": "ollama",
              "cost_nano_usd": None, "cost_reason": "no_price", "price_id": None, **values}
    organization_id = fields.pop("organization_id", cast.acme.pk)
    return make_request(organization_id, at, **fields)


def priced(cast, model="mine"):
    return price_rules.add(Author(cast.acme.pk, cast.alice), Rule(
        cast.acme.pk, model, "ollama", {"equals": model}, {"input_mtok": "1", "output_mtok": "1"}
    ))  # fmt: skip


def look(cast, **said) -> Repricing:
    answer = browser(cast.alice).post(reverse("reprice"), {"range": "7d", **said})
    assert answer.status_code == 302, answer.content
    return Repricing.objects.latest("id")


def give(user, run, what):
    return browser(user).post(reverse("reprice-order", args=[run.pk, what]), follow=True)


def cost(row):
    return LLMRequest.objects.get(id=row.id).cost_nano_usd


def test_a_run_nobody_ordered_by_hand_is_an_api_keys(cast):
    unpriced(cast)
    look(cast)
    Repricing.objects.update(created_by_id=None)
    assert "an API key" in browser(cast.alice).get(reverse("reprice")).text


def test_from_the_inbox_to_a_price_to_the_cost_of_what_is_there_and_back(cast):
    row = unpriced(cast)
    alice = browser(cast.alice)
    inbox = alice.get(reverse("unpriced")).content.decode()
    assert re.search(r'mine</a>\s*<span class="narrow-only[^>]*>ollama<', inbox)
    assert "mine" in inbox and "model=mine&amp;provider=ollama&amp;next=reprice" in inbox
    form = alice.get(reverse("price-add"), {"model": "mine", "provider": "ollama", "next": "reprice"})
    assert 'value="mine"' in form.content.decode()
    said = {"name": "mine", "provider": "ollama", "match": "equals", "pattern": "mine", "input_mtok": "1",
            "output_mtok": "1", "next": "reprice"}
    led = alice.post(reverse("price-add"), said)
    assert led["Location"].startswith(reverse("reprice")) and "only_unpriced=1" in led["Location"]
    assert "checked" in alice.get(led["Location"]).content.decode()
    assert "Re-price</a>" in alice.get(reverse("unpriced")).content.decode()
    run = look(cast, model="mine", provider="ollama", only_unpriced="1")
    page = alice.get(reverse("repricing", args=[run.pk])).content.decode()
    assert "Apply to" in page and cost(row) is None
    give(cast.alice, run, "apply")
    work()
    assert cost(row) == 1_514_000
    assert "no model is without a price" in alice.get(reverse("unpriced")).content.decode()
    assert ">Undo<" in alice.get(reverse("repricing", args=[run.pk])).content.decode()
    give(cast.alice, run, "undo")
    work()
    assert cost(row) is None
    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == [
        "price added", "repricing previewed", "repricing started", "repricing finished", "repricing undone",
        "repricing taken back",
    ]  # fmt: skip


def test_a_run_is_paused_resumed_and_cancelled(cast, monkeypatch):
    monkeypatch.setattr(repricing, "WINDOW", 1)
    rows = [unpriced(cast) for _ in range(4)]
    priced(cast)
    run = look(cast)
    give(cast.alice, run, "apply")
    with psycopg.connect(conninfo(connection.settings_dict, application="test"), autocommit=True) as db:
        repricing.step(db, run.pk, repricing.prices.load_book(db))
    give(cast.alice, run, "pause")
    work()
    assert sum(cost(row) is not None for row in rows) == 1
    htmx = {"HX-Request": "true"}
    part = browser(cast.alice).get(reverse("repricing", args=[run.pk]), headers=htmx).content.decode()
    assert "Paused." in part and "<html" not in part and "every 1s" not in part
    assert "not finished yet" in browser(cast.alice).post(reverse("reprice"), {"range": "7d"}).content.decode()
    give(cast.alice, run, "resume")
    part = browser(cast.alice).get(reverse("repricing", args=[run.pk]), headers=htmx).content.decode()
    assert "every 1s" in part
    give(cast.alice, run, "cancel")
    work()
    assert sum(cost(row) is not None for row in rows) == 1
    page = give(cast.alice, run, "resume").content.decode()
    assert "Only a paused run can be resumed." in page
    give(cast.alice, run, "undo")
    work()
    assert all(cost(row) is None for row in rows)


def test_what_was_looked_at_with_other_prices_is_not_applied(cast):
    unpriced(cast)
    run = look(cast)
    priced(cast)
    assert "Prices have changed since this look" in give(cast.alice, run, "apply").content.decode()
    give(cast.alice, run, "again")
    work()
    give(cast.alice, run, "apply")
    run.refresh_from_db()
    assert run.state == "applying"


def test_members_look_on_and_others_see_nothing(cast):
    unpriced(cast)
    priced(cast)
    run = look(cast)
    bob = browser(cast.bob)
    page = bob.get(reverse("repricing", args=[run.pk])).content.decode()
    assert "mine" in page and "Apply to" not in page
    bob.post(reverse("reprice"), {"range": "7d"})
    assert Repricing.objects.count() == 1
    assert give(cast.bob, run, "apply").status_code == 403
    assert browser(cast.charlie).get(reverse("repricing", args=[run.pk])).status_code == 404
    assert give(cast.charlie, run, "apply").status_code == 404
    assert f"/{run.pk}" not in browser(cast.charlie).get(reverse("reprice")).content.decode()


@pytest.mark.parametrize("said", [
    {"range": "never"}, {"range": "", "from": "2026-02-01T00:00", "to": "2026-01-01T00:00"},
    {"range": "", "from": "9999-01-01T00:00"}, {"range": "7d", "model": "\n".join(f"m{n}" for n in range(300))},
    {"range": "7d", "model": "m\x00"},
])
def test_what_cannot_be_looked_at_is_refused_in_a_sentence(cast, said):
    answer = browser(cast.alice).post(reverse("reprice"), said)
    assert answer.status_code == 400 and 'role="alert"' in answer.content.decode()
    assert not Repricing.objects.exists()


def test_the_api_does_the_same_by_keys_of_admins(cast):
    row = unpriced(cast)
    priced(cast)
    key = bearer(api_key(cast.acme, created_by=cast.alice))
    others = bearer(api_key(cast.acme, created_by=cast.bob))
    post = {"content_type": "application/json"}
    assert browser().post("/v1/reprice", {}, headers=others, **post).status_code == 403
    assert browser().post("/v1/reprice", {"models": "mine"}, headers=key, **post).status_code == 422
    made = browser().post("/v1/reprice", {"range": "7d", "models": ["mine"]}, headers=key, **post).json()["data"]
    told = browser().get(f"/v1/reprice/{made['id']}", headers=others).json()["data"]
    assert told["state"] == "previewed"
    [line] = told["difference"]
    assert (line["model"], line["newlyPriced"], line["oldCost"], line["newCost"]) == ("mine", 1, None, 0.001514)
    assert browser().post(f"/v1/reprice/{made['id']}/undo", headers=key, **post).status_code == 409
    assert browser().post(f"/v1/reprice/{made['id']}/sing", headers=key, **post).status_code == 422
    assert browser().post(f"/v1/reprice/{made['id']}/apply", headers=key, **post).status_code == 200
    work()
    assert cost(row) == 1_514_000
    theirs = bearer(api_key(cast.umbrella, created_by=cast.charlie))
    assert browser().get("/v1/reprice", headers=theirs).json()["data"] == []
    answer = browser().get(f"/v1/reprice/{made['id']}", headers=theirs)
    assert answer.status_code == 404 and answer.json()["data"] is None


# --- the inbox --------------------------------------------------------------------------------------------------------


def test_the_inbox_tells_each_kind_with_its_count_and_whose_it_is(cast):
    for _ in range(3):
        unpriced(cast, input_tokens=100)
    unpriced(cast, "theirs", organization_id=cast.umbrella.pk)
    unpriced(cast, "old", at=now() - timedelta(days=50))
    unpriced(cast, "ok", cost_nano_usd=5, cost_reason="price")
    key = api_key(cast.acme, name="checkout app")
    key_id = cast.acme.api_keys.get(name="checkout app").pk
    assert key
    for _ in range(2):
        unpriced(cast, "chatty", is_stream=True, cost_reason="no_usage", api_key_id=key_id)
    unpriced(cast, "odd", cost_nano_usd=5, cost_reason="price", problems=("usage_key_unknown: gold_tokens",))
    answer = browser(cast.alice).get(reverse("unpriced"))
    sections = answer.context["inbox"].sections
    assert [(one.name, one.requests, one.input_tokens) for one in sections["no_price"]] == [("mine", 3, 300)]
    assert [(one.name, one.senders) for one in sections["no_usage"]] == [("chatty", (("checkout app", 2),))]
    assert [(one.name, one.requests) for one in sections["usage_key"]] == [("gold_tokens", 1)]
    assert "Helicone-Stream-Usage" in answer.content.decode()
    all_time = browser(cast.alice).get(reverse("unpriced"), {"range": "all"}).context["inbox"]
    assert {one.name for one in all_time.sections["no_price"]} == {"mine", "old"}
    theirs = browser(cast.charlie).get(reverse("unpriced")).context["inbox"]
    assert [one.name for one in theirs.sections["no_price"]] == ["theirs"]


def test_a_member_dismisses_a_line_and_brings_it_back(cast):
    unpriced(cast)
    said = {"what": "no_price", "provider": "ollama", "name": "mine", "range": "30d"}
    bob = browser(cast.bob)
    bob.post(reverse("unpriced-dismiss"), said)
    inbox = bob.get(reverse("unpriced")).context["inbox"]
    assert (inbox.is_empty, inbox.dismissed) == (True, 1)
    assert "Show 1 dismissed" in bob.get(reverse("unpriced")).content.decode()
    assert "dismissed" in bob.get(reverse("unpriced"), {"dismissed": "1"}).content.decode()
    browser(cast.charlie).post(reverse("unpriced-dismiss"), {**said, "restore": "1"})
    assert Dismissal.objects.count() == 1
    bob.post(reverse("unpriced-dismiss"), {**said, "restore": "1"})
    assert not bob.get(reverse("unpriced")).context["inbox"].is_empty


def test_the_inbox_reads_no_more_of_the_ground_than_what_is_in_it(cast):
    for n in range(300):
        unpriced(cast, f"m{n % 3}", cost_nano_usd=1 if n % 10 else None, cost_reason="price" if n % 10 else "no_price")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE llm_request")
        cursor.execute("SET enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT r.provider, r.model, count(*) FROM llm_request r WHERE r.organization_id = %s "
            "AND r.cost_nano_usd IS NULL AND r.cost_reason IN ('no_price', 'no_usage', 'no_model') "
            "AND octet_length(r.provider) <= 300 AND r.requested_at >= %s GROUP BY 1, 2",
            [cast.acme.pk, now() - timedelta(days=30)],
        )
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("RESET enable_seqscan")
    assert "cost_reason_provider" in plan, plan
