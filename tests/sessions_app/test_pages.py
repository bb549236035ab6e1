"""The sessions pages: what stands on them, for whom, and that nothing a model or client said is markup."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils.html import escape

from lib.clock import now
from requests_app.queries import TooSlow
from tests.sessions_app.scenes import call, chat, keep, research_agent

HOUR = timedelta(hours=1)


def words(response) -> str:
    """The page's text, without markup and extra space."""
    text = re.sub(r"<(script|style)\b.*?</\1>|<[^>]+>", " ", response.content.decode(), flags=re.DOTALL)
    return " ".join(text.split())


def drawing(response):
    [found] = re.findall(r'<script id="trace-data" type="application/json">(.*?)</script>', response.content.decode())
    return json.loads(found)


def address(session_id: str) -> str:
    return reverse("session", args=[session_id])


def test_an_organisation_without_sessions_is_told_which_headers_make_one(looking):
    page = looking.get(reverse("sessions"))
    assert page.status_code == 200
    assert "Helicone-Session-Id" in words(page)
    assert "/v1/gateway/oai/v1/chat/completions" in words(page)


def test_the_list_shows_name_requests_errors_and_cost(looking, acme):
    research_agent(acme.id, now() - HOUR)
    text = words(looking.get(reverse("sessions")))
    for shown in ("market research", "run_01HV7Q2M8ZK3", "dana@northwind.example"):
        assert shown in text
    assert "No sessions yet" not in text


def test_one_of_a_kind_is_not_called_many(looking, acme):
    keep([call(acme.id, now() - HOUR, "/a", session="short", status=500)])
    for path in (reverse("sessions"), address("short")):
        labels = re.findall(r"<dt>([^<]*)</dt>", looking.get(path).content.decode())
        assert "request" in labels
        assert not {"requests", "errors", "sessions"} & set(labels)


def test_sessions_of_another_organisation_are_neither_listed_nor_opened(looking, acme, globex):
    keep([call(globex.id, now() - HOUR, "/a", session="theirs")])
    keep([call(acme.id, now() - HOUR, "/a", session="ours")])
    text = words(looking.get(reverse("sessions")))
    assert "ours" in text
    assert "theirs" not in text
    assert looking.get(address("theirs")).status_code == 404


def test_one_id_used_by_two_organisations_is_two_sessions(looking, acme, globex):
    keep([call(acme.id, now() - HOUR, "/mine", session="same")])
    keep([call(globex.id, now() - HOUR, "/not mine", session="same")])
    page = looking.get(address("same"))
    assert "mine" in drawing(page)["strings"]
    assert "not mine" not in drawing(page)["strings"]


def test_somebody_not_logged_in_is_sent_to_log_in(client, acme):
    for url in (reverse("sessions"), address("x")):
        assert client.get(url).headers["Location"].startswith("/login")


@pytest.mark.parametrize(
    "evil", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</script><b>", "{{7*7}}"]
)
def test_what_a_client_calls_things_is_text_and_never_markup(looking, acme, evil):
    keep([call(acme.id, now() - HOUR, f"/{evil}/x", session=evil, session_name=evil, model=evil, end_user_id=evil,
               status=500, error_message=evil)])  # fmt: skip
    for url in (reverse("sessions"), address(evil)):
        page = looking.get(url)
        assert page.status_code == 200
        markup = page.content.decode().replace("{{ 7*7 }}", "")
        if evil.startswith("{{"):
            assert "49" not in re.findall(r"strong\">(\d+)<", markup)
        else:
            assert evil not in markup


@pytest.mark.parametrize("session_id", ["a/b/c", "with space", "ünïcode 字", "q?x=1&y", "50%", "#1", "x" * 500, "a//b"])
def test_any_text_is_a_session_id_one_can_open(looking, acme, session_id):
    keep([call(acme.id, now() - HOUR, "/a", session=session_id)])
    assert f'href="{escape(address(session_id))}"' in looking.get(reverse("sessions")).content.decode()
    assert looking.get(address(session_id)).status_code == 200


def test_the_session_page_says_what_it_cost_and_where_that_went(looking, acme):
    research_agent(acme.id, now() - HOUR)
    page = looking.get(address("run_01HV7Q2M8ZK3"))
    summary = page.context["summary"]
    assert summary.by_step[0].label == "summarise"
    assert summary.by_step[0].part > 0.8
    assert summary.by_model[0].label == "claude-sonnet-4-5"
    assert summary.sums.unpriced == 1
    assert "unknown" in words(page)
    assert "First error at /agent/round 3/summarise" in words(page)


def test_the_drawing_holds_every_step_once_with_sums_and_ways(looking, acme):
    rows = research_agent(acme.id, now() - HOUR)
    drawn = drawing(looking.get(address("run_01HV7Q2M8ZK3")))
    assert sorted(each for each in drawn["id"] if each) == sorted(str(row.id) for row in rows)
    assert drawn["cost"][0] == sum(row.cost_nano_usd or 0 for row in rows)
    assert drawn["errors"][0] == 2
    assert len({len(column) for name, column in drawn.items() if name not in {"start", "strings"}}) == 1


def test_a_session_whose_requests_are_gone_still_shows_what_was_counted(looking, acme):
    from django.db import connection

    keep([call(acme.id, now() - HOUR, "/a", session="old")])
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM llm_request WHERE session_id = 'old'")
    text = words(looking.get(address("old")))
    assert "The steps of this session are gone" in text
    assert "$0.00602" in text


def test_an_unpriced_session_shows_a_dash_and_never_zero(looking, acme):
    keep([call(acme.id, now() - HOUR, "/a", session="free?", cost_nano_usd=None, cost_reason="no_price")])
    for url in (reverse("sessions"), address("free?")):
        page = looking.get(url).content.decode()
        assert "$0" not in page
        assert "no call" in page


def test_a_model_that_only_failed_shows_a_dash_beside_one_that_cost(looking, acme):
    used = {"input_tokens": None, "output_tokens": None, "cost_nano_usd": None, "cost_reason": "no_usage"}
    good = call(acme.id, now() - HOUR, "/a", session="mixed", model="good", cost_nano_usd=5_000_000_000)
    keep([good, call(acme.id, now() - HOUR, "/b", session="mixed", model="broken", status=400, **used)])
    page = looking.get(address("mixed"))
    assert [one.sums.known_cost for one in page.context["summary"].by_model] == [5_000_000_000, None]
    assert "$0.00" not in words(page)


def test_a_first_error_without_an_http_status_is_told_in_a_word(looking, acme):
    keep([call(acme.id, now() - HOUR, "/a", session="left", status=-3, cost_nano_usd=None)])
    text = words(looking.get(address("left")))
    assert "cancelled First error at /a" in text
    assert "-3" not in text


@pytest.mark.parametrize("query", [
    "?range=nonsense", "?from=yesterday", "?sort=nonsense", "?after=x&after_id=y", "?sort=cost&after=9e99&after_id=y",
    "?sort=cost&after=99999999999999999999&after_id=y", "?after=2026-01-01&after_id=y", "?q=%00", "?dir=sideways",
    "?after=2026-13-01T00:00:00Z&after_id=y", "?name=", "?user=%25",
])  # fmt: skip
def test_an_address_that_makes_no_sense_is_still_a_page(looking, acme, query):
    keep([call(acme.id, now() - HOUR)])
    assert looking.get(reverse("sessions") + query).status_code == 200


def listed(response) -> list[str]:
    return [row.session_id for row in response.context["sessions"]]


@pytest.mark.parametrize("sort", ["newest", "cost", "duration", "requests", "errors"])
@pytest.mark.parametrize("direction", ["", "asc"])
def test_paging_shows_every_session_once_in_order(looking, acme, monkeypatch, sort, direction):
    monkeypatch.setattr("sessions_app.views.PAGE_LENGTH", 3)
    start = now() - HOUR
    for number in range(10):
        keep([
            call(acme.id, start + timedelta(seconds=number * 7 % 10 + step), session=f"s{number}",
                 cost_nano_usd=number // 3 * 1000, status=500 if number % 4 == 0 else 200)
            for step in range(number % 3 + 1)
        ])  # fmt: skip
    url, seen = reverse("sessions") + f"?sort={sort}&dir={direction}", []
    whole = None
    while url:
        page = looking.get(url)
        seen += listed(page)
        whole = whole or page.context["totals"].sessions
        url = page.context["links"]["older"]
        url = url and reverse("sessions") + url
    assert sorted(seen) == sorted(f"s{number}" for number in range(10))
    assert whole == 10
    monkeypatch.setattr("sessions_app.views.PAGE_LENGTH", 50)
    assert seen == listed(looking.get(reverse("sessions") + f"?sort={sort}&dir={direction}"))


def test_the_list_is_narrowed_by_words_name_user_range_and_errors(looking, acme):
    moment = now()
    chat(acme.id, moment - HOUR, "chat_50%", "ann@x.example")
    keep([call(acme.id, moment - timedelta(days=20), session="long ago", session_name="old")])
    keep([call(acme.id, moment - HOUR, session="failed", session_name="job", status=500)])

    def found(query: str) -> list[str]:
        return sorted(listed(looking.get(reverse("sessions") + query)))

    assert found("") == ["chat_50%", "failed"]
    assert found("?range=all") == ["chat_50%", "failed", "long ago"]
    assert found("?q=50%25") == ["chat_50%"]
    assert found("?q=SUPPORT") == ["chat_50%"]
    assert found("?name=job") == ["failed"]
    assert found("?user=ann@x.example") == ["chat_50%"]
    assert found("?errors=1") == ["failed"]


def test_a_question_that_takes_too_long_is_a_page_that_says_so(looking, acme, monkeypatch):
    def slow(*asked):
        raise TooSlow("Query timeout. Try a shorter time range or simpler filters.")

    keep([call(acme.id, now() - HOUR)])
    monkeypatch.setattr("sessions_app.queries.session_page", slow)
    page = looking.get(reverse("sessions"))
    assert page.status_code == 200
    assert "Try a shorter time range" in words(page)
    assert "No sessions yet" not in words(page)


def test_a_page_of_one_session_asks_the_same_few_questions_whatever_its_size(
    looking, acme, django_assert_max_num_queries
):
    research_agent(acme.id, now() - HOUR)
    with django_assert_max_num_queries(16):
        looking.get(address("run_01HV7Q2M8ZK3"))
