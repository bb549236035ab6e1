"""Other targets and other models: what is read, who is called, and what the client is told."""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_app.keys import Speaker
from accounts_app.snapshot_provider_keys import StoredKey, StoredKeys
from gateway_app import fallbacks, model_lists
from gateway_app.errors import FallbacksInvalid
from gateway_app.fallbacks import Codes
from gateway_app.health import Place
from gateway_app.model_lists import Wanted
from gateway_app.snapshot_parts import MODELS, ROUTES
from llm import providers
from llm.exchange import ATTEMPT
from tests.gateway_app.stage import AUTH, KEY, json_answer, listening, read_request, run, staged
from tests.gateway_app.test_retries import BUSY, LIMITED

JSON_TYPE = {"content-type": "application/json"}
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
ONE = {"target-url": "https://api.openai.com", "headers": {"Authorization": "Bearer x"}, "onCodes": [429]}


# --- what is read -----------------------------------------------------------------------------------------------------


def test_targets_are_read_and_their_overrides_add_up():
    two = {**ONE, "onCodes": [{"from": 500, "to": 599}], "bodyKeyOverride": {"a": {"b": 1}}}
    three = {**ONE, "onCodes": [], "bodyKeyOverride": {"a": {"c": 2}, "model": "m"}}
    first, second, third = fallbacks.read(json.dumps([ONE, two, three]))
    assert first.headers == {"authorization": "Bearer x"}
    assert [429 in one.codes for one in (first, second, third)] == [True, False, False]
    assert [(500 in second.codes), (599 in second.codes), (600 in second.codes)] == [True, True, False]
    assert [first.override, second.override] == [{}, {"a": {"b": 1}}]
    assert third.override == {"a": {"b": 1, "c": 2}, "model": "m"}


def test_models_are_read_as_litellm_documents_them():
    assert fallbacks.read('["gpt-3.5-turbo", " gpt-4 "]') == ("gpt-3.5-turbo", "gpt-4")


@pytest.mark.parametrize("text", [
    "", "{}", "[]", "nonsense", "[1]", '["a", {}]', '[""]', json.dumps([{**ONE, "target-url": ""}]),
    json.dumps([{key: ONE[key] for key in ("target-url", "headers")}]), json.dumps([{**ONE, "onCodes": 429}]),
    json.dumps([{**ONE, "onCodes": [{"from": 500}]}]), json.dumps([{**ONE, "onCodes": [True]}]),
    json.dumps([{**ONE, "headers": {"a b": "c"}}]), json.dumps([{**ONE, "headers": {"a": "b\r\nc: d"}}]),
    json.dumps([{**ONE, "bodyKeyOverride": []}, {**ONE, "bodyKeyOverride": [1]}]), json.dumps([ONE] * 21),
])  # fmt: skip
def test_what_cannot_be_read_is_said(text):
    with pytest.raises(FallbacksInvalid, match="Helicone-Fallbacks"):
        fallbacks.read(text)


@given(st.one_of(st.text(), JSONS.map(json.dumps), st.lists(st.fixed_dictionaries(
    {name: JSONS for name in ("target-url", "headers", "onCodes")}, optional={"bodyKeyOverride": JSONS}
)).map(json.dumps)))
def test_whatever_is_sent_is_read_or_refused(text):
    with contextlib.suppress(FallbacksInvalid):
        fallbacks.read(text)


@given(st.dictionaries(st.text(), JSONS), st.dictionaries(st.text(), JSONS))
def test_merging_keeps_every_key_and_the_later_value_of_what_is_no_object(base, over):
    found = fallbacks.merged(base, over)
    assert found.keys() == base.keys() | over.keys()
    for key, value in over.items():
        if not (isinstance(value, dict) and isinstance(base.get(key), dict)):
            assert found[key] == value
    assert fallbacks.merged(base, {}) == base


def test_a_body_that_is_no_object_cannot_be_changed():
    assert fallbacks.overridden(b"[1]", {}) == b"[1]"
    with pytest.raises(FallbacksInvalid):
        fallbacks.overridden(b"[1]", {"a": 1})


def wanted(text, own=None, **more):
    found = model_lists.read(text, own=providers.by_slug(own) if own else None, **more)
    return [(one.model, one.provider and one.provider.slug, one.deployment) for one in found.wanted]


@pytest.mark.parametrize(("text", "own", "found"), [
    ("gpt-4o-mini/openai, claude-4.5-sonnet/anthropic,gpt-4o-mini", None,
     [("gpt-4o-mini", "openai", ""), ("claude-4.5-sonnet", "anthropic", ""), ("gpt-4o-mini", None, "")]),
    ("openai/gpt-4o,gemini/gemini-2.5-pro", "openai", [("gpt-4o", "openai", ""), ("gemini-2.5-pro", "google", "")]),
    ("gpt-4o/azure/my-deployment,b", None, [("gpt-4o", "azure", "my-deployment"), ("b", None, "")]),
    ("meta-llama/llama-3,x", None, [("meta-llama/llama-3", None, ""), ("x", None, "")]),
    ("meta-llama/llama-3/openrouter,x", None, [("meta-llama/llama-3", "openrouter", ""), ("x", None, "")]),
    ("openai/gpt-4o,anthropic/claude-3", "openrouter", [("openai/gpt-4o", None, ""), ("anthropic/claude-3", None, "")]),
    ("gemini-2.5-pro/google-ai-studio", None, [("gemini-2.5-pro", "google", "")]),
    ("a,a,,b,", "openai", [("a", None, ""), ("b", None, "")]),
    ("m:online/openai,meta-llama/l:online", None, [("m", "openai", ""), ("meta-llama/l", None, "")]),
])  # fmt: skip
def test_lists_of_models_in_both_orders(text, own, found):
    assert wanted(text, own) == found


def test_providers_can_be_left_out_and_old_names_stand_for_new_ones():
    assert model_lists.read("a,!azure, !google-ai-studio", own=None).excluded == {"azure", "google"}
    assert wanted("gemini-1.5-flash,x", has_aliases=True)[0][0] == "gemini-2.5-flash-lite"
    assert wanted("gemini-1.5-flash,x", "google")[0][0] == "gemini-1.5-flash"
    for bad in ("!nobody,a", "!azure", " , ", "!"):
        with pytest.raises(FallbacksInvalid):
            model_lists.read(bad, own=None)


@given(st.text())
def test_every_list_is_read_or_refused(text):
    with contextlib.suppress(FallbacksInvalid):
        assert all(isinstance(one, Wanted) for one in model_lists.read(text, own=None).wanted)


@pytest.mark.parametrize(("body", "models"), [
    (b'{"model": "a,b"}', ["a,b"]), (b'{"messages":[{"content":"\\"model\\":\\"x\\""}],"model":"m"}', ["m"]),
    (b'{"x":1}', []), (b'{"model":7}', []), (b'{"model" : "m', []), (b"", []), (b'"model":"m"', ["m"]),
    (b'{"model":"m","tools":[{"model":"n"}]}', ["n", "m"]),
])  # fmt: skip
def test_a_glance_finds_the_models(body, models):
    assert model_lists.glance(body) == models


@given(st.dictionaries(st.text(), JSONS), st.text(min_size=1, max_size=50), JSONS)
def test_a_glance_misses_no_list(before, model, after):
    """Whatever stands around it; letters that JSON escapes are no name of a model."""
    told = {**before, "model": f"{model},b", "after": after}
    body = orjson.dumps(told)
    assert b"\\" in orjson.dumps(model) or any(map(model_lists.is_list, model_lists.glance(body)))
    assert model_lists.model_of(body) == told["model"]


# --- through edge -----------------------------------------------------------------------------------------------------


def answering_by(answers, seen):
    """Answers by the model a body names, or else by path; remembers who was asked for what."""

    async def play(reader, writer):
        while True:
            asked = await read_request(reader)
            seen.append(asked)
            model = json.loads(asked.body).get("model", "") if asked.body.startswith(b"{") else ""
            writer.write(answers.get(model, answers.get("", json_answer())))

    return play


def entry(port, *, codes=({"from": 500, "to": 599},), key="a", **more):
    return {"target-url": f"http://127.0.0.1:{port}/left-out", "headers": {"Authorization": f"Bearer {key}"},
            "onCodes": list(codes), **more}  # fmt: skip


def listed(*entries, **more):
    return {**AUTH, **JSON_TYPE, "helicone-fallbacks": json.dumps(entries), **more}


def test_the_next_target_is_called_with_headers_and_body_of_its_own(tmp_path):
    seen: list = []

    async def work():
        async with (
            staged(tmp_path, answering_by({"": BUSY}, []), guard="allow") as stage,
            listening(answering_by({"": json_answer(b'{"model":"other"}')}, seen)) as other,
        ):
            second = entry(other, key="b", bodyKeyOverride={"model": "other", "a": {"y": 2}})
            headers = listed(entry(stage.upstream_port), second, **{"x-of-client": "1", "helicone-user-id": "ada"})
            status, told, body = await stage.ask(body=b'{"model":"m","a":{"x":1}}', headers=headers)
            exchanges = await stage.exchanges(2)
        assert (status, body) == (200, b'{"model":"other"}')
        assert (told["helicone-fallback-index"], told["helicone-attempts"]) == ("1", "2")
        (asked,) = seen
        assert json.loads(asked.body) == {"model": "other", "a": {"x": 1, "y": 2}}
        assert asked.headers["authorization"] == "Bearer b"
        assert asked.headers["content-type"] == "application/json"
        assert "x-of-client" not in asked.headers
        assert asked.line == "POST /v1/chat/completions HTTP/1.1"
        attempt, request = sorted(exchanges, key=lambda one: one.reading is None)
        assert (attempt.reading.kind, attempt.status, request.status) == (ATTEMPT, 503, 200)
        assert request.url == f"http://127.0.0.1:{other}/v1/chat/completions"
        assert attempt.url == f"http://127.0.0.1:{stage.upstream_port}/v1/chat/completions"
        assert attempt.reading.finish_reason == f"then 127.0.0.1:{other}"
        assert request.attribution.end_user_id == "ada"
        assert [problem.code for problem in request.problems] == ["attempts_failed", "fell_back"]

    run(work())


def test_a_status_that_is_not_among_the_codes_is_the_answer(tmp_path):
    async def work():
        async with staged(tmp_path, answering_by({"": LIMITED}, []), guard="allow") as stage:
            port = stage.upstream_port
            status, told, _ = await stage.ask(headers=listed(entry(port), entry(port)))
            limited = entry(port, codes=[429])
            again, told_again, body = await stage.ask(headers=listed(limited, limited))
        assert (status, told["helicone-fallback-index"]) == (429, "0")
        assert (again, told_again["helicone-fallback-index"]) == (429, "1")
        assert b"Slow down" in body

    run(work())


def test_an_address_nobody_answers_at_is_as_a_502(tmp_path):
    async def work():
        async with staged(tmp_path, answering_by({}, []), guard="allow") as stage:
            headers = listed(entry(1, codes=[502]), entry(stage.upstream_port))
            status, told, _ = await stage.ask(headers=headers)
            lost = await stage.ask(headers=listed(entry(1, codes=[502]), entry(2)))
            exchanges = await stage.exchanges(4)
        assert (status, told["helicone-fallback-index"]) == (200, "1")
        assert (lost[0], lost[1]["helicone-attempts"]) == (502, "2")
        (request,) = (one for one in exchanges if str(one.id) == lost[1]["helicone-id"])
        assert request.url.startswith("http://127.0.0.1:2/")

    run(work())


def test_a_private_address_is_refused_here_too(tmp_path):
    async def work():
        async with staged(tmp_path, answering_by({}, [])) as stage:
            status, _, body = await stage.ask(headers=listed(entry(stage.upstream_port)))
        assert (status, json.loads(body)["error"]["code"]) == (403, "target_refused")

    run(work())


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_bad_fallbacks_are_told_in_the_clients_own_shape(tmp_path, path):
    async def work():
        async with staged(tmp_path, answering_by({}, [])) as stage:
            status, _, body = await stage.ask(path=path, headers={**AUTH, "helicone-fallbacks": '[{"a":1}]'})
        told = json.loads(body)
        assert status == 400
        assert ("type" in told) == (path == "/v1/messages")
        assert "target-url" in told["error"]["message"]

    run(work())


def test_models_of_the_header_come_after_the_one_of_the_body(tmp_path):
    seen: list = []

    async def work():
        async with staged(tmp_path, answering_by({"a": BUSY, "b": json_answer(status="404 Not Found")}, seen)) as stage:
            headers = {**AUTH, **JSON_TYPE, "helicone-fallbacks": '["b", "a", "c"]', "authorization": "Bearer mine"}
            status, told, _ = await stage.ask(body=b'{"model":"a","n":1}', headers=headers)
            exchanges = await stage.exchanges(3)
        assert (status, told["helicone-fallback-index"]) == (200, "2")
        assert (told["helicone-model"], told["helicone-provider"]) == ("c", "openai")
        assert [json.loads(asked.body) for asked in seen] == [{"model": one, "n": 1} for one in "abc"]
        assert {asked.headers["authorization"] for asked in seen} == {"Bearer mine"}
        tried = [one.reading.request_model for one in exchanges if one.reading]
        assert sorted(tried) == ["a", "b"]

    run(work())


def test_a_comma_list_in_model_is_a_list_of_candidates(tmp_path):
    seen: list = []

    async def work():
        async with staged(tmp_path, answering_by({"a": BUSY}, seen)) as stage:
            status, told, _ = await stage.ask(body=b'{"model":"a/openai, b"}', headers={**AUTH, **JSON_TYPE})
            plain = await stage.ask(body=b'{"model":"openai/a"}', headers={**AUTH, **JSON_TYPE})
        assert (status, told["helicone-fallback-index"]) == (200, "1")
        assert "helicone-fallback-index" not in plain[1]
        assert [json.loads(asked.body)["model"] for asked in seen] == ["a", "b", "openai/a"]

    run(work())


def test_where_all_fail_each_is_told_of_under_a_status_of_theirs(tmp_path):
    async def work():
        answers = {"a": LIMITED, "b": json_answer(b'{"error":{"message":"No such model"}}', "404 Not Found")}
        async with staged(tmp_path, answering_by(answers, [])) as stage:
            status, told, body = await stage.ask(body=b'{"model":"a,b"}', headers={**AUTH, **JSON_TYPE})
            exchanges = await stage.exchanges(3)
        error = json.loads(body)
        assert (status, told["content-type"], error["success"]) == (404, "application/json", False)
        assert error["error"]["code"] == "all_attempts_failed"
        assert "No such model" in error["error"]["message"]
        assert error["error"]["details"] == [
            {"source": "a", "type": "rate_limited", "message": "Slow down", "statusCode": 429},
            {"source": "b", "type": "request_failed", "message": "No such model", "statusCode": 404},
        ]
        assert told["helicone-attempts"] == "2"
        assert sorted(one.status for one in exchanges) == [404, 404, 429]

    run(work())


def keys(stage, **stored):
    """What a snapshot with these provider keys looks like, and a key of ours that may borrow them."""
    held = {slug: StoredKey(number, 7, slug, secret) for number, (slug, secret) in enumerate(stored.items(), 1)}
    found = StoredKeys({7: held}, {key.id: key for key in held.values()})
    stage.keys.current = SimpleNamespace(parts={"provider_keys": found})
    stage.keys.known = {KEY: Speaker(7, 11, "test", "w", may_borrow=True)}


def test_another_provider_is_called_with_the_key_stored_for_it(tmp_path):
    seen: list = []

    async def work():
        async with staged(tmp_path, answering_by({"a": BUSY}, seen)) as stage:
            keys(stage, anthropic="stored-key")
            headers = {**AUTH, **JSON_TYPE, "authorization": "Bearer mine", "cookie": "a=b"}
            status, told, _ = await stage.ask(
                path="/v1/chat/completions?key=mine", body=b'{"model":"a,claude/anthropic"}', headers=headers
            )
            *_, request = sorted(await stage.exchanges(2), key=lambda one: one.reading is None)
        assert (status, told["helicone-provider"], told["helicone-model"]) == (200, "anthropic", "claude")
        assert (seen[1].line, seen[1].headers["authorization"]) == (
            "POST /v1/chat/completions HTTP/1.1", "Bearer stored-key",
        )  # fmt: skip
        assert "cookie" not in seen[1].headers
        assert request.provider == "anthropic"

    run(work())


def test_candidates_that_cannot_be_called_are_passed_over_with_the_reason(tmp_path):
    async def work():
        async with staged(tmp_path, answering_by({}, [])) as stage:
            keys(stage, bedrock="k", azure="k")
            text = b'{"model":"a/anthropic,b/azure,c/bedrock,d,!google,e/google"}'
            status, told, _ = await stage.ask(body=text, headers={**AUTH, **JSON_TYPE})
            (exchange,) = await stage.exchanges()
            nobody, _, body = await stage.ask(body=b'{"model":"a/anthropic,b/groq"}', headers={**AUTH, **JSON_TYPE})
        assert (status, told["helicone-fallback-index"], told["helicone-model"]) == (200, "3", "d")
        reasons = [problem.detail for problem in exchange.problems]
        assert len(reasons) == 4
        assert "no key" in reasons[0]
        assert "address" in reasons[1]
        assert nobody == 400
        assert [one["type"] for one in json.loads(body)["error"]["details"]] == ["missing_provider_key"] * 2

    run(work())


def test_a_key_of_ours_alone_reaches_the_provider_that_is_named(tmp_path):
    seen: list = []

    async def work():
        async with staged(tmp_path, answering_by({}, seen)) as stage:
            keys(stage, openai="stored-key")
            headers = {"authorization": f"Bearer {KEY}", **JSON_TYPE}
            path = "/ai/v1/chat/completions"
            status, _, _ = await stage.ask(path=path, body=b'{"model":"openai/a"}', headers=headers)
            spoken, _, _ = await stage.ask(body=b'{"model":"a"}', headers=headers)  # newer than the price list, say
            keys(stage, anthropic="stored-key")
            unknown, _, body = await stage.ask(body=b'{"model":"a"}', headers=headers)
        assert (spoken, len(seen)) == (200, 2)
        assert (status, seen[0].headers["authorization"]) == (200, "Bearer stored-key")
        assert json.loads(seen[0].body) == {"model": "a"}
        assert (unknown, "no provider" in json.loads(body)["error"]["message"]) == (400, True)

    run(work())


def test_a_model_alone_goes_to_those_that_have_it(tmp_path):
    seen: list = []

    async def work():
        async with staged(tmp_path, answering_by({}, seen)) as stage:
            keys(stage, openai="o", anthropic="a")
            rows = [{"provider": "anthropic", "match": '{"starts_with": "claude"}', "context_window": 200_000}]
            stage.keys.current.parts[MODELS.name] = MODELS.read(rows)
            headers = {"authorization": f"Bearer {KEY}", **JSON_TYPE}
            status, told, _ = await stage.ask(body=b'{"model":"claude-x"}', headers=headers)
        assert (status, told["helicone-provider"]) == (200, "anthropic")

    run(work())


ROUTE = {"organization_id": 7, "name": "Main", "pattern": "gpt-4o*", "targets": [
    {"provider": "", "model": "a", "codes": [[429, 429]], "calls": 2}, {"provider": "anthropic", "model": "claude"},
]}  # fmt: skip


def test_a_stored_route_is_taken_by_name_or_for_its_models(tmp_path):
    seen: list = []

    async def work():
        async with staged(tmp_path, answering_by({"a": LIMITED}, seen)) as stage:
            keys(stage, anthropic="stored-key")
            stage.keys.current.parts[ROUTES.name] = ROUTES.read([ROUTE])
            headers = {**AUTH, **JSON_TYPE, "helicone-retry-min-timeout": "1", "helicone-retry-enabled": "true"}
            found = [
                await stage.ask(body=b'{"model":"x"}', headers={**headers, "helicone-route": "main"}),
                await stage.ask(body=b'{"model":"gpt-4o-mini"}', headers=headers),
                await stage.ask(body=b'{"model":"gpt-4"}', headers=headers),
                await stage.ask(body=b'{"model":"x"}', headers={**headers, "helicone-route": "other"}),
            ]
        assert [one[0] for one in found] == [200, 200, 200, 400]
        assert [one[1].get("helicone-fallback-index") for one in found] == ["1", "1", None, None]
        asked = [json.loads(one.body)["model"] for one in seen]
        assert asked == ["a", "a", "claude", "a", "a", "claude", "gpt-4"]

    run(work())


def test_a_target_that_keeps_failing_is_passed_over_where_there_is_another(tmp_path):
    seen: list = []

    async def work():
        async with staged(tmp_path, answering_by({"b": json_answer(b'{"n":"b"}'), "": BUSY}, seen)) as stage:
            keys(stage, anthropic="k")
            stage.gateway.policy.provider_urls["anthropic"] = f"http://localhost:{stage.upstream_port}"
            for _ in range(12):
                await stage.ask(body=b'{"model":"a,b/anthropic"}', headers={**AUTH, **JSON_TYPE})
            tried = [json.loads(one.body)["model"] for one in seen]
            seen.clear()
            alone, _, _ = await stage.ask(body=b'{"model":"a"}', headers={**AUTH, **JSON_TYPE})
        assert tried[:2] == ["a", "b"]
        assert tried.count("a") < 12
        assert tried[-2:] == ["b", "b"]
        assert (alone, len(seen)) == (503, 1)

    run(work())


def test_who_was_passed_over_stands_among_the_details_where_all_others_fail(tmp_path):
    async def work():
        async with staged(tmp_path, answering_by({"": BUSY}, [])) as stage:
            keys(stage, anthropic="k")
            stage.gateway.policy.provider_urls["anthropic"] = f"http://localhost:{stage.upstream_port}"
            listed_models = b'{"model":"a/groq,b,c/anthropic"}'
            alone = json.loads((await stage.ask(body=b'{"model":"a/groq,b"}', headers={**AUTH, **JSON_TYPE}))[2])
            for _ in range(4):  # OpenAI's address fails until it rests, and the other until only one of them may
                await stage.ask(body=b'{"model":"b"}', headers={**AUTH, **JSON_TYPE})
            status, told, body = await stage.ask(body=listed_models, headers={**AUTH, **JSON_TYPE})
            (request,) = (one for one in await stage.exchanges(8) if str(one.id) == told["helicone-id"])
        assert [one["type"] for one in alone["error"]["details"]] == ["request_failed", "missing_provider_key"]
        error = json.loads(body)["error"]
        found = [(one["source"], one["type"]) for one in error["details"]]
        assert status == 503
        assert found == [("c/anthropic", "request_failed"), ("a/groq", "missing_provider_key"), ("b", "resting")]
        assert error["details"][2]["message"].startswith("it rests: 100% of the latest calls failed")
        skipped = [one.detail for one in request.problems if one.code == "target_skipped"]
        assert [one.partition(":")[0] for one in skipped] == ["a/groq", "b"]

    run(work())


def test_a_model_that_became_slow_is_passed_over_where_there_is_another(tmp_path):
    seen: list = []

    async def work():
        async with staged(tmp_path, answering_by({}, seen)) as stage:
            place = Place(7, f"http://127.0.0.1:{stage.upstream_port}", "a")
            for _ in range(4):
                stage.gateway.health.late(place, 5.0)
            answers = [
                await stage.ask(body=body, headers={**AUTH, **JSON_TYPE})
                for body in (b'{"model":"a,b"}', b'{"model":"a"}', b'{"model":"a,b","stream": true}')
            ]
        assert [one[0] for one in answers] == [200] * 3
        assert [json.loads(one.body)["model"] for one in seen] == ["b", "a", "a"]

    run(work())


def test_no_codes_hold_nothing_and_ranges_hold_their_ends():
    assert 200 not in Codes()
    assert [code in Codes(((400, 404),)) for code in (399, 400, 404, 405)] == [False, True, True, False]
