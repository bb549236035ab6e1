"""The requests page as a browser gets it."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.http import QueryDict
from django.urls import reverse

from lib import clock, zstd
from llm.conversation import Conversation, Message, Part
from requests_app import asking, drawing, exports, queries, telling, views
from requests_app.bodies import Bodies, BodyUnreadable, read
from requests_app.rows import BodyRow
from tests.requests_app import factories

HTMX = {"HX-Request": "true"}
EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)>"
PAGES = ("/requests", "/requests/rows", "/requests/live", "/requests/summary", "/requests/values",
         "/requests/export.csv", "/requests/export.jsonl")  # fmt: skip


def page(client, path: str = "/requests", **headers: str) -> str:
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200, (path, answer.status_code)
    return str(answer.content.decode())


def shown(client, path) -> list[str]:
    """Ids of the rows of a list, in order."""
    return re.findall(r'data-drawer="([0-9a-f-]+)"', page(client, path))


def test_the_list_shows_calls_newest_first(looking, acme):
    now = clock.now()
    rows = [factories.make_request(acme.id, now - timedelta(minutes=m), model=f"model-{m}") for m in (3, 1, 2)]
    assert shown(looking, "/requests") == [str(rows[i].id) for i in (1, 2, 0)]


def test_a_call_of_a_tool_is_told_once_and_what_it_answered_stands_apart(looking, acme):
    factories.make_request(
        acme.id, request_preview="\u202eweather?", response_preview='⚒ get_weather({"city":"Rome"})',
        tool_calls=("get_weather",),
    )  # fmt: skip
    html = unescape(page(looking, "/requests"))
    assert html.count("get_weather(") == 1
    assert "<bdi>\u202eweather?</bdi>" in html


def test_what_calls_no_model_is_listed_when_asked_for(looking, acme):
    factories.make_request(acme.id, kind="tool", session_id="s")
    assert shown(looking, "/requests") == []
    assert len(shown(looking, "/requests?kind=tool")) == 1
    assert len(shown(looking, "/requests?session=s")) == 1


def test_older_and_newer_walk_the_whole_list(looking, acme):
    now = clock.now()
    rows = [factories.make_request(acme.id, now - timedelta(minutes=m)) for m in range(60)]
    seen, path = [], "/requests?size=25"
    while path:
        seen += shown(looking, path)
        older = re.search(r'rel="next" href="([^"]+)"', page(looking, path))
        path = unescape(older[1]) if older else ""
    assert seen == [str(row.id) for row in rows]


def test_the_filter_form_leads_to_the_address_it_means(looking):
    said = {"add_key": "property", "add_name": "env", "add_operator": "!=", "add_value": "prod"}
    said |= {"model": "m", "older": "1.x"}
    answer = looking.get("/requests", said)
    assert answer.status_code == 302
    assert answer["Location"] == "/requests?model=m&property.env=!=prod"
    said = {"add_key": "user", "add_operator": "unknown", "add_value": ""}
    assert looking.get("/requests", said)["Location"] == "/requests?user=!*"
    wrong = page(looking, "/requests?add_key=status&add_operator=>&add_value=many")
    assert "Status is compared with a number." in wrong


def test_each_condition_is_a_chip_that_can_be_taken_away(looking, acme):
    factories.make_request(acme.id)
    html = page(looking, "/requests?model=a&model=b&cost=>0.01&q=hello")
    without = [unescape(url) for url in re.findall(r'href="([^"]+)" aria-label="Remove', html)]
    assert without == [
        "/requests?model=b&cost=>0.01&q=hello", "/requests?model=a&cost=>0.01&q=hello",
        "/requests?model=a&model=b&q=hello", "/requests?model=a&model=b&cost=>0.01",
    ]  # fmt: skip
    assert "<b>$0.01</b>" in html


def test_a_filter_that_cannot_be_read_lists_nothing_and_says_why(looking, acme):
    factories.make_request(acme.id)
    for path in ("/requests?status=abc", "/requests?modle=x", "/requests?range=12y", "/requests?from=2&to=1"):
        html = page(looking, path)
        assert 'role="alert"' in html
        assert "data-drawer" not in html


def test_words_find_ids_and_previews(looking, acme):
    row = factories.make_request(acme.id, request_preview="Where is my refund", session_id="s-9")
    factories.make_request(acme.id, request_preview="Something else")
    for words in ("refund where", str(row.id), "s-9"):
        assert shown(looking, f"/requests?q={words}") == [str(row.id)]


def test_columns_are_those_of_the_address(looking, acme):
    factories.make_request(acme.id, properties={"env": "prod"}, end_user_id="u-1")
    html = page(looking, "/requests?columns=model,user&columns=property.env")
    heads = re.findall(r"<th [^>]*>([^<]+)</th>", html)
    assert heads == ["Model", "User", "env"]


def test_an_empty_organization_is_told_what_to_do(looking):
    html = page(looking)
    assert "No requests yet" in html
    assert "/oai/v1" in html


def test_nothing_found_is_said_apart_from_nothing_there(looking, acme):
    factories.make_request(acme.id, clock.now() - timedelta(days=3))
    html = page(looking)
    assert "No request matches" in html
    assert "range=all" in html


# --- news -----------------------------------------------------------------------------------------------------


def live_link(html: str) -> str:
    found = re.search(r'id="news" hx-get="([^"]+)"', html)
    assert found
    return unescape(found[1])


def test_news_come_as_a_pill_below_and_as_rows_at_the_top(looking, acme):
    factories.make_request(acme.id, clock.now() - timedelta(minutes=1))
    link = live_link(page(looking))
    assert looking.get(link).status_code == 204
    row = factories.make_request(acme.id)
    pill = looking.get(link)
    assert "1 new" in pill.content.decode()
    assert looking.get(live_link(pill.content.decode())).status_code == 204
    at_top = looking.get(f"{link}&top=1")
    assert at_top["HX-Retarget"] == "#list"
    assert 'class="is-new">' in at_top.content.decode()
    assert str(row.id) in at_top.content.decode()


def test_the_first_request_of_an_empty_list_brings_the_whole_page(looking, acme):
    link = live_link(page(looking))
    assert looking.get(link).status_code == 204
    factories.make_request(acme.id)
    assert looking.get(link)["HX-Refresh"] == "true"


def test_clearing_the_filters_keeps_range_and_columns(looking, acme):
    factories.make_request(acme.id)
    html = page(looking, "/requests?model=a&q=b&range=7d&columns=time,cost&older=1.x")
    assert 'href="/requests?range=7d&amp;columns=time%2Ccost">Clear</a>' in html


def test_a_late_row_below_the_top_is_news_too(looking, acme):
    factories.make_request(acme.id)
    link = live_link(page(looking))
    factories.make_request(acme.id, clock.now() - timedelta(minutes=5))
    assert "Changed" in looking.get(link).content.decode()


def test_nothing_is_polled_when_live_is_off_or_the_range_is_over(looking, acme):
    row = factories.make_request(acme.id)
    for query in ("live=0", "from=2020-01-01&to=2099-01-01", f"older={queries.cursor_of(row)}"):
        assert 'id="news"' not in page(looking, f"/requests?{query}")


# --- the strip --------------------------------------------------------------------------------------------------


def test_the_strip_sums_the_filtered_range(looking, acme):
    for status, cost in ((200, 2 * 10**9), (500, None)):
        factories.make_request(acme.id, status=status, cost_nano_usd=cost)
    html = page(looking, "/requests/summary")
    assert "$2.00" in html
    assert "50 %" in html
    assert "of 1 priced" in html


def test_a_strip_that_takes_too_long_counts_what_it_can(looking, acme, monkeypatch):
    factories.make_request(acme.id)

    def slow(*_, **__):
        raise queries.TooSlow("too slow")

    monkeypatch.setattr(views.queries_sums, "summary", slow)
    assert "takes too long" in page(looking, "/requests/summary")
    monkeypatch.setattr(views.queries, "page", slow)
    assert "This took too long" in page(looking, "/requests")


# --- one request ------------------------------------------------------------------------------------------------


def test_the_drawer_escapes_everything_a_stranger_wrote(looking, acme):
    row = factories.make_request(
        acme.id, model=EVIL, request_model=EVIL, request_preview=EVIL, response_preview=EVIL, end_user_id=EVIL,
        session_id=EVIL, error_message=EVIL, error_type=EVIL, status=500, properties={EVIL: EVIL}, target_url=EVIL,
        finish_reason=EVIL, provider=EVIL, tool_calls=(EVIL,), problems=(EVIL,), client_request_id=EVIL,
        request={"model": EVIL, "messages": [{"role": EVIL, "content": EVIL}], EVIL: {EVIL: [EVIL]}},
        response={"choices": [{"message": {"role": "assistant", "content": EVIL, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": EVIL, "arguments": EVIL}}]}}]},
        headers={"request": {"x-evil": EVIL}, "response": {}},
    )  # fmt: skip
    every = "columns=time,model,provider,talk,user,session,finish,property.x&range=all"
    one = f"/requests/{row.id}"
    for html in (page(looking, one, **HTMX), page(looking, one), page(looking, f"/requests?{every}")):
        assert "<script>alert" not in html
        assert "<img src=x" not in html
    assert "&lt;script&gt;" in page(looking, f"/requests/{row.id}", **HTMX)


def test_pictures_in_the_body_are_shown_and_remote_ones_only_linked(looking, acme):
    png = "data:image/png;base64,iVBORw0KGgo="
    urls = [png, "https://example.com/cat.png", "javascript:alert(1)", "data:text/html;base64,PHNjcmlwdD4="]
    content = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    row = factories.make_request(acme.id, request={"messages": [{"role": "user", "content": content}]}, response={})
    html = page(looking, f"/requests/{row.id}", **HTMX)
    assert re.findall(r'<img [^>]*src="([^"]+)"', html) == [png]
    assert 'href="https://example.com/cat.png" target="_blank" rel="noopener noreferrer nofollow"' in html
    assert 'href="javascript:' not in html
    assert 'href="data:' not in html


def test_the_settings_a_request_sent_are_shown_as_it_sent_them(looking, acme):
    sent = {"response_format": {"type": "json_object", "strict": True}, "tool_choice": "auto", "temperature": 0.2}
    row = factories.make_request(acme.id, request={"messages": [], **sent}, response={})
    html = unescape(page(looking, f"/requests/{row.id}?tab=facts", **HTMX))
    for shown_as in ('{"type": "json_object", "strict": true}', "auto", "0.2"):
        assert f"<dd>{shown_as}</dd>" in html


def test_a_problem_leads_to_the_requests_that_have_it_too(looking, acme):
    mine = factories.make_request(acme.id, problems=("fell_back: to b", "redacted: email 2"))
    other = factories.make_request(acme.id, problems=("fell_back",))
    factories.make_request(acme.id)
    html = page(looking, f"/requests/{mine.id}")
    assert "It ended with another target than the one it was to go to. (to b)" in html
    [link, _] = [unescape(url) for url in re.findall(r'href="([^"]+problem=[^"]+)"', html)]
    assert link == "/requests?problem=fell_back"
    assert set(shown(looking, link)) == {str(mine.id), str(other.id)}
    assert set(shown(looking, "/requests?filter=-problem:redacted+problem:fell_back")) == {str(other.id)}


def test_a_request_alone_is_a_page_and_in_the_drawer_a_fragment(looking, acme):
    row = factories.make_request(acme.id, request={"messages": []}, response={})
    assert "<html" in page(looking, f"/requests/{row.id}")
    assert "<html" not in page(looking, f"/requests/{row.id}", **HTMX)


def test_what_is_not_here_is_a_404_that_says_so(looking):
    answer = looking.get(f"/requests/{clock.uuid7(clock.now())}")
    assert answer.status_code == 404
    assert "This request is not here" in answer.content.decode()


def test_a_body_is_downloaded_never_shown_as_a_page(looking, acme):
    row = factories.make_request(acme.id, request=b"<html>", response=None)
    answer = looking.get(f"/requests/{row.id}/request.txt")
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["Content-Type"].startswith("text/plain")
    assert answer.content == b"<html>"
    assert looking.get(f"/requests/{row.id}/response.txt").status_code == 404
    assert looking.get(f"/requests/{row.id}/headers.txt").status_code == 404


def test_a_conversation_without_end_stays_a_page(looking, acme):
    messages = [{"role": "user", "content": f"message {n} " + "x" * 30_000} for n in range(400)]
    row = factories.make_request(acme.id, request={"messages": messages}, response={})
    html = page(looking, f"/requests/{row.id}", **HTMX)
    assert len(html) < 1_000_000
    assert all(f"message {n} " in html for n in (0, 39, 240, 399))
    assert "message 40 " not in html
    assert "200 messages between are not shown" in html


def test_a_short_conversation_is_shown_whole_and_in_order():
    said = tuple(Message("user", (Part("text", text=str(n)),)) for n in range(150))
    shown = drawing.talk(Conversation(messages=said))
    assert [turn.message for turn in (*shown.first, *shown.last)] == list(said)
    assert shown.passed_over == 0


def test_only_an_admin_is_offered_to_delete(client, acme):
    row = factories.make_request(acme.id)
    for user, may in ((acme.viewer, False), (acme.member, False), (acme.admin, True), (acme.owner, True)):
        client.force_login(user)
        assert (reverse("request-delete", args=[row.id]) in page(client, f"/requests/{row.id}", **HTMX)) is may


def test_the_call_as_curl_survives_a_shell_and_holds_no_key():
    row = factories.make_row(1, datetime(2026, 9, 1, tzinfo=UTC), target_url="https://api.openai.com/v1/x?a='b'")
    body = json.dumps({"text": 'it\'s $HOME `id` "quoted" \\ ü\n'})
    headers = {"content-type": "application/json", "authorization": "Bearer sk-secret", "x-it's": "$(id)", "host": "h"}
    said = drawing.curl(row, Bodies(request=body.encode(), request_headers=headers))
    words = shlex.split(said.replace("\\\n", " "))
    assert words[:2] == ["curl", "https://api.openai.com/v1/x?a='b'"]
    assert words[words.index("--data-raw") + 1] == body
    assert "x-it's: $(id)" in words
    assert "authorization: Bearer $PROVIDER_API_KEY" in words
    assert "sk-secret" not in said
    assert drawing.curl(row, Bodies()) == ""


def test_a_sealed_body_names_what_is_missing(looking, acme, monkeypatch):
    stored = BodyRow(1, clock.now(), clock.uuid7(clock.now()), 0, 3, zstd.compress(b"{}"), *[None] * 4, "", "")
    with pytest.raises(BodyUnreadable, match="key 3"):
        read(stored)
    row = factories.make_request(acme.id)
    monkeypatch.setattr(views.queries, "body", lambda _: stored)
    assert "sealed with key 3" in page(looking, f"/requests/{row.id}", **HTMX)


def test_every_cost_reason_and_status_has_words():
    for reason in ("no_price", "no_usage", "no_model", "not_a_model_call", "failed", "price", "provider", "client"):
        row = factories.make_row(1, cost_reason=reason)
        assert "_" not in telling.cost_words(row)
    for status in (-100, -5, -4, -3, -2):
        assert telling.line(factories.make_row(1, status=status)).words[0].isupper()
    assert telling.line(factories.make_row(1, status=529)).state == "error"
    assert telling.line(factories.make_row(1, cached=True)).state == "cached"


def test_a_stream_without_token_counts_says_how_to_ask_for_them():
    streamed = factories.make_row(1, cost_reason="no_usage", is_stream=True, dialect="openai_chat")
    assert "include_usage" in telling.cost_words(streamed)
    for other in ({"is_stream": False, "dialect": "openai_chat"}, {"is_stream": True, "dialect": "anthropic_messages"}):
        assert "include_usage" not in telling.cost_words(factories.make_row(1, cost_reason="no_usage", **other))


# --- files ------------------------------------------------------------------------------------------------------


def exported(client, path: str) -> str:
    return b"".join(client.get(path).streaming_content).decode()


def test_csv_holds_the_filtered_list_and_no_formula(looking, acme):
    factories.make_request(acme.id, request_preview="=HYPERLINK(1)", response_preview="+1", end_user_id="@x",
                           model="-2+3", cost_nano_usd=172_000, properties={"a": "=1"})  # fmt: skip
    factories.make_request(acme.id, model="other")
    rows = list(csv.DictReader(io.StringIO(exported(looking, "/requests/export.csv?model=-2%2B3"))))
    assert len(rows) == 1
    assert rows[0]["request_preview"] == "'=HYPERLINK(1)"
    assert (rows[0]["response_preview"], rows[0]["end_user_id"], rows[0]["model"]) == ("'+1", "'@x", "'-2+3")
    assert rows[0]["cost_usd"] == "0.000172"
    assert rows[0]["properties"] == '{"a":"=1"}'


def test_no_cell_of_a_csv_begins_a_formula(acme):
    for text in ("=1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1"):
        assert exports.cell(text)[0] == "'"
    assert exports.cell(-3) == -3
    assert exports.cell(None) is None


def test_jsonl_is_one_object_a_line_with_bodies_where_asked(looking, acme, monkeypatch):
    monkeypatch.setattr(exports, "BATCH", 2)
    for n in range(5):
        factories.make_request(acme.id, request={"n": n}, response={})
    lines = [json.loads(line) for line in exported(looking, "/requests/export.jsonl").splitlines()]
    assert len({line["id"] for line in lines}) == 5
    assert "request" not in lines[0]
    full = [json.loads(line) for line in exported(looking, "/requests/export.jsonl?bodies=1").splitlines()]
    assert {line["request"]["n"] for line in full} == set(range(5))


def test_an_export_of_a_filter_that_cannot_be_read_is_refused(looking):
    assert looking.get("/requests/export.csv?status=abc").status_code == 404


# --- who may look -----------------------------------------------------------------------------------------------


def test_pages_tell_nothing_of_another_organization(looking, globex):
    row = factories.make_request(
        globex.id, model="their-model", properties={"their-key": "their-value"}, request={"their": 1}, response={}
    )
    for path in PAGES:
        answer = looking.get(path)
        content = answer.getvalue() if answer.streaming else answer.content
        assert b"their" not in content, path
    offered = page(looking, "/requests/values?part=options&add_key=property&add_name=their-key")
    assert "their" not in offered
    for path in (f"/requests/{row.id}", f"/requests/{row.id}/request.txt"):
        assert looking.get(path).status_code == 404


def test_a_stranger_is_sent_to_log_in(client, acme):
    row = factories.make_request(acme.id)
    for path in (*PAGES, f"/requests/{row.id}", f"/requests/{row.id}/request.txt"):
        assert client.get(path).status_code == 302, path
        assert client.get(path)["Location"].startswith("/login"), path


def test_nothing_here_takes_a_post(looking, acme):
    row = factories.make_request(acme.id)
    for path in (*PAGES, f"/requests/{row.id}"):
        assert looking.post(path).status_code == 405, path


def test_the_values_offered_follow_the_chosen_key(looking, acme):
    factories.make_request(acme.id, model="m-1", properties={"env": "prod"})
    assert 'value="m-1"' in page(looking, "/requests/values?add_key=model")
    assert 'value="env"' in page(looking, "/requests/values?add_key=property")
    assert 'value="prod"' in page(looking, "/requests/values?part=options&add_key=property&add_name=env")
    assert "<option" in page(looking, "/requests/values?add_key=failed")


def test_what_no_field_holds_is_answered_politely(looking, acme):
    factories.make_request(acme.id, session_id="a\nb", properties={"x": "y"})
    assert looking.get("/requests/values?add_key=colour").status_code == 404
    assert looking.get("/requests/values?add_key=property&add_name=%00&add_value=%00").status_code == 200
    assert len(shown(looking, "/requests?columns=time,session")) == 1
    for query in ("q=%00", "columns=%00", "from=0001-01-01&range=%00", "older=-1.0"):
        assert looking.get(f"/requests?{query}").status_code == 200, query


def test_addresses_read_back_as_what_they_say(acme):
    asked = asking.read(acme.id, QueryDict("model=gpt-4o&property.env==%3E1&range=7d&size=25"))
    again = asking.read(acme.id, QueryDict(asked.link().partition("?")[2]))
    assert (again.tree, again.size, again.period.preset) == (asked.tree, 25, "7d")


@pytest.mark.parametrize(
    "query",
    ["at=9999-12-31T23:59:59.999999Z", "from=9999-12-31T23:59:59Z", "to=0001-01-01T00:00:00Z",
     "range=all&older=253402300799999999.d3a74da6d1314b038116b715b356e12e"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/requests", "/requests/live", "/requests/summary"])
def test_the_ends_of_time_have_pages_too(looking, path, query):
    assert looking.get(f"{path}?{query}").status_code in (200, 204)


def test_the_summary_says_how_many_rows_of_other_kinds_the_list_leaves_out(looking, acme, monkeypatch):
    monkeypatch.setattr(views.queries_sums, "_COUNTERS", [])  # these rows are not counted
    for kind in ("llm", "embedding", "tool", "agent", "retriever"):
        factories.make_request(acme.id, kind=kind, model="m")
    factories.make_request(acme.id, kind="tool", model="other")
    html = page(looking, "/requests/summary?model=m")
    [shown_by] = re.findall(r'class="small others" href="([^"]+)"[^>]*>\+<[^>]*>3<', html)
    assert len(shown(looking, unescape(shown_by))) == 5
    assert "of other kinds" not in page(looking, "/requests/summary?model=m&kind=*")
    assert "of other kinds" not in page(looking, "/requests/summary?model=gone")
