"""Settings → Prices and /v1/price: who sees and sets them, what is refused, and which price a model gets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from accounts_app.models import AuditEntry, Role
from lib.clock import now
from requests_app import price_rules, prices
from requests_app.models import ModelPrice
from requests_app.price_rules import Author, BadRule, Rule
from tests import factories
from tests.factories import api_key, bearer, browser

pytestmark = pytest.mark.django_db
SAID = {"name": "Our llama", "provider": "llama.example", "match": "starts_with", "pattern": "llama-3",
        "input_mtok": "0.5", "output_mtok": "$1.5"}
ASKED = {"name": "Our llama", "provider": "llama.example", "match": {"starts_with": "llama-3"},
         "prices": {"input_mtok": 0.5, "output_mtok": "1.5"}}
TOMORROW = now() + timedelta(days=1)


def operator():
    return factories.person("root@example.org", is_staff=True)


def reader(cast, role=Role.MEMBER):
    person = factories.person(f"{role}@example.org")
    factories.membership(cast.acme, person, role)
    return person


def found(cast, model="llama-3-8b", provider="llama.example", at=None, of=None):
    return price_rules.find((of or cast.acme).pk, provider, model, at=at).row


def seeded(model="llama", provider="llama.example", usd="9"):
    return ModelPrice.objects.create(
        provider=provider, model_key=model, match={"contains": model}, source="genai-prices 1",
        prices={"input_mtok": usd, "output_mtok": usd},
    )  # fmt: skip


def test_an_admin_sets_a_price_and_it_wins_over_the_list(cast):
    list_row = seeded()
    assert found(cast).id == list_row.pk
    answer = browser(cast.alice).post(reverse("price-add"), SAID)
    assert answer.status_code == 302, answer.content
    row = found(cast)
    assert row.model_key == "Our llama" and row.prices == {"input_mtok": "0.5", "output_mtok": "1.5"}
    assert found(cast, of=cast.umbrella).id == list_row.pk
    [entry] = AuditEntry.objects.filter(action="price added")
    assert entry.user == cast.alice and entry.detail["model"] == "starts with llama-3"


def test_the_line_is_told_of_every_change(cast):
    stamps = [prices.stamp(connection)]
    by = Author(cast.acme.pk, cast.alice)
    made = price_rules.add(by, Rule(cast.acme.pk, "a", "", {"equals": "m"}, {"input_mtok": "1"}))
    stamps.append(prices.stamp(connection))
    made = price_rules.change(by, made, Rule(cast.acme.pk, "a", "", {"equals": "m"}, {"input_mtok": "2"}))
    stamps.append(prices.stamp(connection))
    price_rules.remove(by, made)
    stamps.append(prices.stamp(connection))
    assert len(set(stamps)) == 4


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
def test_others_see_prices_and_set_none(cast, role):
    browser(cast.alice).post(reverse("price-add"), SAID)
    row = ModelPrice.objects.get()
    other = browser(reader(cast, role))
    page = other.get(reverse("prices")).content.decode()
    assert "Our llama" in page and "Add a price" not in page and ">Change<" not in page
    assert other.get(reverse("price-add")).status_code == 403
    for address in (reverse("price", args=[row.pk]), reverse("price-remove", args=[row.pk])):
        assert other.post(address, SAID).status_code == 403
    assert ModelPrice.objects.filter(is_current=True).count() == 1


def test_organisations_do_not_see_each_others(cast):
    browser(cast.alice).post(reverse("price-add"), SAID)
    row = ModelPrice.objects.get()
    charlie = browser(cast.charlie)
    assert "Our llama" not in charlie.get(reverse("prices")).content.decode()
    assert charlie.post(reverse("price", args=[row.pk]), SAID).status_code == 404
    assert charlie.post(reverse("price-remove", args=[row.pk])).status_code == 404
    tested = charlie.get(reverse("price-test"), {"model": "llama-3-8b", "provider": "llama.example"}).content.decode()
    assert "No price is known" in tested


def test_everybodys_prices_are_set_by_operators_alone(cast):
    browser(cast.alice).post(reverse("price-add"), {**SAID, "everybody": "on"})
    assert ModelPrice.objects.get().organization_id == cast.acme.pk
    root = operator()
    factories.membership(cast.acme, root, Role.VIEWER)
    browser(root).post(reverse("price-add"), {**SAID, "name": "For all", "everybody": "on"})
    row = ModelPrice.objects.get(model_key="For all")
    assert row.organization_id is None and found(cast, of=cast.umbrella).id == row.pk
    assert browser(cast.alice).post(reverse("price", args=[row.pk]), SAID).status_code == 403
    assert browser(root).post(reverse("price-add"), {**SAID, "name": "Ours"}).status_code == 403
    assert "everybody's<" in browser(cast.charlie).get(reverse("prices")).content.decode()


def test_a_change_from_a_day_on_keeps_the_price_before_it(cast):
    browser(cast.alice).post(reverse("price-add"), SAID)
    old = ModelPrice.objects.get()
    day = (now() + timedelta(days=3)).date()
    answer = browser(cast.alice).post(
        reverse("price", args=[old.pk]), {**SAID, "input_mtok": "7", "starts_on": day.isoformat()}
    )
    assert answer.status_code == 302
    assert found(cast, at=now()).prices["input_mtok"] == "0.5"
    assert found(cast, at=now() + timedelta(days=5)).prices["input_mtok"] == "7"
    page = browser(cast.alice).get(reverse("price", args=[ModelPrice.objects.order_by("-id")[0].pk])).content.decode()
    assert page.count("in force") == 2 and page.count("replaced") == 1
    old.refresh_from_db()
    assert not old.is_current and old.prices["input_mtok"] == "0.5"  # what was charged at it still finds it
    assert browser(cast.alice).post(reverse("price", args=[old.pk]), SAID).status_code == 404


def test_a_removed_price_gives_way_to_the_list(cast):
    list_row = seeded()
    browser(cast.alice).post(reverse("price-add"), SAID)
    row = ModelPrice.objects.get(source="operator")
    browser(cast.alice).post(reverse("price-remove", args=[row.pk]))
    assert found(cast).id == list_row.pk
    assert AuditEntry.objects.filter(action="price removed").count() == 1


@pytest.mark.parametrize(("said", "sentence"), [
    ({"pattern": "["}, "Not a regular expression"),
    ({"pattern": "(a+)+$"}, "may take too long"),
    ({"pattern": "a*b*c*"}, "may take too long"),
    ({"pattern": "(?x)(a+) +$"}, "may take too long"),
    ({"pattern": "(?x:(a+)#[\n+#]\n)"}, "may take too long"),
    ({"input_mtok": "-1"}, "A price is a number from 0 up"),
    ({"input_mtok": "cheap"}, "Prices cannot be read"),
    ({"input_mtok": "NaN"}, "A price is a number from 0 up"),
    ({"input_mtok": "1e99"}, "slip of the pen"),
    ({"input_mtok": "", "output_mtok": ""}, "Say at least one price"),
    ({"name": ""}, "required"),
    ({"starts_on": "2026-02-01", "ends_on": "2026-01-01"}, "ends before it starts"),
    ({"extra": "{"}, "not JSON"),
    ({"extra": '{"hours": 5}'}, "Prices cannot be read"),
    ({"extra": '{"input_gold": "1"}'}, "There is no unit input_gold"),
    ({"match": "json", "pattern": '{"or": 5}'}, "A pattern is one of"),
])
def test_what_cannot_be_is_refused_in_a_sentence_and_nothing_is_kept(cast, said, sentence):
    answer = browser(cast.alice).post(reverse("price-add"), {**SAID, "match": "regex", **said})
    assert answer.status_code == 400
    assert sentence.lower() in answer.content.decode().lower()
    assert not ModelPrice.objects.exists()


def test_the_most_exact_pattern_wins_and_the_box_says_so(cast):
    by = Author(cast.acme.pk, cast.alice)
    for name, match in (("any", {"contains": "llama"}), ("short", {"starts_with": "ll"}),
                        ("long", {"starts_with": "llama-3"}), ("exact", {"equals": "llama-3-8b"})):
        price_rules.add(by, Rule(cast.acme.pk, name, "llama.example", match, {"input_mtok": "1"}))
    asked = {"model": "Llama-3-8B", "provider": "llama.example"}
    page = browser(cast.alice).get(reverse("price-test"), asked).content.decode()
    assert page.index("exact") < page.index("“long”") < page.index("“short”") < page.index("“any”")


@pytest.mark.filterwarnings("ignore::FutureWarning")
@given(st.text(alphabet="ab*+?{}()[]|\\.2,^$", max_size=14))
def test_no_pattern_that_is_taken_takes_long(pattern):
    try:
        rule = price_rules.checked(Rule(1, "n", "", {"regex": pattern}, {"input_mtok": "1"}))
    except BadRule:
        return
    matches = price_rules.matcher(rule.match)
    before = datetime.now(UTC)
    matches("a" * 60 + "!")
    matches("ab" * 60 + "!")
    assert datetime.now(UTC) - before < timedelta(seconds=2)


def test_the_price_of_another_model_is_taken_over_with_its_dates(cast):
    seeded("gpt-4o", "openai", "3")
    said = {"provider": "llama.example", "name": "mine", "like": "gpt-4o", "like_provider": "openai"}
    browser(cast.bob).post(reverse("unpriced-alias"), said)
    assert found(cast, "mine") is None
    answer = browser(cast.alice).post(reverse("unpriced-alias"), said)
    assert "model=mine" in answer["Location"]
    assert found(cast, "mine").prices == {"input_mtok": "3", "output_mtok": "3"}
    assert found(cast, "mine", of=cast.umbrella) is None


# --- the API ----------------------------------------------------------------------------------------------------------


def call(method, path, key, body=None):
    return getattr(browser(), method)(path, body, content_type="application/json", headers=bearer(key))


@pytest.fixture
def admins_key(cast):
    return api_key(cast.acme, created_by=cast.alice)


def test_the_api_adds_changes_tests_and_removes(cast, admins_key):
    made = call("post", "/v1/price", admins_key, ASKED)
    assert made.status_code == 201, made.content
    told = made.json()["data"]
    assert told == {**ASKED, "id": told["id"], "prices": {"input_mtok": "0.5", "output_mtok": "1.5"}, "startsAt": None,
                    "endsAt": None, "scope": "organization", "source": "operator"}
    assert [one["id"] for one in browser().get("/v1/price", headers=bearer(admins_key)).json()["data"]] == [told["id"]]
    changed = call("patch", f"/v1/price/{told['id']}", admins_key,
                   {"prices": {"input_mtok": "2"}, "startsAt": TOMORROW.isoformat()}).json()["data"]
    tested = call("post", "/v1/price/test", admins_key,
                  {"model": "llama-3-8b", "provider": "llama.example",
                   "at": (TOMORROW + timedelta(days=1)).isoformat()})
    assert tested.json()["data"]["price"]["id"] == changed["id"]
    whole = browser().get(f"/v1/price/{changed['id']}", headers=bearer(admins_key)).json()["data"]
    assert [one["isCurrent"] for one in whole["history"]] == [True, True, False]
    assert call("delete", f"/v1/price/{changed['id']}", admins_key).json() == {"data": None, "error": None}
    assert browser().get(f"/v1/price/{changed['id']}", headers=bearer(admins_key)).status_code == 404


def test_a_key_is_worth_what_its_maker_is(cast, admins_key):
    for maker in (None, cast.bob, cast.charlie):
        answer = call("post", "/v1/price", api_key(cast.acme, created_by=maker), ASKED)
        assert answer.status_code == 403 and "role admin" in answer.json()["error"]
    read_only = api_key(cast.acme, "r", created_by=cast.alice)
    assert call("post", "/v1/price", read_only, ASKED).status_code == 401
    assert browser().get("/v1/price", headers=bearer(read_only)).status_code == 200
    assert browser().get("/v1/price").status_code == 401
    made = call("post", "/v1/price", admins_key, ASKED).json()["data"]
    theirs = api_key(cast.umbrella, created_by=cast.charlie)
    assert browser().get("/v1/price", headers=bearer(theirs)).json()["data"] == []
    assert call("delete", f"/v1/price/{made['id']}", theirs).status_code == 404


@pytest.mark.parametrize("body", [
    [], 5, {**ASKED, "match": {}}, {**ASKED, "match": {"equals": 5}}, {**ASKED, "match": {"or": [5]}},
    {**ASKED, "prices": {}}, {**ASKED, "prices": {"input_mtok": None}},
    {**ASKED, "prices": {"input_mtok": {"tiers": []}}}, {**ASKED, "prices": {"input_mtok": "1", "hours": [5]}},
    {**ASKED, "startsAt": 5}, {**ASKED, "name": 5}, {**ASKED, "colour": "red"}, {**ASKED, "name": "a" * 300},
])
def test_a_body_that_does_not_fit_is_answered_with_a_sentence(cast, admins_key, body):
    answer = call("post", "/v1/price", admins_key, body)
    assert answer.status_code == 422, answer.content
    assert answer.json()["data"] is None and answer.json()["error"]
    assert not ModelPrice.objects.exists()


def test_everybodys_price_is_not_changed_by_a_key(cast, admins_key):
    row = ModelPrice.objects.create(provider="", model_key="all", match={"equals": "m"}, prices={"input_mtok": "1"},
                                    source="operator")
    assert call("delete", f"/v1/price/{row.pk}", admins_key).status_code == 403
