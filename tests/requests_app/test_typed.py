"""The filter bar's short form, on every page that has a filter bar; saved filters of one page on the others."""

from __future__ import annotations

from datetime import timedelta
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.http import QueryDict

from lib import clock
from requests_app import filter_text, filter_url
from requests_app.asking import PAGE_KEYS
from requests_app.models import SavedFilter
from tests.factories import browser
from tests.sessions_app.scenes import call, keep

pytestmark = pytest.mark.django_db
PAGES = ["/requests", "/sessions", "/dashboard", "/users", "/users/mara", "/properties", "/properties/env", "/models"]
TEXT = "model:gpt-4o status:>=400 cost:>0.01 property.env:prod"


@pytest.mark.parametrize("page", PAGES)
def test_what_is_typed_becomes_conditions_of_the_address(cast, page):
    answer = browser(cast.alice).get(page, {"add_text": TEXT, "range": "30d", "draft": "x"})
    assert answer.status_code == 302
    path, said = urlsplit(answer["Location"]).path, parse_qsl(urlsplit(answer["Location"]).query)
    assert (path, dict(said)) == (
        page,
        {"range": "30d", "model": "gpt-4o", "status": ">=400", "cost": ">0.01", "property.env": "prod"},
    )
    assert browser(cast.alice).get(answer["Location"]).status_code == 200


@pytest.mark.parametrize("page", PAGES)
def test_what_cannot_be_read_stays_in_the_input_with_the_reason(cast, page):
    answer = browser(cast.alice).get(page, {"add_text": "colour:red <b>", "status": "500"})
    html = answer.content.decode()
    assert answer.status_code == 200
    assert "There is no filter &#x27;colour&#x27;" in html and "At character" in html
    assert 'name="add_text" value="colour:red &lt;b&gt;"' in html
    assert 'aria-invalid="true"' in html
    assert ("status", "500") in answer.context["hidden"]
    assert "Clear all filters" not in html  # what was there before still shows
    assert not {key for key, _ in answer.context["hidden"]} & {"add_text", "draft"}


@pytest.mark.parametrize(
    ("there", "text"),
    [
        ("model=a", "model:b"), ("model=a", "model:a OR status:500"), ("filter=status:500", "-model:a"),
        ("", '"a b" cost:1'),
    ],
)  # fmt: skip
def test_what_is_typed_holds_beside_what_is_there(cast, there, text):
    answer = browser(cast.alice).get(f"/requests?{there}", {**dict(parse_qsl(there)), "add_text": text})
    said = filter_url.parse(QueryDict(urlsplit(answer["Location"]).query), reserved=PAGE_KEYS)
    before = filter_url.parse(QueryDict(there))
    both = filter_text.dump(said)
    for part in (before, filter_text.parse(text)):
        for one in getattr(part, "parts", None) or (part,):
            assert filter_text.dump(one) in both
    assert filter_text.parse(both) == said


def test_a_typed_filter_that_is_no_list_of_conditions_is_changed_where_it_was_typed(cast):
    answer = browser(cast.alice).get("/dashboard", {"add_text": "model:a OR (status:500 cost:>1)"})
    page = browser(cast.alice).get(answer["Location"])
    [chip] = page.context["chips"]
    again = browser(cast.alice).get(unescape(chip.edit))
    assert again.context["chips"] == [] and again.context["typed"] == chip.value


def test_nothing_typed_leads_back(cast):
    assert browser(cast.alice).get("/requests?model=a&add_text=+")["Location"] == "/requests?model=a"


def test_a_session_is_found_by_any_of_its_requests(cast):
    at = clock.now() - timedelta(hours=1)
    keep([
        call(cast.acme.pk, at, session="one", model="gpt-4o", status=500, end_user_id="mara"),
        call(cast.acme.pk, at, session="one", model="haiku"),
        call(cast.acme.pk, at, session="two", model="haiku", properties={"env": "100%"}),
        call(cast.umbrella.pk, at, session="theirs", model="gpt-4o"),
    ])  # fmt: skip

    def found(query: str) -> set[str]:
        return {row.session_id for row in browser(cast.alice).get(f"/sessions?{query}").context["sessions"]}

    assert found("") == {"one", "two"}
    assert found("model=gpt-4o") == {"one"} == found("user=mara") == found("filter=model:gpt-4o+status:500")
    assert found("model=haiku") == {"one", "two"}
    assert found("filter=model:haiku+status:500") == set()  # of one and the same request
    assert found("property.env=100%25") == {"two"} == found("property.env=~%25")
    assert found("q=tw&model=haiku") == {"two"}
    totals = browser(cast.alice).get("/sessions?model=gpt-4o").context["totals"]
    assert totals.sessions == 1


@pytest.mark.parametrize("page", PAGES)
def test_a_saved_filter_serves_every_page_with_its_own_range(cast, page):
    SavedFilter.objects.create(
        organization_id=cast.acme.pk, name="Bad", page="requests", query="status=>=400&range=7d&columns=time,cost",
        created_by_id=cast.alice.pk, is_shared=True,
    )  # fmt: skip
    SavedFilter.objects.create(
        organization_id=cast.acme.pk, name="By API", query="", is_shared=True, created_by_id=cast.alice.pk,
        tree={"left": {"request_response_rmt": {"model": {"equals": "a"}}}, "operator": "or",
              "right": {"request_response_rmt": {"status": {"equals": 500}}}},
    )  # fmt: skip
    SavedFilter.objects.create(
        organization_id=cast.acme.pk, name="Wide", page="requests", query="range=90d", created_by_id=cast.alice.pk,
        is_shared=True,
    )  # fmt: skip
    offered = {one.name: one for one in browser(cast.bob).get(f"{page}?range=1h").context["saved"]}
    assert offered["Bad"].url == ("/requests?status=>=400&range=7d&columns=time,cost" if page == "/requests"
                                  else f"{page}?range=1h&status=>=400")  # fmt: skip
    assert ("Wide" in offered) == (page == "/requests")
    for one in offered.values():
        answer = browser(cast.bob).get(one.url)
        assert answer.status_code == 200 and answer.context["complaint"] == ""
    assert browser(cast.bob).get(offered["By API"].url).context["chips"][0].value == "model:a OR status:500"


def test_a_view_of_any_page_is_saved_and_leads_back_there(cast):
    for page in ("sessions", "users", "models", "properties", "dashboard"):
        said = {"name": f"my {page}", "page": page, "query": "model=a&range=30d&after=1"}
        answer = browser(cast.alice).post("/requests/views", said)
        assert answer["Location"] == f"/{page}?model=a&range=30d"
        [own] = [one for one in browser(cast.alice).get(answer["Location"]).context["saved"] if not one.page]
        assert (own.name, own.is_this) == (f"my {page}", True)
