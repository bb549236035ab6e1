"""Calls made again: what is decided, and what it looks like through edge on a real socket."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_app import chains, retries
from gateway_app.retries import LONGEST_WAIT, Retries
from ingest_app import directives, traceparent
from llm.exchange import ATTEMPT, ATTEMPT_OF, STATUS_CANCELLED
from tests.gateway_app.stage import AUTH, json_answer, read_request, run, staged

NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)
JSON_TYPE = {"content-type": "application/json"}
QUICK = {**AUTH, **JSON_TYPE, "helicone-retry-enabled": "true", "helicone-retry-min-timeout": "1"}
BUSY = json_answer(b'{"error":{"type":"busy","message":"Too busy"}}', "503 Service Unavailable")
LIMITED = json_answer(b'{"error":{"type":"limit","message":"Slow down"}}', "429 Too Many Requests")


def in_turn(*answers: bytes | None, seen: list[Any] | None = None):
    """Each request gets the next answer, the last one again and again; None closes the connection."""
    left = list(answers)

    async def play(reader, writer):
        while True:
            asked = await read_request(reader)
            if seen is not None:
                seen.append(asked)
            answer = left.pop(0) if len(left) > 1 else left[0]
            if answer is None:
                return
            writer.write(answer)

    return play


# --- what is decided --------------------------------------------------------------------------------------------------


@given(
    st.integers(1, 20), st.floats(0.1, 100), st.floats(0, 600), st.floats(0, 600), st.floats(0, 1),
    st.one_of(st.none(), st.floats(0, 1000)),
)  # fmt: skip
def test_a_delay_lies_between_once_and_twice_the_grown_least_and_never_above_the_most(
    made, factor, least, most, chance, asked
):
    delay = Retries(20, factor, least, most).delay(made, asked, chance=lambda: chance)
    grown = least * factor ** (made - 1)
    assert delay >= max(min(grown, most) * (1 - 1e-9), asked or 0)
    assert delay <= max(min(2 * grown, most), asked or 0) + 1e-9


def test_a_factor_grown_beyond_all_numbers_is_the_most():
    assert Retries(20, 1e300, 1, 7).delay(20) == 7


@given(st.integers(1, 20))
def test_so_many_calls_in_all_are_made(calls):
    rules = Retries(calls)
    assert sum(rules.may_go_on(made) for made in range(1, 50)) == calls - 1


def test_who_asks_for_too_long_a_wait_is_not_asked_again():
    assert Retries().may_go_on(1, LONGEST_WAIT)
    assert not Retries().may_go_on(1, LONGEST_WAIT + 1)


@pytest.mark.parametrize(("told", "seconds"), [
    ({"retry-after": "2"}, 2), ({"retry-after": "0.5"}, 0.5), ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
    ({"retry-after": format_datetime(NOON + timedelta(seconds=30), usegmt=True)}, 30),
    ({"retry-after": format_datetime(NOON - timedelta(seconds=30), usegmt=True)}, 0),
    ({"retry-after": "soon"}, None), ({"retry-after": "-4"}, None), ({"retry-after": "inf"}, None), ({}, None),
])  # fmt: skip
def test_what_a_provider_asks_for_is_read_in_every_form(told, seconds):
    assert retries.asked_wait(told, at=NOON) == seconds


@given(st.text())
def test_whatever_a_provider_says_is_read_without_an_error(text):
    found = retries.asked_wait({"retry-after": text, "retry-after-ms": text}, at=NOON)
    assert found is None or found >= 0


@pytest.mark.parametrize("value", ["false", "True", "1", "yes"])
def test_only_true_turns_retries_on(value):
    assert retries.read(directives.read({"helicone-retry-enabled": value})) is None


def test_helicones_defaults():
    assert retries.read(directives.read({"helicone-retry-enabled": "true"})) == Retries(5, 2.0, 1.0, 10.0)


@pytest.mark.parametrize(("name", "value"), [
    ("num", "0"), ("num", "21"), ("num", "x"), ("factor", "0"), ("factor", "nan"), ("min-timeout", "-1"),
])  # fmt: skip
def test_a_number_that_cannot_be_is_named_and_the_default_stands(name, value):
    told = directives.read({"helicone-retry-enabled": "true", f"helicone-retry-{name}": value})
    assert retries.read(told) == Retries()
    assert [problem.code for problem in told.problems] == ["directive_unreadable"]


# --- through edge -----------------------------------------------------------------------------------------------------


def test_a_call_is_made_again_until_it_is_answered_and_each_attempt_is_a_record_of_its_own(tmp_path):
    seen: list = []

    async def work():
        play = in_turn(BUSY, LIMITED, json_answer(b'{"n":1}'), seen=seen)
        async with staged(tmp_path, play) as stage:
            status, headers, body = await stage.ask(body=b'{"model":"m"}', headers=QUICK)
            exchanges = await stage.exchanges(3)
        assert (status, body, headers["helicone-attempts"]) == (200, b'{"n":1}', "3")
        assert [asked.body for asked in seen] == [b'{"model":"m"}'] * 3
        request = next(one for one in exchanges if str(one.id) == headers["helicone-id"])
        first, second = (one for one in exchanges if one is not request)
        assert (first.status, second.status, request.status) == (503, 429, 200)
        assert {first.reading.kind, second.reading.kind} == {ATTEMPT}
        assert (first.reading.error_type, first.reading.error_message) == ("busy", "Too busy")
        assert first.reading.finish_reason.startswith("again after 0.0")
        assert first.request_headers == {ATTEMPT_OF: str(request.id)}
        assert first.parent_span_id == traceparent.span_id(request.id)
        assert (first.request.data, first.request.size, first.request.state) == (b"", 13, "omitted")
        assert b"Too busy" in first.response.data
        assert [(one.code, one.detail) for one in request.problems] == [("attempts_failed", "2")]

    run(work())


def test_the_last_answer_is_returned_as_it_is(tmp_path):
    seen: list = []

    async def work():
        async with staged(tmp_path, in_turn(BUSY, seen=seen)) as stage:
            status, headers, body = await stage.ask(headers={**QUICK, "helicone-retry-num": "3"})
            exchanges = await stage.exchanges(3)
        assert (status, body, len(seen)) == (503, BUSY.partition(b"\r\n\r\n")[2], 3)
        assert headers["helicone-attempts"] == "3"
        assert sorted(one.status for one in exchanges) == [503, 503, 503]

    run(work())


@pytest.mark.parametrize("answer", [json_answer(status="400 Bad Request"), json_answer(status="404 Not Found")])
def test_what_would_fail_again_is_asked_once(tmp_path, answer):
    seen: list = []

    async def work():
        async with staged(tmp_path, in_turn(answer, seen=seen)) as stage:
            _, headers, _ = await stage.ask(headers=QUICK)
        assert len(seen) == 1
        assert "helicone-attempts" not in headers

    run(work())


def test_without_the_header_nothing_is_asked_again(tmp_path):
    seen: list = []

    async def work():
        async with staged(tmp_path, in_turn(BUSY, seen=seen)) as stage:
            status, _, _ = await stage.ask(headers={**QUICK, "helicone-retry-enabled": "false"})
        assert (status, len(seen)) == (503, 1)

    run(work())


def test_a_lost_connection_is_a_reason_to_ask_again(tmp_path):
    async def work():
        async with staged(tmp_path, in_turn(None, None, json_answer(b'{"n":2}'))) as stage:
            status, _, body = await stage.ask(headers=QUICK)
            exchanges = await stage.exchanges(3)
        assert (status, body) == (200, b'{"n":2}')
        assert sorted(one.status for one in exchanges) == [200, 502, 502]

    run(work())


def test_an_upstream_that_dies_within_its_answer_is_not_asked_again(tmp_path):
    """Its head has gone to the client: what came stays, and the row says it broke."""
    seen: list = []
    broken = b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"half":'

    async def play(reader, writer):
        seen.append(await read_request(reader))
        writer.write(broken)
        await writer.drain()

    async def work():
        async with staged(tmp_path, play) as stage:
            status, _, body = await stage.ask(headers=QUICK)
            (exchange,) = await stage.exchanges()
        assert (status, body, len(seen)) == (200, b'{"half":', 1)
        assert [problem.code for problem in exchange.problems] == ["upstream_broken"]

    run(work())


def test_a_client_that_goes_away_while_we_wait_is_called_for_no_more(tmp_path):
    seen: list = []

    async def work():
        async with staged(tmp_path, in_turn(BUSY, seen=seen)) as stage:
            given = {**QUICK, "helicone-retry-min-timeout": "600000", "helicone-retry-max-timeout": "600000"}
            _, writer = await stage.connect(headers=given)
            attempt, *_ = await stage.exchanges()
            writer.close()
            exchanges = await stage.exchanges(2)
        assert attempt.reading.kind == ATTEMPT
        request = next(one for one in exchanges if one.id != attempt.id)
        assert (request.status, len(seen)) == (STATUS_CANCELLED, 1)
        assert [(one.code, one.detail) for one in request.problems] == [("attempts_failed", "1")]

    run(work())


def test_a_provider_that_says_how_long_is_waited_for_and_one_that_says_too_long_is_not(tmp_path):
    async def work():
        short = LIMITED.replace(b"\r\n\r\n", b"\r\nRetry-After-Ms: 30\r\n\r\n")
        long = LIMITED.replace(b"\r\n\r\n", b"\r\nRetry-After: 3600\r\n\r\n")
        async with staged(tmp_path, in_turn(short, long)) as stage:
            status, headers, _ = await stage.ask(headers=QUICK)
            exchanges = await stage.exchanges(2)
        assert (status, headers["retry-after"], headers["helicone-attempts"]) == (429, "3600", "2")
        assert {one.status for one in exchanges} == {429}

    run(work())


def test_a_body_too_long_to_be_kept_is_sent_once_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(chains, "LONGEST_BODY", 100_000)
    seen: list = []

    async def work():
        async with staged(tmp_path, in_turn(BUSY, seen=seen)) as stage:
            body = b"x" * 3_000_000
            status, headers, _ = await stage.ask(body=body, headers=QUICK)
            (exchange,) = await stage.exchanges()
        assert (status, len(seen), seen[0].body) == (503, 1, body)
        assert "100000 bytes" in headers["helicone-retry-error"]
        assert "not_replayable" in [problem.code for problem in exchange.problems]

    run(work())


def test_an_omitted_reply_leaves_no_word_of_a_failed_one(tmp_path):
    async def work():
        async with staged(tmp_path, in_turn(BUSY, json_answer())) as stage:
            await stage.ask(headers={**QUICK, "helicone-omit-response": "true"})
            exchanges = await stage.exchanges(2)
        (attempt,) = (one for one in exchanges if one.reading.kind == ATTEMPT)
        assert (attempt.response.data, attempt.response.state, attempt.reading.error_message) == (b"", "omitted", None)

    run(work())


def test_the_time_added_before_the_call_is_told(tmp_path):
    async def work():
        async with staged(tmp_path, in_turn(json_answer())) as stage:
            _, headers, _ = await stage.ask()
        assert 0 <= float(headers["helicone-overhead-ms"]) < 60_000
        assert len(headers["helicone-overhead-ms"].partition(".")[2]) == 1

    run(work())


def test_short_chunks_wait_for_the_next_where_a_client_wants_whole_events(tmp_path):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    parts = [b"data: {", b'"a":1}\n\n', b"data: " + b"x" * 60 + b"\n\n", b"data: [DONE]\n\n"]

    async def play(reader, writer):
        await read_request(reader)
        writer.write(head)
        for part in (*parts, b""):
            writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            await writer.drain()
            await asyncio.sleep(0.05)

    async def chunks(stage, **more):
        reader, writer = await stage.connect(headers={**AUTH, **more})
        raw = await reader.read()
        writer.close()
        body, found = raw.partition(b"\r\n\r\n")[2], []
        while body:
            size, _, rest = body.partition(b"\r\n")
            found.append(rest[: int(size, 16)])
            body = rest[int(size, 16) + 2 :]
        return [one for one in found if one]

    async def work():
        async with staged(tmp_path, play) as stage:
            plain, glued = await chunks(stage), await chunks(stage, **{"helicone-stream-force-format": "true"})
        assert b"".join(plain) == b"".join(glued) == b"".join(parts)
        assert all(len(one) >= 50 for one in glued[:-1])

    run(work())


def test_a_client_may_ask_for_more_patience(tmp_path):
    async def slow(reader, writer):
        await read_request(reader)
        await asyncio.sleep(1.2)
        writer.write(json_answer())

    async def work():
        async with staged(tmp_path, slow, silence_seconds=0.3) as stage:
            (hasty, _, _), (patient, _, _) = await asyncio.gather(
                stage.ask(), stage.ask(headers={**AUTH, "helicone-increase-timeout": "true"})
            )
        assert (hasty, patient) == (504, 200)

    run(work())
