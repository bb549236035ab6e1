"""The chat tab: everything said stands once, where it was said first."""

from __future__ import annotations

from datetime import timedelta

from django.urls import reverse

from lib.clock import now
from requests_app.filters import leaf
from sessions_app import chat
from sessions_app.queries import session
from tests.requests_app.factories import insert_body
from tests.sessions_app.scenes import call, keep

HOUR = timedelta(hours=1)


def turn(organization_id: int, number: int, history: list[tuple[str, str]], reply: str, **values):
    """Stores one call of a chat with all that was said before."""
    row = call(organization_id, now() - HOUR + timedelta(seconds=number), f"/turn {number}", session="talk", **values)
    keep([row])
    request = {"model": "gpt-4o", "messages": [{"role": role, "content": text} for role, text in history]}
    response = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": reply}}]}
    insert_body(row, request, response)
    return row


def read(organization_id, after=""):
    since = session(organization_id, "talk").first_at
    return chat.read(organization_id, leaf("session", "=", "talk"), since=since, after=after)


def told(organization_id, after=""):
    found = read(organization_id, after)
    turns = [(*entry.talk.first, *entry.talk.last, *entry.talk.came) for entry in found.entries]
    return [[one.parts[0].text for one in said] for said in turns]


START = [("system", "Be brief."), ("user", "Hello")]


def test_of_every_call_only_what_is_new_is_shown(acme):
    turn(acme.id, 1, START, "Hi!")
    turn(acme.id, 2, [*START, ("assistant", "Hi!"), ("user", "yes")], "And?")
    turn(acme.id, 3, [*START, ("assistant", "Hi!"), ("user", "yes"), ("assistant", "And?"), ("user", "yes")], "Good.")
    assert told(acme.id) == [["Be brief.", "Hello", "Hi!"], ["yes", "And?"], ["yes", "Good."]]


def test_a_page_remembers_what_the_one_before_it_said(acme, monkeypatch):
    monkeypatch.setattr(chat, "STEPS_A_PAGE", 1)
    turn(acme.id, 1, START, "Hi!")
    turn(acme.id, 2, [*START, ("assistant", "Hi!"), ("user", "more")], "Done.")
    first = read(acme.id)
    assert [entry.row.session_path for entry in first.entries] == ["/turn 1"]
    assert told(acme.id, first.newer) == [["more", "Done."]]
    assert read(acme.id, first.newer).newer == ""


def test_bodies_too_large_for_a_page_are_left_to_the_drawer(acme, monkeypatch):
    turn(acme.id, 1, START, "Hi!", request_bytes=10**9)
    entry = read(acme.id).entries[0]
    assert (entry.is_readable, entry.talk.is_empty) == (False, True)


def test_the_tab_shows_words_as_text_and_steps_without_bodies_by_their_preview(looking, acme):
    turn(acme.id, 1, [("user", "<script>alert(1)</script>")], "<b>bold</b>")
    keep([call(acme.id, now() - HOUR + timedelta(seconds=9), "/late", session="talk", request_preview="<i>asked</i>")])
    page = looking.get(reverse("session", args=["talk"]) + "?view=chat").content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "&lt;i&gt;asked" in page
    assert "<script>alert" not in page
    assert "<b>bold" not in page


def test_no_cursor_of_another_kind_breaks_the_tab(looking, acme):
    turn(acme.id, 1, START, "Hi!")
    for after in ("x", "1.zz", "99999999999999999999." + "0" * 32, "%00"):
        assert looking.get(reverse("session", args=["talk"]) + f"?view=chat&after={after}").status_code == 200
