"""Traces on pages: the list of those of no session, one trace, the two trees of a session, and steps in the drawer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.urls import reverse

from lib.clock import now
from requests_app.filters import leaf
from requests_app.rows import Change
from sessions_app import chat, queries_traces, rollup
from sessions_app.queries_traces import Question
from tests.requests_app.factories import make_request
from tests.sessions_app.scenes import TRACE, agent_run, call, keep, span
from tests.sessions_app.test_pages import drawing, words

HOUR = timedelta(hours=1)


def labels(response) -> list[str]:
    drawn = drawing(response)
    return [drawn["strings"][place] for place in drawn["label"]][1:]


def counted(rows) -> None:
    rollup.apply(connection.connection, [Change(None, row) for row in rows])


def trace_page(trace_id: str = TRACE) -> str:
    return reverse("trace", args=[trace_id])


def drawer(looking, row):
    return looking.get(reverse("request", args=[row.id]), headers={"hx-request": "true"})


# --- the list ---------------------------------------------------------------------------------------------------------


def test_before_the_first_trace_the_list_says_how_to_send_one(looking):
    assert "/v1/traces" in words(looking.get(reverse("traces")))


def test_the_list_names_a_trace_by_its_root_and_counts_only_calls(looking, acme):
    agent_run(acme.id, now() - HOUR)
    text = words(looking.get(reverse("traces")))
    assert "agent" in text
    assert "2 / 5" in text
    assert "no root" not in text


def test_a_trace_whose_root_has_not_come_is_named_by_its_first_step(looking, acme):
    span(acme.id, now() - HOUR, "inner step", under="away")
    text = words(looking.get(reverse("traces")))
    assert "inner step no root" in text


def test_a_trace_with_a_session_is_listed_there_and_not_here(looking, acme):
    rows = agent_run(acme.id, now() - HOUR, session_id="talk")
    counted(rows.values())
    assert TRACE[:8] not in words(looking.get(reverse("traces")))
    assert "talk" in words(looking.get(reverse("sessions")))


def test_sessions_lead_to_the_traces_once_there_is_one(looking, acme):
    assert reverse("traces") not in looking.get(reverse("sessions")).content.decode()
    agent_run(acme.id, now() - HOUR)
    assert reverse("traces") in looking.get(reverse("sessions")).content.decode()


def test_traces_of_another_organisation_are_neither_listed_nor_opened(looking, globex):
    agent_run(globex.id, now() - HOUR)
    assert TRACE[:8] not in words(looking.get(reverse("traces")))
    assert looking.get(trace_page()).status_code == 404


def test_a_filter_finds_a_trace_by_any_of_its_steps(acme):
    agent_run(acme.id, now() - HOUR)
    found = queries_traces.trace_page(acme.id, Question(filter=leaf("kind", "=", "retriever")))
    assert [row.trace_id for row in found.rows] == [TRACE]
    assert queries_traces.trace_page(acme.id, Question(filter=leaf("kind", "=", "guardrail"))).rows == ()


def test_pages_of_traces_follow_one_another_without_gap_or_repetition(acme):
    for number in range(7):
        span(acme.id, now() - number * HOUR, "run", trace_id=f"{number:032x}")
    seen, after = [], None
    while True:
        found = queries_traces.trace_page(acme.id, Question(limit=3, after=after))
        seen += [row.trace_id for row in found.rows]
        after = found.next
        if after is None:
            break
    assert seen == [f"{number:032x}" for number in range(7)]


@pytest.mark.parametrize("query", ["?after=x&after_id=y", "?after=2026-01-01T00:00:00&after_id=y", "?range=nonsense",
                                   "?nonsense=1", "?after_id=%00"])  # fmt: skip
def test_addresses_nobody_made_are_answered(looking, acme, query):
    agent_run(acme.id, now() - HOUR)
    assert looking.get(reverse("traces") + query).status_code == 200


def test_a_trace_id_typed_into_the_list_opens_the_trace_also_in_capitals(looking, acme):
    agent_run(acme.id, now() - HOUR)
    answer = looking.get(reverse("traces"), {"find": f" {TRACE.upper()} "}, follow=True)
    assert answer.redirect_chain[-1][0] == trace_page()


# --- one trace --------------------------------------------------------------------------------------------------------


def test_a_trace_is_drawn_as_its_spans_call_one_another_with_its_errors_rolled_up(looking, acme):
    agent_run(acme.id, now() - HOUR)
    page = looking.get(trace_page())
    drawn = drawing(page)
    assert labels(page) == ["agent", "chat", "search", "embed", "refund"]
    assert drawn["parent"][1:] == [0, 1, 1, 3, 1]
    assert drawn["errors"][1:] == [2, 0, 0, 0, 1]
    assert drawn["self"][1:] == [10, 300, 50, 50, 590]


def test_the_first_error_is_the_one_the_others_came_from(looking, acme):
    rows = agent_run(acme.id, now() - HOUR)
    assert looking.get(trace_page()).context["summary"].first_error.id == rows["refund"].id


def test_what_the_whole_waited_for_is_told_by_step(looking, acme):
    agent_run(acme.id, now() - HOUR)
    waits = looking.get(trace_page()).context["summary"].by_wait
    assert [(one.label, one.ms) for one in waits] == [
        ("refund", 590), ("chat", 300), ("embed", 50), ("search", 50), ("agent", 10),
    ]  # fmt: skip


def test_a_proxied_call_hangs_in_the_span_it_was_made_in(looking, acme):
    at = now() - HOUR
    span(acme.id, at, "tool", kind="tool", duration_ms=500)
    keep([call(acme.id, at + timedelta(milliseconds=9), None, session=None, trace_id=TRACE, span_id="g",
               parent_span_id="tool")])  # fmt: skip
    page = looking.get(trace_page())
    assert labels(page) == ["tool", "gpt-4o"]
    assert drawing(page)["parent"][1:] == [0, 1]


def test_a_span_that_has_not_ended_is_open_and_one_whose_parent_is_away_is_lost(looking, acme):
    span(acme.id, now(), "begun", kind="agent", duration_ms=None, under="away")
    drawn = drawing(looking.get(trace_page()))
    assert (drawn["open"][1], drawn["lost"][1]) == (1, 1)


def test_spans_that_are_their_own_ancestors_are_drawn_all_the_same(looking, acme):
    span(acme.id, now(), "hen", under="egg")
    span(acme.id, now(), "egg", under="hen")
    span(acme.id, now(), "self", under="self")
    assert sorted(labels(looking.get(trace_page()))) == ["egg", "hen", "self"]


def test_a_trace_has_its_chat(looking, acme):
    agent_run(acme.id, now() - HOUR)
    assert "may I return it?" in words(looking.get(trace_page() + "?view=chat"))


def test_a_trace_of_a_session_leads_to_it(looking, acme):
    counted(agent_run(acme.id, now() - HOUR, session_id="talk").values())
    assert reverse("session", args=["talk"]) in looking.get(trace_page()).content.decode()


# --- the two trees of a session ---------------------------------------------------------------------------------------


def test_a_session_with_spans_and_paths_begins_with_its_spans_and_switches_by_its_address(looking, acme):
    counted(agent_run(acme.id, now() - HOUR, session_id="talk").values())
    keep([call(acme.id, now(), "/ask/again", session="talk")])
    address = reverse("session", args=["talk"])
    spans, paths = looking.get(address), looking.get(address + "?tree=paths")
    assert labels(spans) == ["agent", "chat", "search", "embed", "refund", "ask", "again"]
    assert sorted(labels(paths)) == sorted(labels(spans))
    assert drawing(spans)["parent"][1:] == [0, 1, 1, 3, 1, 0, 6]
    assert drawing(paths)["parent"][1:] == [0, 0, 0, 0, 0, 0, 6]
    for page, this in ((spans, "Spans"), (paths, "Paths")):
        assert [words for words, _, is_this, _ in page.context["tabs"] if is_this] == [this]


def test_a_session_of_paths_alone_has_nothing_to_switch(looking, acme):
    keep([call(acme.id, now(), "/ask", session="talk")])
    page = looking.get(reverse("session", args=["talk"]) + "?tree=spans")
    assert [words for words, *_ in page.context["tabs"]] == ["Tree", "Chat"]


# --- steps in the drawer ----------------------------------------------------------------------------------------------


def test_a_tool_step_shows_arguments_and_error_and_who_called_it(looking, acme):
    rows = agent_run(acme.id, now() - HOUR)
    page = drawer(looking, rows["refund"])
    text = words(page)
    for shown in ("Arguments", "&quot;eur&quot;: 12", "It failed without a result", "called by agent"):
        assert shown in text
    assert reverse("request", args=[rows["agent"].id]) in page.content.decode()
    assert f"{trace_page()}?open={rows['refund'].id}" in page.content.decode()


def test_an_exception_is_an_event_with_its_stack_and_never_markup(looking, acme):
    page = drawer(looking, agent_run(acme.id, now() - HOUR)["refund"])
    assert "Traceback: line 1" in words(page)
    assert "no answer &lt;b&gt;yet" in page.content.decode()


def test_a_search_shows_what_was_looked_for_and_each_document_with_its_score(looking, acme):
    text = words(drawer(looking, agent_run(acme.id, now() - HOUR)["search"]))
    for shown in ("may I return it?", "policy#2", "0.890", "Unworn goods may come back."):
        assert shown in text


def test_a_search_posted_by_helicones_logger_shows_its_documents_too(looking, acme):
    row = make_request(
        acme.id, kind="retriever", dialect="helicone_event", model="vector_db", provider="custom",
        request={"_type": "vector_db", "operation": "search", "text": "may I return it?"},
        response={"_type": "vector_db", "matches": [{"id": "policy#2", "score": 0.9, "text": "Unworn goods."}]},
    )  # fmt: skip
    text = words(drawer(looking, row))
    for shown in ("may I return it?", "policy#2", "0.900", "Unworn goods."):
        assert shown in text


def test_the_attributes_of_a_span_stand_with_its_resource_and_its_scope(looking, acme):
    text = words(drawer(looking, agent_run(acme.id, now() - HOUR)["search"]))
    for shown in ("openinference.span.kind", "service.name", "the.instrumentation"):
        assert shown in text


def test_an_agents_own_totals_are_shown_as_reported_and_its_links_lead_to_other_traces(looking, acme):
    page = drawer(looking, agent_run(acme.id, now() - HOUR)["agent"])
    assert "7,777" in words(page)
    assert "not counted" in words(page)
    assert trace_page("f" * 32) in page.content.decode()


def test_a_step_that_calls_no_model_has_neither_provider_nor_cost(looking, acme):
    text = words(drawer(looking, agent_run(acme.id, now() - HOUR)["refund"]))
    assert "unknown" not in text.lower()
    assert "Cost" not in text


def test_a_call_counted_inside_says_so_and_leads_to_the_one_that_counts(looking, acme):
    at = now() - HOUR
    outer = span(acme.id, at, "ChatOpenAI", kind="chain", problems=("counted_in_child: llm",))
    span(acme.id, at, "http", under="ChatOpenAI")
    inner = span(acme.id, at, "chat", kind="llm", under="http")
    page = drawer(looking, outer)
    assert "Its SDK calls it llm" in words(page)
    assert reverse("request", args=[inner.id]) in page.content.decode()


def test_a_call_counted_by_the_one_around_it_or_by_one_of_the_same_reply_leads_there(looking, acme):
    at, problems = now() - HOUR, ("counted_in_child: llm",)
    outer = span(acme.id, at, "fuller", kind="llm")
    inner = span(acme.id, at, "emptier", kind="chain", under="fuller", problems=problems)
    twin = span(acme.id, at, "twin", kind="llm", provider_response_id="chatcmpl-0123456789")
    other = span(acme.id, at, "other", kind="chain", provider_response_id="chatcmpl-0123456789", problems=problems)
    for overruled, counting in ((inner, outer), (other, twin)):
        assert drawer(looking, overruled).context["around"].counted.id == counting.id


def test_a_call_whose_counting_one_is_gone_or_in_a_circle_is_shown(looking, acme):
    row = span(acme.id, now(), "hen", kind="chain", under="egg", problems=("counted_in_child: llm",))
    span(acme.id, now(), "egg", under="hen")
    assert drawer(looking, row).context["around"].counted is None


def test_a_parent_that_never_came_is_named_by_its_id(looking, acme):
    assert "00f067aa0ba902b7 which has not come" in words(
        drawer(looking, span(acme.id, now(), "step", under="00f067aa0ba902b7"))
    )


@pytest.mark.parametrize("document", [
    {"attributes": {"a": None}, "events": [{}, "x", {"time_ns": "later"}], "links": [None, {"trace_id": 7}]},
    {"attributes": "none", "resource": [1], "scope": 3}, {"start_ns": "when", "end_ns": []},
])  # fmt: skip
@pytest.mark.parametrize("kind", ["tool", "retriever", "agent", "event", "llm", "never heard of"])
def test_documents_of_any_shape_are_shown(looking, acme, kind, document):
    row = span(acme.id, now(), "odd", kind=kind, document=document)
    assert drawer(looking, row).status_code == 200
    assert looking.get(reverse("request", args=[row.id])).status_code == 200
    assert looking.get(trace_page()).status_code == 200


@pytest.mark.parametrize(("kind", "told"), [
    ("tool", {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "weather"}),
    ("agent", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "weather"}),
    ("llm", {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}),
])  # fmt: skip
def test_a_step_whose_sdk_told_no_content_says_so_in_the_drawer_and_the_chat(looking, acme, kind, told):
    row = span(acme.id, now(), "weather", kind=kind, document={"attributes": told}, session_id="quiet")
    said = drawer(looking, row)
    assert said.context["drawer"].talk.is_empty
    assert "did not tell what went in or out" in words(said)
    (entry,) = chat.read(acme.id, leaf("session", "=", "quiet"), since=row.requested_at, after="").entries
    assert (entry.is_readable, entry.talk.is_empty) == (False, True)
