"""The cache's page: its figures are the counts', its list the requests', and both say the same."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils.html import strip_tags

from lib import clock
from metrics_app import queries_audit
from metrics_app.catalog import OTHER
from metrics_app.queries import answer
from metrics_app.question import Question
from requests_app import filter_json
from requests_app.queries import Question as Requests
from requests_app.queries_sums import count
from tests import factories as people
from tests.metrics_app import counted
from tests.requests_app.factories import make_row

pytestmark = pytest.mark.django_db
METRICS = ("cache_hits", "cache_hit_rate", "saved_cost", "saved_priced", "saved_ms", "saved_tokens")


def hit(organization_id, at, original, *, nano=2 * 10**9, **values):
    parts = {"saved_ms": 1500, "saved_input_tokens": 30, "saved_output_tokens": 12}
    parts |= {} if nano is None else {"saved_nano_usd": nano}
    return make_row(organization_id, at, cached=True, cached_from=original, usage_parts=parts, cost_nano_usd=0,
                    input_tokens=0, output_tokens=0, **values)  # fmt: skip


@pytest.fixture
def rows(cast):
    """Of Acme: two calls, the first one's reply given three times (once at no known price), the second one's once."""
    now, acme = clock.now() - timedelta(minutes=5), cast.acme.pk
    first, second = (
        make_row(acme, now - timedelta(hours=3), model=model, request_preview=words, end_user_id="mara")
        for model, words in (("gpt-4o", "Capital of France?"), ("claude", "Hello"))
    )
    hits = [
        hit(acme, now - timedelta(minutes=n), first.id, model="gpt-4o", request_preview="Capital of France?",
            end_user_id=("mara", "bob")[n % 2], properties={"env": "prod"}, nano=None if n == 2 else 2 * 10**9)
        for n in range(3)
    ]  # fmt: skip
    hits.append(hit(acme, now, second.id, model="claude", request_preview="Hello"))
    others = [hit(cast.umbrella.pk, now, first.id, request_preview="secret-words")]
    counted.count([first, second, *hits])
    counted.count(others)
    counted.fold_all(acme)
    return first, second, hits


def asked(organization_id, *by, **values):
    since = clock.now() - timedelta(days=2)
    return answer(Question(organization_id, METRICS, by, since=since, order="-cache_hits", **values))


def test_what_was_saved_is_answered_by_the_counts_in_every_dimension(cast, rows):
    found = asked(cast.acme.pk)
    assert dict(found.total.numbers) == {
        "cache_hits": 4, "cache_hit_rate": pytest.approx(4 / 6), "saved_cost": 6 * 10**9, "saved_priced": 3,
        "saved_ms": 6000, "saved_tokens": 168,
    }  # fmt: skip
    assert "usage_day" in asked(cast.acme.pk, "model").source
    by_user = asked(cast.acme.pk, "user")
    assert "facet_day" in by_user.source
    said = {row.values[0]: (row["cache_hits"], row["saved_cost"], row["saved_ms"]) for row in by_user.rows}
    assert said == {"mara": (2, 2 * 10**9, 3000), "bob": (1, 2 * 10**9, 1500), None: (1, 2 * 10**9, 1500)}
    by_value = {row.values[0]: row["saved_tokens"] for row in asked(cast.acme.pk, "property.env").rows}
    assert {key: value for key, value in by_value.items() if key is not OTHER} == {"prod": 126, None: 42}


def test_counts_of_what_was_saved_agree_with_the_ground(cast, rows):
    midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    found = queries_audit.differences(
        counted.raw(), cast.acme.pk, since=midnight - timedelta(days=2), until=midnight + timedelta(days=1)
    )
    assert found == []


def test_the_page_lists_the_replies_given_most_often(cast, rows):
    first, second, _ = rows
    browser = people.browser(cast.alice)
    page = browser.get("/cache").content.decode()
    assert "/dashboard/chart/cache-savings" in page
    shown = browser.get("/cache/repeated").content.decode()
    assert [match for match in re.findall(r'data-drawer="([\w-]+)"', shown)] == [str(first.id), str(second.id)]
    lines = [" ".join(strip_tags(line).split()) for line in shown.split("<tr data-row>")[1:]]
    assert lines[0].startswith("Capital of France? gpt-4o 3 $4.00 4.50 s")
    assert "secret-words" not in shown
    link = re.search(r'href="(/requests[^"]+cached_from[^"]+)"', shown)[1].replace("&amp;", "&")
    listed = browser.get(link).content.decode()
    assert listed.count("<tr data-row") == 3


def test_the_figures_say_of_how_many_hits_the_cost_is_known(cast, rows):
    shown = people.browser(cast.alice).get("/dashboard/figures?of=cache").content.decode()
    assert "that is known of 3 of 4" in shown
    words = " ".join(strip_tags(shown).split())
    assert "cache hits4" in words
    assert "saved cost$6.00" in words
    assert "calls to providers2" in words


def test_without_a_hit_the_page_says_how_to_get_one(cast):
    counted.count([make_row(cast.acme.pk, clock.now())])
    shown = people.browser(cast.alice).get("/cache").content.decode()
    assert "Helicone-Cache-Enabled: true" in shown
    assert "/cache/repeated" not in shown


def test_a_cached_request_says_whose_reply_it_is_and_what_that_saved(cast, rows):
    first, _, hits = rows
    shown = people.browser(cast.alice).get(f"/requests/{hits[0].id}").content.decode()
    words = " ".join(strip_tags(shown).split())
    assert "with the reply of an earlier request. Saved $2.00, 1.50 s, 30 tokens in and 12 out" in words
    assert f"/requests/{first.id}" in shown


def test_properties_the_gateway_writes_stand_behind_a_users_own(cast):
    written = {"helicone-cache-enabled": "true"}
    rows = [make_row(cast.acme.pk, clock.now(), properties=written) for _ in range(3)]
    counted.count([*rows, make_row(cast.acme.pk, clock.now(), properties={**written, "plan": "pro"})])
    shown = people.browser(cast.alice).get("/properties").content.decode()
    assert 0 < shown.index("/properties/plan") < shown.index("/properties/helicone-cache-enabled")


def test_helicones_filter_finds_the_hits_of_one_reply(cast, rows):
    first, _, _ = rows

    def hits_of(value, operator="equals"):
        tree = filter_json.parse({"request_response_rmt": {"cache_reference_id": {operator: value}}})
        return count(Requests(cast.acme.pk, tree)).value

    nobody = filter_json.NO_CACHE_HIT
    assert [hits_of(str(first.id)), hits_of(str(uuid4()))] == [3, 0]
    assert [hits_of(nobody), hits_of(nobody, "not-equals")] == [2, 4]
