"""Stored rules, budgets and the session guard through edge on a real socket and a real Redis."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import datetime
from typing import Any

import orjson
import pytest

from alerts_app.budgets import Period
from alerts_app.rules import SessionCaps
from alerts_app.segments import Segment
from gateway_app import scripts
from gateway_app.guard import Options
from lib.clock import now
from tests.gateway_app.limited import a_budget, a_rule, an_organization, known_to, limited, numbers
from tests.gateway_app.stage import AUTH, answering, json_answer, recording, run

LIMIT = "helicone-ratelimit-policy"
EACH_USER = Segment("user")


def body(most: int = 100, **more) -> bytes:
    return orjson.dumps({"model": "dear", "max_tokens": most, **more})


def about(sent: bytes, most: int = 100) -> int:
    """What `body` may cost, in micro-dollars."""
    return -(-len(sent) // 4) + most


def statuses(found) -> list[int]:
    return [status for status, _, _ in found]


# --- stored rules -----------------------------------------------------------------------------------------------------


def test_a_stored_rule_limits_whoever_brings_no_header(tmp_path):
    async def work():
        mine = an_organization()
        rule = a_rule(mine, 2, name="calm")
        async with limited(tmp_path, answering(json_answer()), mine, rules=[rule]) as stage:
            found = [await stage.ask() for _ in range(3)]
            exchanges = await stage.exchanges(3)
        assert statuses(found) == [200, 200, 429]
        assert found[0][1]["helicone-ratelimit-limit"] == "2"
        assert found[2][1]["x-helicone-error"] == "rate_limited"
        assert "rule “calm”" in orjson.loads(found[2][2])["error"]["message"]
        assert (exchanges[2].status, exchanges[2].problems[-1].code) == (429, "rate_limited")

    run(work())


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        (Segment("key"), [200, 429, 429]),
        (Segment("key", value="12"), [200, 200, 200]),
        (EACH_USER, [200, 200, 429]),
        (Segment("user", value="bob"), [200, 200, 200]),
        (Segment("user", value="eve"), [200, 200, 429]),
        (Segment("property", "plan"), [200, 429, 200]),
        (Segment("property", "plan", "free"), [200, 429, 200]),
        (Segment("property", "team"), [200, 200, 200]),
    ],
)
def test_a_rule_counts_whom_it_is_for(tmp_path, segment, expected):
    asked = [("eve", "free"), ("ann", "free"), ("eve", "pro")]

    async def work():
        mine = an_organization()
        async with limited(tmp_path, answering(json_answer()), mine, rules=[a_rule(mine, 1, segment=segment)]) as stage:
            found = [
                await stage.ask(headers={**AUTH, "helicone-user-id": user, "helicone-property-plan": plan})
                for user, plan in asked
            ]
        assert statuses(found) == expected

    run(work())


def test_all_limits_count_or_none(tmp_path):
    """A call the rule refuses takes nothing from the header's limit, and the other way round."""

    async def work():
        mine = an_organization()
        rules = [a_rule(mine, 3, segment=EACH_USER)]
        async with limited(tmp_path, answering(json_answer()), mine, rules=rules) as stage:
            ann = {**AUTH, "helicone-user-id": "ann", LIMIT: "5;w=3600"}
            found = [await stage.ask(headers=ann) for _ in range(5)]
            bob = {**ann, "helicone-user-id": "bob"}
            found += [await stage.ask(headers=bob) for _ in range(3)]
        assert statuses(found) == [200, 200, 200, 429, 429, 200, 200, 429]

    run(work())


@pytest.mark.parametrize(("is_open", "expected"), [(True, 200), (False, 503)])
def test_without_redis_each_stored_rule_is_as_set(tmp_path, is_open, expected):
    async def work():
        mine = an_organization()
        for segment in (Segment(), Segment("key"), Segment("user", value="ann"), Segment("property", "plan")):
            headers = {**AUTH, "helicone-user-id": "ann", "helicone-property-plan": "x"}
            folder = tmp_path / segment.by
            options = Options(is_open_without_redis=is_open)
            rules = [a_rule(mine, 1, segment=segment)]
            async with limited(
                folder, answering(json_answer()), mine, url="unix:///nowhere/r.sock", options=options, rules=rules
            ) as stage:
                found = await stage.ask(headers=headers)
            assert found[0] == expected

    run(work())


# --- budgets ----------------------------------------------------------------------------------------------------------


def test_what_a_call_may_cost_is_held_until_its_cost_is_known(tmp_path):
    async def work():
        mine = an_organization()
        budget = a_budget(mine, 10_000)
        async with limited(tmp_path, answering(json_answer()), mine, budgets=[budget]) as stage:
            assert (await stage.ask(body=body()))[0] == 200
            held = await numbers(stage, budget)
            (exchange,) = await stage.exchanges(1)
            (hold,) = exchange.holds
            keys, args = [hold.spent, hold.holds], [str(exchange.id), 42_000]
            settled = [await stage.gateway.guard.pipe.call(scripts.SETTLE, keys, args) for _ in range(2)]
            after = await numbers(stage, budget)
        assert held == (0, about(body()))
        assert settled == [1, 0]
        assert after == (42, 0)

    run(work())


def test_a_call_that_will_not_pass_before_the_period_ends_is_not_to_be_sent_again(tmp_path):
    async def work():
        mine = an_organization()
        budget = a_budget(mine, about(body()) - 1, name="Team", segment=EACH_USER)
        async with limited(tmp_path, json_answer(), mine, budgets=[budget]) as stage:
            refused = await stage.ask(body=body(), headers={**AUTH, "helicone-user-id": "ann"})
        error = orjson.loads(refused[2])["error"]
        assert "“Team” of user ann is used up" in error["message"]
        assert error["details"]["resets_at"] in error["message"]
        assert 0 < int(refused[1]["retry-after"]) <= 31 * 86_400 and refused[1]["x-should-retry"] == "false"

    run(work())


def test_a_refused_call_is_told_what_of_the_budget_is_left(tmp_path):
    seen = []

    async def work():
        mine = an_organization()
        budget = a_budget(mine, 200, name="Team", segment=EACH_USER)
        ann = {**AUTH, "helicone-user-id": "ann"}
        async with limited(tmp_path, recording(seen, json_answer()), mine, budgets=[budget]) as stage:
            passed, refused = [await stage.ask(body=body(), headers=ann) for _ in range(2)]
            other = await stage.ask(body=body(), headers={**AUTH, "helicone-user-id": "bob"})
            nobody = await stage.ask(body=body())
            claude = await stage.ask(
                path="/v1/messages", body=body(), headers={**ann, "anthropic-version": "2023-06-01"}
            )
            held = await numbers(stage, budget, "ann")
            exchanges = await stage.exchanges(5)
        assert statuses([passed, refused, other, nobody]) == [200, 429, 200, 200]
        told, estimate = orjson.loads(refused[2])["error"], about(body()) / 1e6
        assert (told["type"], told["code"]) == ("rate_limit_error", "budget_exceeded")
        details = told["details"]
        assert datetime.fromisoformat(details.pop("resets_at")) > now()
        assert details == {
            "budget": "Team", "segment": {"by": "user", "name": "", "value": "ann"}, "limit_usd": 0.0002,
            "spent_usd": 0.0, "reserved_usd": estimate, "estimate_usd": estimate,
        }  # fmt: skip
        said = "“Team” of user ann is taken up by calls under way: limit $0.0002 a month, spent $0.00"
        assert said in told["message"]
        assert refused[1]["x-helicone-error"] == "budget_exceeded"
        assert refused[1]["retry-after"] == "5" and "x-should-retry" not in refused[1]
        assert held == (0, about(body()))
        assert len(seen) == 3
        assert (claude[0], orjson.loads(claude[2])["error"]["type"]) == (429, "rate_limit_error")
        assert {one.problems[-1].code for one in exchanges if one.status == 429} == {"budget_exceeded"}

    run(work())


def test_budgets_warn_before_they_refuse(tmp_path):
    async def work():
        mine = an_organization()
        budgets = [
            a_budget(mine, 2 * about(body()), name="soft", warn_percents=(50, 90), is_hard=False),
            a_budget(mine, 10**6, name="wide", warn_percents=(50,)),
        ]
        async with limited(tmp_path, answering(json_answer()), mine, budgets=budgets) as stage:
            found = [await stage.ask(body=body()) for _ in range(4)]
        assert statuses(found) == [200] * 4
        said = [told["helicone-budget-warning"] for _, told, _ in found]
        assert said[0].startswith("soft: 50% of $0.00")
        assert said[3].startswith("soft: 200% of")

    run(work())


def test_a_model_of_unknown_price_holds_nothing_and_says_so(tmp_path):
    async def work():
        mine = an_organization()
        budget = a_budget(mine, 1, segment=Segment("key"))
        others = a_budget(mine, 1, segment=EACH_USER)
        async with limited(tmp_path, answering(json_answer()), mine, budgets=[budget, others]) as stage:
            found = await stage.ask(body=b'{"model":"home-made"}')
            (exchange,) = await stage.exchanges(1)
            held = await numbers(stage, budget, "11")
            stage.keys.current = known_to(mine, budgets=[others])
            untold = await stage.ask(body=b'{"model":"home-made"}')
        assert statuses([found, untold]) == [200, 200]
        assert "helicone-budget-warning" not in untold[1]
        assert "no price is known for home-made" in found[1]["helicone-budget-warning"]
        assert [(one.code, one.detail) for one in exchange.problems] == [("budget_without_price", "home-made")]
        assert held == (0, 0)

    run(work())


def test_a_kept_answer_holds_nothing_and_takes_from_no_limit(tmp_path):
    async def work():
        mine = an_organization()
        budget, rule = a_budget(mine, 10**6), a_rule(mine, 1)
        cached = {**AUTH, "helicone-cache-enabled": "true"}
        async with limited(tmp_path, answering(json_answer()), mine, budgets=[budget], rules=[rule]) as stage:
            found = []
            for _ in range(4):
                found.append(await stage.ask(body=body(), headers=cached))
                await asyncio.gather(*stage.gateway.guard._late)
            held = await numbers(stage, budget)
        assert statuses(found) == [200] * 4
        assert held == (0, about(body()))

    run(work())


def test_two_organizations_do_not_share_a_budget(tmp_path):
    async def work():
        mine, theirs = an_organization(), an_organization()
        seven = random.randrange(10**9, 10**12)
        budgets = [a_budget(one, about(body()), id=seven, segment=EACH_USER) for one in (mine, theirs)]
        ann = {**AUTH, "helicone-user-id": "ann"}
        async with (
            limited(tmp_path / "a", answering(json_answer()), mine, budgets=budgets[:1]) as first,
            limited(tmp_path / "b", answering(json_answer()), theirs, budgets=budgets[1:]) as second,
        ):
            found = [await stage.ask(body=body(), headers=ann) for stage in (first, second, first, second)]
        assert statuses(found) == [200, 200, 429, 429]

    run(work())


@pytest.mark.parametrize("span", ["day", "week", "month", "rolling"])
def test_sixty_at_once_over_two_edges_hold_no_more_than_there_is(tmp_path, span):
    """Two hundred over three processes: tests/faults/test_budgets_killed.py."""

    async def work():
        mine = an_organization()
        budget = a_budget(mine, 17 * about(body()) + 5, period=Period(span, 1))
        async with (
            limited(tmp_path / "a", answering(json_answer()), mine, budgets=[budget]) as first,
            limited(tmp_path / "b", answering(json_answer()), mine, budgets=[budget]) as second,
        ):
            found = await asyncio.gather(*(stage.ask(body=body()) for _ in range(30) for stage in (first, second)))
            held = await numbers(first, budget)
        assert Counter(statuses(found)) == {200: 17, 429: 43}
        assert held == (0, 17 * about(body()))

    run(work())


@pytest.mark.parametrize(("is_open", "expected"), [(True, 200), (False, 503)])
def test_a_budget_whose_numbers_are_not_there_is_as_set(tmp_path, is_open, expected):
    """Redis was emptied, or is away."""

    async def work():
        mine = an_organization()
        options = Options(are_budgets_open=is_open)
        told = {"options": options, "budgets": [a_budget(mine, 10**6)]}
        play = answering(json_answer())
        async with limited(tmp_path / "a", play, mine, is_known=False, **told) as stage:
            emptied = await stage.ask(body=body())
            noted = (await stage.exchanges(1))[0].problems[0].code
        async with limited(tmp_path / "b", play, mine, url="unix:///nowhere/r.sock", **told) as stage:
            away = await stage.ask(body=body())
            soft = await stage.ask(method="GET", path="/v1/files", body=b"")
        assert statuses([emptied, away, soft]) == [expected, expected, 200]
        assert noted == "budgets_not_known_yet"
        assert "did not answer" in away[1]["helicone-budget-warning"]

    run(work())


def test_a_call_the_spool_did_not_take_is_settled_with_its_estimate(tmp_path):
    async def work():
        mine = an_organization()
        budget = a_budget(mine, 10**6)
        async with limited(tmp_path, answering(json_answer()), mine, budgets=[budget]) as stage:
            stage.spool._max_bytes = 0
            assert (await stage.ask(body=body()))[0] == 200
            for _ in range(500):
                if (found := await numbers(stage, budget))[1] == 0 and found[0]:
                    break
                await asyncio.sleep(0.01)
        assert found == (about(body()), 0)

    run(work())


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_very_long_body_is_not_waited_for(tmp_path, is_chunked):
    """Its model is read where it stands early, and what has not come is taken for pictures."""
    sent = b'{"model": "dear", "max_tokens": 5, "messages": "' + b"x" * 30_000_000 + b'"}'
    seen = []

    async def work():
        mine = an_organization()
        budget = a_budget(mine, 10**9)
        async with limited(tmp_path, recording(seen, json_answer()), mine, budgets=[budget]) as stage:
            headers = {**AUTH, "transfer-encoding": "chunked"} if is_chunked else AUTH
            data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(sent), sent) if is_chunked else sent
            reader, writer = await stage.connect(body=None if is_chunked else data, headers=headers)
            if is_chunked:
                writer.write(data)
                await writer.drain()
            answer = await reader.read()
            held = await numbers(stage, budget)
            writer.close()
        assert answer.startswith(b"HTTP/1.1 200")
        assert seen[0].body == sent
        assert 0 < held[1] < 10**6 * 10

    run(work())


# --- sessions ---------------------------------------------------------------------------------------------------------


def in_session(**bounds) -> dict[str, str]:
    told = {f"helicone-session-max-{name.replace('_', '-')}": str(bound) for name, bound in bounds.items()}
    return {**AUTH, "helicone-session-id": f"s{random.random()}", "helicone-session-path": "/plan/step/tool", **told}


def reason(answer) -> Any:
    return orjson.loads(answer[2])["error"]["details"]["reason"]


def test_a_session_makes_so_many_calls(tmp_path):
    async def work():
        async with limited(tmp_path, answering(json_answer()), an_organization()) as stage:
            headers = in_session(calls=2)
            found = [await stage.ask(body=body(), headers=headers) for _ in range(3)]
            other = await stage.ask(body=body(), headers=in_session(calls=2))
        assert statuses([*found, other]) == [200, 200, 429, 200]
        assert reason(found[2]) == "calls"
        assert found[2][1]["x-helicone-error"] == "session_stopped"
        assert "retry-after" not in found[2][1]

    run(work())


def test_a_session_costs_so_much(tmp_path):
    async def work():
        async with limited(tmp_path, answering(json_answer()), an_organization()) as stage:
            headers = in_session(cost_usd=about(body()) * 2 / 1e6)
            found = [await stage.ask(body=body(), headers=headers) for _ in range(3)]
            first = (await stage.exchanges(3))[0]
            (hold,) = first.holds
            args = [str(first.id), 0]
            await stage.gateway.guard.pipe.call(scripts.SETTLE, [hold.spent, hold.holds], args)
            found.append(await stage.ask(body=body(), headers=headers))
        assert statuses(found) == [200, 200, 429, 200]
        assert reason(found[2]) == "cost"

    run(work())


def test_the_lower_bound_of_header_and_organization_holds(tmp_path):
    async def work():
        mine = an_organization()
        caps = SessionCaps(max_calls=1, max_depth=9)
        async with limited(tmp_path, answering(json_answer()), mine, caps=caps) as stage:
            headers = in_session(calls=5, depth=2)
            deep = await stage.ask(body=body(), headers=headers)
            flat = {**headers, "helicone-session-path": "/plan"}
            found = [await stage.ask(body=body(), headers=flat) for _ in range(2)]
            unbound = await stage.ask(body=body())
        assert statuses([deep, *found, unbound]) == [429, 200, 429, 200]
        assert (reason(deep), reason(found[1])) == ("depth", "calls")

    run(work())


def test_bounds_of_no_session_are_named_among_the_problems(tmp_path):
    async def work():
        async with limited(tmp_path, answering(json_answer()), an_organization()) as stage:
            headers = {**AUTH, "helicone-session-max-calls": "1", "helicone-session-max-depth": "none"}
            found = [await stage.ask(body=body(), headers=headers) for _ in range(2)]
            exchange = (await stage.exchanges(2))[0]
            named = await stage.ask(body=body(), headers={**in_session(), "helicone-session-max-cost-usd": "0"})
            nameless = await stage.ask(body=body(), headers={**AUTH, "helicone-session-max-calls": "1"})
        assert statuses(found) == [200, 200]
        assert found[0][1]["helicone-session-error"].startswith("Helicone-Session-Max-Depth: must be")
        assert named[1]["helicone-session-error"].startswith("Helicone-Session-Max-Cost-Usd: must be")
        assert "Helicone-Session-Id" in nameless[1]["helicone-session-error"]
        assert {one.code for one in exchange.problems} == {"directive_unreadable", "session_bounds_without_session"}

    run(work())


def openai_turn(n: int, arguments: str = '{"q": 1}') -> dict[str, Any]:
    call = {"id": f"call_{n}", "type": "function", "function": {"name": "look", "arguments": arguments}}
    return {"role": "assistant", "tool_calls": [call]}


TURNS = {
    "chat": lambda n: {"messages": [{"role": "user", "content": "go"}, *map(openai_turn, range(n))]},
    "anthropic": lambda n: {"messages": [
        {"role": "assistant", "content": [{"type": "tool_use", "id": f"t{k}", "name": "look", "input": {"q": 1}}]}
        for k in range(n)
    ]},
    "responses": lambda n: {"input": [
        {"type": "function_call", "call_id": f"c{k}", "name": "look", "arguments": '{"q":1}'} for k in range(n)
    ]},
    "gemini": lambda n: {"contents": [
        {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {"q": 1}}}]} for _ in range(n)
    ]},
}  # fmt: skip


@pytest.mark.parametrize("spoken", TURNS)
def test_a_tool_called_the_same_way_again_and_again_stops_the_session(tmp_path, spoken):
    async def work():
        async with limited(tmp_path, answering(json_answer()), an_organization()) as stage:
            headers = in_session(repeats=3)
            found = [await stage.ask(body=body(**TURNS[spoken](n)), headers=headers) for n in range(5)]
        assert statuses(found) == [200, 200, 200, 200, 429]
        assert reason(found[4]) == "repeats"
        assert b"the tool look was called 4 times" in found[4][2]

    run(work())


def test_repeats_count_over_a_session_that_forgets_its_history(tmp_path):
    async def work():
        async with limited(tmp_path, answering(json_answer()), an_organization()) as stage:
            headers = in_session(repeats=2)
            turns = [openai_turn(1), openai_turn(1), openai_turn(2), openai_turn(3, '{"q": 2}'), openai_turn(4)]
            found = [await stage.ask(body=body(messages=[turn]), headers=headers) for turn in turns]
        assert statuses(found) == [200, 200, 200, 200, 429]

    run(work())


def test_with_limits_budget_session_and_cache_there_is_one_trip_before_and_one_after(tmp_path):
    async def work():
        mine = an_organization()
        told = {"rules": [a_rule(mine, 9)], "budgets": [a_budget(mine, 10**9)], "caps": SessionCaps(max_calls=9)}
        async with limited(tmp_path, answering(json_answer()), mine, **told) as stage:
            wire, asked = stage.gateway.guard.pipe._there(), []
            ask = wire.ask

            def counted(data, whole=None):
                asked.append(data.split(b"\r\n")[2])
                return ask(data, whole)

            headers = {**in_session(), "helicone-cache-enabled": "true", LIMIT: "9;w=60"}
            await stage.ask(body=body(), headers=headers)  # scripts are loaded now
            await asyncio.gather(*stage.gateway.guard._late)
            wire.ask = counted
            status, _, _ = await stage.ask(body=body(1), headers=headers)
            await asyncio.gather(*stage.gateway.guard._late)
        assert (status, asked) == (200, [b"EVALSHA", b"EVALSHA"])

    run(work())
