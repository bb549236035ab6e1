"""Nothing that was to be taken out is left, whatever it stood in; what is counted stays exact."""

from __future__ import annotations

import json
import string
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_app import records, uploads
from ingest_app.redaction import redacted, redacted_sides
from lib.clock import now, uuid7
from lib.redact import NAMES, BadPattern, Redactor, safe_pattern
from llm.exchange import Body, Exchange, Problem
from llm.parse import parse
from tests.ingest_app.postings import NOW, SECRET, Shelf, log, post
from tests.ingest_app.test_otlp import as_json

ALL = Redactor(NAMES, [("employee", r"EMP-\d{4,6}")])


def taken_out(text: str) -> tuple[str, dict[str, int]]:
    counts: Counter[str] = Counter()
    return ALL.redact(text, counts), dict(counts)


# --- texts ----------------------------------------------------------------------------------------------------------

SECRETS = {
    "email": ["bob@example.com", "o'neil.x+tag@mail.example.co.uk", "josé@exämple.de", "a" * 80 + "@example.com"],
    "phone": ["+49 30 1234567", "+1 (555) 123-4567", "(555) 123-4567", "555-123-4567", "0049 30 123456",
              "030 12345678"],
    "card": ["4111111111111111", "4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005", "6011000990139424"],
    "iban": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "fr1420041010050500013M02606"],
    "ip": ["10.0.0.1", "203.0.113.77", "2001:db8::1", "::1", "fe80::1ff:fe23:4567:890a"],
    "secret": ["sk-proj-abcdefghijklmnopqrst", "AKIAIOSFODNN7EXAMPLE", "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
               "xoxb-123456789012-abcdefGHIJ", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
               "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"],
    "employee": ["EMP-12345"],
}  # fmt: skip
EVERY = [(kind, secret) for kind, secrets in SECRETS.items() for secret in secrets]


@pytest.mark.parametrize(("kind", "secret"), EVERY)
@pytest.mark.parametrize("frame", ["{}", "it is {}.", "({}), then", "«{}»\n", "a: {}; b", "x {} and {} y"])
def test_what_is_to_be_taken_out_is_found_in_any_surroundings(kind, secret, frame):
    left, counts = taken_out(frame.format(secret, secret))
    assert secret not in left
    assert f"[{kind.upper()}]" in left
    assert counts[kind] == frame.count("{}")


@pytest.mark.parametrize(
    "text",
    [
        "version 1.2.3 of 2026-11-27, at 12:30:45", "4111111111111112", "1234567890123456", "room 1204, floor 3",
        "3f2a9c1d-7b8e-4f60-5a1b-2c3d4e5f6071", "1700000000", "1700000000123", "1700000000123456789", "a @ b", "@home",
        "DE00 1234", "DE89370400440532013001", "std::vector", "sk-short", "task-management-system",
        "the secret: none", "bearer of news", "$1,234,567.89", "chapters 10.1 and 10.2", "[EMAIL]",
    ],
)  # fmt: skip
def test_what_only_looks_alike_stays(text):
    assert taken_out(text) == (text, {})


def test_a_password_goes_and_its_name_stays():
    assert taken_out("password: hunter2hunter2")[0].startswith("password")
    assert "hunter2" not in taken_out('{"api_key": "x"} token=abcdefgh12 password="hunter2hunter2"')[0]


@given(st.text(max_size=300))
def test_redacting_twice_is_redacting_once(text):
    once, _ = taken_out(text)
    assert "@" in once or taken_out(once)[0] == once


@pytest.mark.parametrize("piece", ["-", "a", "a@", "1", "1 ", "a.", "sk-", "::", "AB12", "password:", "eyJ", "+1", "(1",
                                   "sk-a-", "1.", "1:", "EMP-", "a@a."])  # fmt: skip
def test_no_text_makes_it_slow(piece):
    started = time.process_time()
    taken_out(piece * (200_000 // len(piece)))
    assert time.process_time() - started < 10


# --- patterns of one's own --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+", "(a*)*b", r"(\w+\s?)+$", r"(a|ab)+c", r"(x)\1", r"\w+\w+\w+!", r"\w+@\w+", "[", "", "a*", "x" * 301,
     "(a{1,9}){2}"],
)  # fmt: skip
def test_a_pattern_that_could_take_for_ever_is_refused(pattern):
    with pytest.raises(BadPattern):
        safe_pattern(pattern)


@pytest.mark.parametrize(
    "pattern", [r"EMP-\d{4,6}", r"\w+", r"\w{1,40}@\w{1,40}", r"(?i)acme-[0-9a-f]{8}", r"[A-Z]{2}\d+", "ab|cd"]
)
def test_plain_patterns_are_taken(pattern):
    assert safe_pattern(pattern)


@given(st.from_regex(r"[ab.+*?(){}|\[\]\\wd0-9,]{1,30}", fullmatch=True))
def test_whatever_pattern_is_taken_ends_soon(pattern):
    try:
        redactor = Redactor(patterns=[("x", pattern)])
    except BadPattern:
        return
    started = time.process_time()
    redactor.redact("ab" * 400 + "!", Counter())
    redactor.redact("a" * 800 + "!", Counter())
    assert time.process_time() - started < 10


def test_a_pattern_finds_what_lies_across_its_pieces():
    text = "x" * 505 + "EMP-123456" + "y" * 1000 + "EMP-99999"
    assert taken_out(text)[1] == {"employee": 2}


# --- exchanges ------------------------------------------------------------------------------------------------------

USAGE = {"prompt_tokens": 21, "completion_tokens": 8, "total_tokens": 29}


def exchange(asked: str, replied: str, *, path="/v1/chat/completions", streamed=False, **more) -> Exchange:
    request = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": asked}], "stream": streamed,
               "user": more.pop("user", "u-1")}  # fmt: skip
    whole = {"id": "c-1", "object": "chat.completion", "model": "gpt-4o-mini", "usage": USAGE, "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": replied}}]}  # fmt: skip
    response, kind = json.dumps(whole).encode(), "application/json"
    if streamed:
        response, kind = stream(replied), "text/event-stream"
    sent = json.dumps(request).encode()
    return Exchange(
        uuid7(now()), 1, now(), "gateway", "openai", 200, url=f"https://api.openai.com{path}",
        request=Body(sent, "application/json", "", len(sent)), response=Body(response, kind, "", len(response)), **more,
    )  # fmt: skip


def stream(text: str) -> bytes:
    """Two characters an event, so that nothing stands whole in any."""
    events: list[dict[str, object]] = []
    for start in range(0, len(text), 2):
        delta = {"index": 0, "delta": {"content": text[start : start + 2]}, "finish_reason": None}
        events.append({"id": "c-1", "object": "chat.completion.chunk", "model": "gpt-4o-mini", "choices": [delta]})
    events.append({**events[-1], "choices": [], "usage": USAGE} if events else {"choices": [], "usage": USAGE})
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in events) + b"data: [DONE]\n\n"


def spooled(one: Exchange) -> bytes:
    record = records.whole(one)
    return record.facts + (record.request or b"") + (record.response or b"")


SAID = st.text(alphabet=string.ascii_letters + " .,\n\"'\\{}:é", max_size=40)


@pytest.mark.parametrize("streamed", [False, True])
@given(before=SAID, after=SAID, found=st.sampled_from(EVERY), also=st.sampled_from(EVERY))
def test_nothing_of_it_is_left_in_the_record_and_the_counts_are_exact(streamed, before, after, found, also):
    (kind, secret), (_, other) = found, also
    one = exchange(f"{before} {secret} {after}", f"{after} {other} {before}", streamed=streamed)
    left = redacted(one, ALL)
    for hidden in (secret, other):
        for spelled in (hidden, json.dumps(hidden)[1:-1], hidden.replace(" ", "")):
            assert spelled.encode() not in spooled(left)
    was = parse(one)
    assert (left.reading.usage, left.reading.response_model) == (was.usage, was.response_model)
    assert left.reading.is_stream is streamed
    problem = next(problem for problem in left.problems if problem.code == "redacted")
    assert kind in problem.detail
    assert left.request.state == left.response.state == "redacted"
    assert f"[{kind.upper()}]".encode() in left.request.data
    assert (left.request.size, left.response.size) == (one.request.size, one.response.size)


def test_what_holds_nothing_is_kept_byte_for_byte():
    one = exchange("Hello", "Good day")
    left = redacted(one, ALL)
    assert (left.request, left.response, left.problems) == (one.request, one.response, ())


def test_what_the_door_says_of_a_call_quotes_nothing_of_it():
    """A limit names the user of a body, a fallback what a provider said."""
    said = Problem("budget_exceeded", "The budget “Each” of user bob@example.com is used up.")
    one = Exchange(uuid7(NOW), 1, NOW, "gateway", "openai", 429, problems=(said, Problem("request_not_read")))
    left = redacted(one, ALL)
    assert [problem.code for problem in left.problems[:2]] == ["budget_exceeded", "request_not_read"]
    assert left.problems[0].detail == "The budget “Each” of user [EMAIL] is used up."


def test_users_named_in_a_body_and_numbers_are_redacted_too():
    one = exchange("Hello", "Hi", user="bob@example.com")
    body = json.dumps({"model": "m", "messages": [], "user": "bob@example.com", "card": 4111111111111111, "n": 12})
    left = redacted(replace(one, request=Body(body.encode(), "application/json", "", len(body))), ALL)
    assert left.reading.end_user_id == "[EMAIL]"
    assert json.loads(left.request.data)["card"] == "[CARD]"
    assert json.loads(left.request.data)["n"] == 12


@pytest.mark.parametrize("body", [b'{"model": "m", "messages": [{"content": "bob@e.', b"data: {bob@example.com}\n\n"])
def test_a_side_that_cannot_be_read_is_not_kept_and_that_is_said(body):
    one = exchange("Hello", "Hi")
    left = redacted(replace(one, request=Body(body, "application/json", "", len(body))), ALL)
    assert (left.request.data, left.request.state) == (b"", "omitted")
    assert "redaction_unsure" in [problem.code for problem in left.problems]


def test_a_forms_fields_are_redacted_and_its_files_are_not_touched():
    sound = bytes(range(256)) + b"bob@example.com"
    form = (b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nfor bob@example.com\r\n'
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + sound + b"\r\n--b--\r\n")
    one = exchange("Hello", "Hi", path="/v1/audio/transcriptions")
    left = redacted(replace(one, request=Body(form, "multipart/form-data; boundary=b", "", len(form))), ALL)
    assert b"for [EMAIL]\r\n" in left.request.data
    assert sound in left.request.data


def test_a_span_is_redacted_as_the_document_it_is():
    document = json.dumps({"name": "chat", "attributes": {"gen_ai.prompt": "mail bob@example.com", "user.id": "u"}})
    body = Body(document.encode(), "application/vnd.otlp.span+json", "", len(document))
    left = redacted(replace(exchange("", ""), door="otlp", request=body, response=Body()), ALL)
    assert json.loads(left.request.data)["attributes"]["gen_ai.prompt"] == "mail [EMAIL]"
    assert left.reading is None


def test_bodies_uploaded_apart_are_redacted():
    one = exchange("I am bob@example.com", "Hello bob@example.com", streamed=True)
    request, response = redacted_sides(one.request.data, one.response.data, ALL)
    assert b"bob@" not in request + response
    assert b"[EMAIL]" in request and b"[EMAIL]" in response


# --- doors ------------------------------------------------------------------------------------------------------------


def kept(shelf: Shelf) -> bytes:
    return b"".join(record.facts + (record.request or b"") + (record.response or b"") for record in shelf.records)


@pytest.mark.parametrize("redactor", [None, ALL])
def test_every_log_door_keeps_what_is_left(redactor):
    shelf, address = Shelf(), "bob@example.com"
    said = [{"role": "user", "content": f"I am {address}"}]
    assert post(log(request__json={"model": "m", "messages": said}), shelf=shelf, redactor=redactor).status == 200
    span = {"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "name": "chat",
            "startTimeUnixNano": "1795003190000000000",
            "attributes": [{"key": "input.value", "value": {"stringValue": f"I am {address}"}}]}  # fmt: skip
    export = as_json(span)
    sent = post(export, path="/v1/traces", shelf=shelf, redactor=redactor, content_type="application/json")
    assert sent.status == 200
    token = uploads.token(uploads.Leave(7, uuid7(NOW), NOW + timedelta(minutes=5)), SECRET)
    bodies = {"request": json.dumps({"messages": said}), "response": json.dumps({"text": address})}
    said = {"query": f"token={token}", "method": "PUT", "key": None}
    sent = post(bodies, path=uploads.PATH, shelf=shelf, redactor=redactor, **said)
    assert sent.status == 200
    assert (address.encode() in kept(shelf)) is (redactor is None)
    assert (b"[EMAIL]" in kept(shelf)) is (redactor is not None)
    assert len(shelf.records) == 3
