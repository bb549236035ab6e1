"""One model that names its provider, asked for with a key of ours alone, as Helicone's own clients do."""

from __future__ import annotations

import json

import pytest

from tests.gateway_app.stage import AUTH, KEY, run, staged
from tests.gateway_app.test_fallbacks import JSON_TYPE, answering_by, keys


@pytest.mark.parametrize(
    ("model", "asked", "provider"),
    [
        ("claude-x/anthropic", "claude-x", "anthropic"),
        ("anthropic/claude-x", "claude-x", "anthropic"),
        ("a/openai", "a", "openai"),
        ("openai/a", "a", "openai"),
        ("mistralai/a", "mistralai/a", "openai"),
        ("meta-llama/a", "meta-llama/a", "openai"),
        ("a", "a", "openai"),
    ],
)
def test_with_a_key_of_ours_alone_one_model_may_name_its_provider_at_any_path(tmp_path, model, asked, provider):
    """As Helicone's own clients ask, at `/v1`, where OpenAI's key is stored too."""
    seen: list = []

    async def work():
        async with staged(tmp_path, answering_by({}, seen)) as stage:
            keys(stage, openai="o", anthropic="a")
            headers = {"authorization": f"Bearer {KEY}", **JSON_TYPE}
            status, told, _ = await stage.ask(body=json.dumps({"model": model}).encode(), headers=headers)
        assert (status, told["helicone-provider"], told["helicone-model"]) == (200, provider, asked)
        assert json.loads(seen[0].body) == {"model": asked}

    run(work())


def test_a_provider_that_is_named_and_has_no_key_is_not_replaced_by_another(tmp_path):
    async def work():
        async with staged(tmp_path, answering_by({}, [])) as stage:
            keys(stage, openai="o")
            headers = {"authorization": f"Bearer {KEY}", **JSON_TYPE}
            status, _, body = await stage.ask(body=b'{"model":"claude-x/anthropic"}', headers=headers)
        assert (status, "no key of Anthropic" in json.loads(body)["error"]["message"]) == (400, True)

    run(work())


def test_a_models_name_ends_no_header_of_ours(tmp_path):
    async def work():
        async with staged(tmp_path, answering_by({}, [])) as stage:
            body = json.dumps({"model": "é\r\nx-more: 1\r\n\r\n, b"}).encode()
            headers = {**AUTH, **JSON_TYPE, "helicone-retry-enabled": "true"}
            status, told, _ = await stage.ask(body=body, headers=headers)
        assert (status, told["helicone-model"]) == (200, "???x-more: 1")
        assert "x-more" not in told

    run(work())
