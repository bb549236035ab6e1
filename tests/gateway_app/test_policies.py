"""Cache and rate limits through edge on a real socket and a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import uuid

import pytest

from accounts_app.keys import Speaker
from gateway_app.guard import Guard, Options
from gateway_app.redis_pipe import Pipe
from helicone_site import settings
from llm.exchange import Problem
from tests.gateway_app.stage import (
    AUTH,
    KEY,
    answering,
    chunk,
    json_answer,
    read_request,
    recording,
    run,
    staged,
)

CACHED = {**AUTH, "helicone-cache-enabled": "true"}
EVENTS = [b'data: {"n":1}\n\n', b'data: {"n":2}\n\n', b"data: [DONE]\n\n"]
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextlib.asynccontextmanager
async def guarded(folder, play, *, url=settings.REDIS_URL, organization=None, patience=5.0, **options):
    """A stage with Redis, for an organisation nobody has used."""
    guard = Guard(Pipe(url, patience=patience), Options(**options))
    async with staged(folder, play, guard_of=guard) as stage:
        stage.keys.known[KEY] = Speaker(organization or random.randrange(10**9, 10**12), 11, "test", "rw")
        for _ in range(500):
            if guard.pipe.is_up or "nowhere" in url:
                break
            await asyncio.sleep(0.01)
        yield stage


async def kept(stage) -> None:
    """Until what was to be kept is kept."""
    await asyncio.gather(*stage.gateway.guard._late)


def test_the_second_of_two_equal_requests_is_answered_from_the_cache(tmp_path):
    seen = []

    async def work():
        answer = json_answer(b'{"n":1}', more="x-of-provider: yes\r\nset-cookie: a=b\r\n")
        async with guarded(tmp_path, recording(seen, answer)) as stage:
            first = await stage.ask(body=b'{"model": "m", "x": 1}', headers=CACHED)
            await kept(stage)
            second = await stage.ask(body=b'{"model":"m","x":1}', headers=CACHED)
            other = await stage.ask(body=b'{"model":"m","x":2}', headers=CACHED)
            exchanges = await stage.exchanges(3)
        assert [one[1]["helicone-cache"] for one in (first, second, other)] == ["MISS", "HIT", "MISS"]
        assert (second[0], second[2], second[1]["x-of-provider"]) == (200, b'{"n":1}', "yes")
        assert (second[1]["helicone-cache-bucket-idx"], second[1]["content-length"]) == ("0", "7")
        assert second[1]["helicone-cache-latency"].isdecimal()
        assert "set-cookie" not in second[1]
        assert first[1]["helicone-id"] != second[1]["helicone-id"]
        assert len(seen) == 2
        assert [e.cache_hit and str(e.cache_hit.original) for e in exchanges] == [None, first[1]["helicone-id"], None]
        assert exchanges[1].response.data == b'{"n":1}'

    run(work())


def test_a_stream_is_replayed_as_a_stream(tmp_path):
    async def work():
        play = answering(STREAM, *map(chunk, EVENTS), chunk(b""))
        async with guarded(tmp_path, play) as stage:
            first = await stage.ask(headers=CACHED)
            await kept(stage)
            second = await stage.ask(headers=CACHED)
        assert (first[1]["helicone-cache"], second[1]["helicone-cache"]) == ("MISS", "HIT")
        assert first[2] == second[2] == b"".join(EVENTS)
        assert (second[1]["content-type"], second[1]["transfer-encoding"]) == ("text/event-stream", "chunked")

    run(work())


def test_of_three_slots_all_must_be_filled_before_one_answers(tmp_path):
    seen = []

    async def play(reader, writer):
        while True:
            seen.append(await read_request(reader))
            writer.write(json_answer(b'{"n":%d}' % len(seen)))

    async def work():
        headers = {**CACHED, "helicone-cache-bucket-max-size": "3"}
        async with guarded(tmp_path, play) as stage:
            found = []
            for _ in range(20):
                found.append(await stage.ask(headers=headers))
                await kept(stage)
            too_deep = await stage.ask(headers={**CACHED, "helicone-cache-bucket-max-size": "21"})
        assert [one[1]["helicone-cache"] for one in found] == ["MISS"] * 3 + ["HIT"] * 17
        for _, headers, body in found[3:]:
            assert body == b'{"n":%d}' % (int(headers["helicone-cache-bucket-idx"]) + 1)
        assert (too_deep[0], b"cannot be greater than 20" in too_deep[2]) == (400, True)

    run(work())


@pytest.mark.parametrize(
    ("change", "is_hit"),
    [
        ({}, True),
        ({"helicone-cache-seed": "other"}, False),
        ({"authorization": "Bearer of-somebody-else"}, False),
        ({"x-api-key": "of-somebody-else"}, False),
        ({"anthropic-version": "2023-06-01"}, False),
        ({"helicone-user-id": "ada", "helicone-property-a": "b"}, True),
        ({"helicone-cache-bucket-max-size": "1", "cache-control": "max-age=60"}, True),
    ],
)
def test_an_answer_is_for_the_same_question_by_the_same_caller(tmp_path, change, is_hit):
    async def work():
        async with guarded(tmp_path, answering(json_answer())) as stage:
            await stage.ask(headers=CACHED)
            await kept(stage)
            _, headers, _ = await stage.ask(headers={**CACHED, **change})
        assert headers["helicone-cache"] == ("HIT" if is_hit else "MISS")

    run(work())


def test_another_organisation_is_told_nothing(tmp_path):
    async def work():
        async with guarded(tmp_path, answering(json_answer())) as stage:
            await stage.ask(headers=CACHED)
            await kept(stage)
            stage.keys.known[KEY] = Speaker(random.randrange(10**9, 10**12), 11, "test", "rw")
            _, headers, _ = await stage.ask(headers=CACHED)
        assert headers["helicone-cache"] == "MISS"

    run(work())


@pytest.mark.parametrize(
    "spelling", ["user,seed", '"user","seed"', '"user", "seed"', " user , seed ", '["user","seed"]']
)
def test_ignored_keys_in_every_spelling(tmp_path, spelling):
    async def work():
        headers = {**CACHED, "helicone-cache-ignore-keys": spelling}
        async with guarded(tmp_path, answering(json_answer())) as stage:
            await stage.ask(body=b'{"model":"m","user":"a","seed":1}', headers=headers)
            await kept(stage)
            _, same, _ = await stage.ask(body=b'{"model":"m","user":"b","seed":2}', headers=headers)
            _, other, _ = await stage.ask(body=b'{"model":"n","user":"b","seed":2}', headers=headers)
        assert (same["helicone-cache"], other["helicone-cache"]) == ("HIT", "MISS")

    run(work())


def test_a_reply_is_kept_as_long_as_asked_also_for_a_second(tmp_path):
    async def work():
        async with guarded(tmp_path, answering(json_answer())) as stage:
            headers = {**CACHED, "cache-control": "no-cache, max-age=500, s-maxage=1"}
            never = {**CACHED, "cache-control": "max-age=0", "helicone-cache-seed": "never"}
            for each in (headers, never):
                await stage.ask(headers=each)
                await kept(stage)
            _, soon, _ = await stage.ask(headers=headers)
            _, at_once, _ = await stage.ask(headers=never)
            await asyncio.sleep(1.1)
            _, later, _ = await stage.ask(headers=headers)
        assert (soon["helicone-cache"], later["helicone-cache"], at_once["helicone-cache"]) == ("HIT", "MISS", "MISS")

    run(work())


def test_saving_and_reading_can_be_asked_for_apart(tmp_path):
    async def work():
        async with guarded(tmp_path, answering(json_answer())) as stage:
            _, reader, _ = await stage.ask(headers={**AUTH, "helicone-cache-read": "true"})
            _, saver, _ = await stage.ask(headers={**AUTH, "helicone-cache-save": "TRUE"})
            await kept(stage)
            _, again, _ = await stage.ask(headers={**AUTH, "helicone-cache-read": "true"})
            _, plain, _ = await stage.ask()
        assert (reader["helicone-cache"], again["helicone-cache"]) == ("MISS", "HIT")
        assert "helicone-cache" not in saver
        assert "helicone-cache" not in plain

    run(work())


@pytest.mark.parametrize(
    "play",
    [
        answering(json_answer(b"{}", "500 Oops")),
        answering(json_answer(b"{}", "201 Created")),
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf", closes=True),
        answering(json_answer(b"x" * 3000)),
        answering(STREAM, chunk(EVENTS[0]), chunk(b'data: {"error":{"message":"overloaded"}}\n\n'), chunk(b"")),
    ],
    ids=["failed", "not 200", "cut", "too long", "error in the stream"],
)
def test_only_a_whole_good_answer_is_kept(tmp_path, play):
    async def work():
        async with guarded(tmp_path, play, reply_max_bytes=2000) as stage:
            for _ in range(2):
                _, headers, _ = await stage.ask(headers=CACHED)
                await kept(stage)
                assert headers["helicone-cache"] == "MISS"

    run(work())


def test_what_is_kept_stays_within_its_bytes(tmp_path):
    """The oldest to end goes first; the sum in Redis is what is there."""

    async def work():
        async with guarded(tmp_path, answering(json_answer(random.randbytes(1000).hex().encode()))) as stage:
            pipe = stage.gateway.guard.pipe
            await pipe.ask("SELECT", 9)
            await pipe.ask("FLUSHDB")
            stage.gateway.guard.options = Options(cache_max_bytes=5000)
            for n in range(12):
                await stage.ask(headers={**CACHED, "helicone-cache-seed": str(n), "cache-control": f"max-age={90 + n}"})
                await kept(stage)
            found = [
                (await stage.ask(headers={**CACHED, "helicone-cache-seed": str(n), "cache-control": "max-age=0"}))[1]
                for n in (11, 10, 0)
            ]
            names = [name for name in await pipe.ask("KEYS", "helicone:c:*:0")]
            sizes = [int(await pipe.ask("STRLEN", name)) for name in names]
            total = int(await pipe.ask("GET", "helicone:cb"))
            await pipe.ask("FLUSHDB")
        assert [headers["helicone-cache"] for headers in found] == ["HIT", "HIT", "MISS"]
        assert total == sum(sizes) <= 5000

    run(work())


def test_fifty_at_once_cause_one_call_over_two_edges(tmp_path):
    """Two guards on two connections stand for two processes."""
    seen = []

    async def play(reader, writer):
        while True:
            seen.append(await read_request(reader))
            await asyncio.sleep(0.3)
            writer.write(json_answer(b'{"n":%d}' % len(seen)))

    async def work():
        organization = random.randrange(10**9, 10**12)
        one, two = tmp_path / "one", tmp_path / "two"
        async with (
            guarded(one, play, organization=organization) as first,
            guarded(two, play, organization=organization) as second,
        ):
            second.gateway.policy.provider_urls["openai"] = f"http://127.0.0.1:{first.upstream_port}"
            asked = [stage.ask(headers=CACHED) for _ in range(25) for stage in (first, second)]
            found = await asyncio.gather(*asked)
        assert {body for _, _, body in found} == {b'{"n":1}'}
        assert sorted(headers["helicone-cache"] for _, headers, _ in found) == ["HIT"] * 49 + ["MISS"]
        assert len(seen) == 1

    run(work())


def test_who_waited_for_a_call_that_failed_asks_itself(tmp_path):
    seen = []

    async def play(reader, writer):
        while True:
            seen.append(await read_request(reader))
            await asyncio.sleep(0.05)
            writer.write(json_answer(b"{}", "500 Oops"))

    async def work():
        async with guarded(tmp_path, play) as stage:
            found = await asyncio.gather(*(stage.ask(headers=CACHED) for _ in range(10)))
        assert {status for status, _, _ in found} == {500}
        assert len(seen) == 10

    run(work())


LIMIT = "helicone-ratelimit-policy"


def test_a_limit_lets_so_many_pass_and_says_when_to_come_again(tmp_path):
    seen = []

    async def work():
        async with guarded(tmp_path, recording(seen, json_answer())) as stage:
            headers = {**AUTH, LIMIT: "2;w=120"}
            found = [await stage.ask(headers=headers) for _ in range(3)]
            exchanges = await stage.exchanges(3)
        assert [status for status, _, _ in found] == [200, 200, 429]
        assert [told["helicone-ratelimit-remaining"] for _, told, _ in found] == ["1", "0", "0"]
        first, refused = found[0][1], found[2][1]
        assert (first["helicone-ratelimit-limit"], first[LIMIT]) == ("2", "2;w=120")
        assert first["helicone-ratelimit-reset"] == "60"
        assert refused["x-helicone-error"] == "rate_limited"
        assert 58 <= int(refused["retry-after"]) <= 60
        assert b'"message":"Helicone user was rate limit via Helicone-RateLimit-Policy header.' in found[2][2]
        assert len(seen) == 2
        assert (exchanges[2].status, exchanges[2].problems[-1].code) == (429, "rate_limited")

    run(work())


def test_two_hundred_at_once_over_two_edges_never_exceed_a_limit_by_one(tmp_path):
    seen = []

    async def work():
        organization = random.randrange(10**9, 10**12)
        play = recording(seen, json_answer())
        one, two = tmp_path / "one", tmp_path / "two"
        async with (
            guarded(one, play, organization=organization) as first,
            guarded(two, play, organization=organization) as second,
        ):
            headers = {**AUTH, LIMIT: "37;w=31536000"}
            asked = [stage.ask(headers=headers) for _ in range(100) for stage in (first, second)]
            found = await asyncio.gather(*asked)
        statuses = [status for status, _, _ in found]
        assert (statuses.count(200), statuses.count(429), len(seen)) == (37, 163, 37)

    run(work())


def test_each_user_and_each_value_of_a_property_has_a_limit_of_its_own(tmp_path):
    async def work():
        async with guarded(tmp_path, answering(json_answer())) as stage:

            async def status(policy, body=b"{}", **headers):
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                found = await stage.ask(body=body, headers={**AUTH, LIMIT: policy, **named})
                return found[0]

            by_user = [await status("1;w=60;s=user", helicone_user_id=who) for who in ("ada", "ada", "bob")]
            by_body = [await status("1;w=60;s=User", body=b'{"user":"%b"}' % who) for who in (b"eve", b"eve", b"bob")]
            by_plan = [await status("1;w=60;s=Plan", helicone_property_plan=plan) for plan in ("a", "a", "b")]
            for_all = [await status("1;w=60", helicone_user_id=who) for who in ("ada", "bob")]
        assert by_user == [200, 429, 200]
        assert by_body == [200, 429, 429]
        assert by_plan == [200, 429, 200]
        assert for_all == [200, 429]

    run(work())


@pytest.mark.parametrize("policy", ["1", "1;w=59", "0;w=60", "1;w=60;u=euro", "10;w=60;s=user;u=cents", "1; w=60"])
def test_a_limit_nobody_can_read_is_told_and_not_applied(tmp_path, policy):
    async def work():
        async with guarded(tmp_path, answering(json_answer())) as stage:
            found = [await stage.ask(headers={**AUTH, LIMIT: policy}) for _ in range(2)]
            exchanges = await stage.exchanges(2)
        assert [status for status, _, _ in found] == [200, 200]
        assert found[0][1]["helicone-ratelimit-error"].startswith("Helicone-RateLimit-Policy: ")
        assert LIMIT not in found[0][1]
        assert exchanges[0].problems[0].code == "directive_unreadable"

    run(work())


def test_a_limit_by_a_user_nobody_names_is_told_and_not_applied(tmp_path):
    async def work():
        async with guarded(tmp_path, answering(json_answer())) as stage:
            found = [await stage.ask(headers={**AUTH, LIMIT: "1;W=60;S=User"}) for _ in range(2)]
            exchanges = await stage.exchanges(2)
        assert [status for status, _, _ in found] == [200, 200]
        assert found[1][1][LIMIT] == "1;w=60;s=user"
        assert "helicone-ratelimit-remaining" not in found[1][1]
        assert exchanges[0].problems == (Problem("limit_without_segment", "1;w=60;s=user"),)

    run(work())


def test_an_answer_from_the_cache_counts_against_no_limit(tmp_path):
    async def work():
        async with guarded(tmp_path, answering(json_answer())) as stage:
            headers = {**CACHED, LIMIT: "1;w=60"}
            found = []
            for _ in range(3):
                found.append((await stage.ask(headers=headers))[0])
                await kept(stage)
            found.append((await stage.ask(headers={**headers, "helicone-cache-seed": "x"}))[0])
        assert found == [200, 200, 200, 429]

    run(work())


@pytest.mark.parametrize(("is_open", "expected"), [(True, 200), (False, 503)])
def test_without_redis_the_cache_misses_and_limits_are_as_set(tmp_path, is_open, expected):
    async def work():
        away = "unix:///nowhere/redis.sock"
        async with guarded(tmp_path, answering(json_answer()), url=away, is_open_without_redis=is_open) as stage:
            cached = [await stage.ask(headers=CACHED) for _ in range(2)]
            limited = await stage.ask(headers={**AUTH, LIMIT: "1;w=60"})
            exchanges = await stage.exchanges(3)
        assert [(status, told["helicone-cache"]) for status, told, _ in cached] == [(200, "MISS")] * 2
        assert limited[0] == expected
        assert "did not answer" in limited[1]["helicone-ratelimit-error"]
        assert [one.problems[0].code for one in exchanges] == ["cache_unreachable"] * 2 + ["limits_unreachable"]

    run(work())


def test_a_redis_that_hangs_holds_a_request_up_no_longer_than_it_may(tmp_path):
    async def work():
        held = socket.socket(socket.AF_UNIX)
        held.bind(str(tmp_path / "hangs.sock"))
        held.listen(5)
        url = f"unix://{tmp_path}/hangs.sock"
        async with guarded(tmp_path, answering(json_answer()), url=url, patience=0.05) as stage:
            found = [await stage.ask(headers=CACHED) for _ in range(3)]
        held.close()
        assert [(status, told["helicone-cache"]) for status, told, _ in found] == [(200, "MISS")] * 3

    run(work())


def test_cents_are_counted_against_what_the_call_names(tmp_path):
    async def work():
        async with guarded(tmp_path, answering(json_answer())) as stage:
            status, headers, _ = await stage.ask(headers={**AUTH, LIMIT: "50;w=3600;u=cents"})
            (exchange,) = await stage.exchanges(1)
        assert (status, headers["helicone-ratelimit-remaining"]) == (200, "50")
        assert headers[LIMIT] == "50;w=3600;u=cents"
        assert [(meter.quota, meter.window) for meter in exchange.meters] == [(50.0, 3600)]

    run(work())


def test_a_request_without_policies_asks_redis_nothing(tmp_path):
    async def work():
        async with guarded(tmp_path, answering(json_answer())) as stage:

            async def refuse(*_):
                raise AssertionError("Redis was asked")

            stage.gateway.guard.pipe.ask = refuse
            status, _, _ = await stage.ask(headers={**AUTH, "cache-control": "max-age=5", "helicone-cache-seed": "x"})
        assert status == 200

    run(work())


def test_every_guard_forgets_what_has_ended(tmp_path):
    async def work():
        async with guarded(tmp_path, answering(json_answer())) as stage:
            users = [uuid.uuid4().hex for _ in range(9)]
            await asyncio.gather(*(stage.ask(headers={**CACHED, "helicone-user-id": user}) for user in users))
            await kept(stage)
            guard = stage.gateway.guard
            assert (guard.flights, guard.places, guard._late) == ({}, {}, set())

    run(work())
