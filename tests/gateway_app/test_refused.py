"""Requests refused before anybody was called: each leaves a row that says why, where its key may leave one."""

from __future__ import annotations

import pytest

from gateway_app import errors
from gateway_app.problems import CODES
from gateway_app.request_head import meant
from gateway_app.routes import Route, Whose
from gateway_app.tee import MEMORY_BYTES
from ingest_app import directives
from llm import parse, providers
from tests.gateway_app.stage import AUTH, READ_ONLY, answering, json_answer, run, staged

ASKED = b'{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}'
CHAT = "/v1/chat/completions"
TEXT = {"content-type": "application/json", "helicone-user-id": "ada"}


@pytest.mark.parametrize(("path", "told", "status", "code", "provider"), [
    (CHAT, {"helicone-fallbacks": "nonsense"}, 400, "fallbacks_invalid", "openai"),
    (CHAT, {"helicone-route": "nobody's"}, 400, "route_unknown", "openai"),
    (CHAT, {"helicone-target-url": "http://user:secret@10.0.0.1/x?key=secret"}, 403, "target_refused", "10.0.0.1"),
    (CHAT, {"helicone-target-url": "nonsense"}, 400, "target_invalid", ""),
    (CHAT, {"helicone-target-url": "http://["}, 400, "target_invalid", "["),
    (CHAT, {"helicone-cache-enabled": "true", "helicone-cache-bucket-max-size": "21"}, 400, "cache_bucket_too_large",
     "openai"),
    ("/v1/gateway/nobody/v1/chat", {}, 404, "provider_unknown", "nobody"),
    ("/v1/gateway/azure/openai/v1/chat/completions", {}, 400, "target_missing", "azure"),
    ("/v1/gateway/bedrock/model/m/converse", {}, 400, "region_missing", "bedrock"),
    (CHAT, {"upgrade": "websocket"}, 501, "not_supported", "openai"),
    ("/ai/v1/chat/completions", {}, 401, "provider_key_not_found", ""),
])  # fmt: skip
def test_a_refused_request_is_kept_with_its_status_its_words_and_the_reason(
    tmp_path, path, told, status, code, provider
):
    async def work():
        async with staged(tmp_path, answering(json_answer())) as stage:
            answered, headers, body = await stage.ask(path=path, body=ASKED, headers={**AUTH, **TEXT, **told})
            (kept,) = await stage.exchanges()
        assert answered == kept.status == status
        assert (headers["helicone-id"], kept.organization_id, kept.api_key_id) == (str(kept.id), 7, 11)
        assert (kept.attribution.end_user_id, kept.provider) == ("ada", provider)
        problem = next(one for one in kept.problems if one.code == code)
        assert problem.detail
        assert kept.response.data == body
        assert "secret" not in repr(kept)
        if "upgrade" not in told:
            assert kept.request.data == ASKED
            assert parse.parse(kept).request_model in ("gpt-4o", "m")

    run(work())


def test_without_a_key_that_may_write_there_is_no_row(tmp_path):
    bad = {"helicone-fallbacks": "nonsense", **TEXT}

    async def work():
        async with staged(tmp_path, answering(json_answer())) as stage:
            found = [
                (await stage.ask(body=ASKED, headers={**bad, **key}))[0]
                for key in ({}, {"helicone-auth": "Bearer sk-helicone-aaaaaaa-bbbbbbb-ccccccc-unknown"},
                            {"helicone-auth": f"Bearer {READ_ONLY}"})
            ]  # fmt: skip
            await stage.ask(body=ASKED)
            kept = await stage.exchanges()
        assert found == [401, 401, 403]
        assert [one.status for one in kept] == [200]

    run(work())


def test_what_had_come_of_a_long_body_is_kept_within_a_bound(tmp_path):
    body = b'{"model":"gpt-4o","x":"' + b"x" * (2 * MEMORY_BYTES) + b'"}'

    async def work():
        async with staged(tmp_path, answering(json_answer())) as stage:
            await stage.ask(body=body, headers={**AUTH, **TEXT, "helicone-route": "nobody's"})
            (kept,) = await stage.exchanges()
        assert len(kept.request.data) <= MEMORY_BYTES
        assert body.startswith(kept.request.data)
        assert {"request_not_read", "route_unknown"} <= {one.code for one in kept.problems}

    run(work())


def test_an_omitted_body_of_a_refused_request_is_not_kept(tmp_path):
    async def work():
        async with staged(tmp_path, answering(json_answer())) as stage:
            headers = {**AUTH, **TEXT, "helicone-route": "nobody's", "helicone-omit-request": "true"}
            await stage.ask(body=ASKED, headers=headers)
            (kept,) = await stage.exchanges()
        assert (kept.request.data, kept.request.state, kept.reading.request_model) == (b"", "omitted", "gpt-4o")

    run(work())


def test_every_error_that_can_stand_on_a_row_is_explained():
    def kinds(of):
        return {of, *(one for child in of.__subclasses__() for one in kinds(child))}

    never_on_a_row = {errors.KeyMissing, errors.KeyUnknown, errors.KeyMayNotWrite, errors.NotReady}
    said_by_a_screen = kinds(errors.Blocked)
    abstract = {errors.GatewayError, errors.Detailed, errors.UpstreamError, errors.Stale}
    shown = kinds(errors.GatewayError) - never_on_a_row - said_by_a_screen - abstract
    assert {one.code for one in shown} <= CODES.keys()


def test_where_a_request_was_meant_to_go_is_told_without_credentials():
    route = Route(Whose.GATEWAY, "/v1/x", provider=providers.by_slug("openai"))
    told = directives.read({"helicone-target-url": "https://me:secret@llm.example.com/base?key=secret"})
    assert meant(route, told, "key=secret&a=1") == ("openai", "https://llm.example.com/v1/x?a=1")
    assert meant(Route(Whose.GATEWAY, "/v1/x"), told, "") == ("llm.example.com", "https://llm.example.com/v1/x")
    assert meant(Route(Whose.GATEWAY, "/v1/x"), directives.Directives(), "") == ("", "/v1/x")
