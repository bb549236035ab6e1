"""A provider is one TOML, and is found by everything it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway_app.routes import resolve, target_url
from ingest_app.directives import Directives
from llm import dialects, providers
from llm.parse import parse
from llm.providers import BadProvider, read
from tests.wire.exchanges import body, exchange


def test_every_provider_file_is_sound():
    known = {name for name, _ in dialects.every()}
    assert len(providers.all_providers()) > 40
    assert {provider.dialect for provider in providers.all_providers()} <= known


@pytest.mark.parametrize(("host", "slug"), [
    ("api.openai.com", "openai"), ("API.OpenAI.com:443", "openai"), ("acme.openai.azure.com", "azure"),
    ("acme.services.ai.azure.com", "azure"), ("generativelanguage.googleapis.com", "google"),
    ("us-central1-aiplatform.googleapis.com", "google-vertex"), ("bedrock-runtime.eu-west-1.amazonaws.com", "bedrock"),
    ("runtime.sagemaker.eu-west-1.amazonaws.com", "sagemaker"),
    ("api.groq.com.", "groq"), ("127.0.0.1:8000", "local"), ("[::1]:80", "local"), ("::1", "local"),
])
def test_a_provider_is_found_by_its_host(host, slug):
    found = providers.by_host(host)
    assert found is not None
    assert found.slug == slug


@pytest.mark.parametrize(
    "host", ["", "evil-api.openai.com", "api.openai.com.evil.example", "openai.azure.com.evil"]
)
def test_a_host_that_only_looks_alike_is_nobody(host):
    assert providers.by_host(host) is None


def test_helicones_names_lead_to_ours():
    names = ["OPENAI", "ANTHROPIC", "AWS", "BEDROCK", "X", "GOOGLE", "azure", "CUSTOM"]
    found = [providers.by_helicone_name(name) for name in names]
    assert [provider and provider.slug for provider in found] == [
        "openai", "anthropic", "bedrock", "bedrock", "xai", "google", "azure", "custom",
    ]


def test_paths_and_host_labels_lead_to_it():
    found = [providers.by_path_slug("oai"), providers.by_path_slug("Anthropic"), providers.by_host_label("x")]
    assert [provider and provider.slug for provider in found] == ["openai", "anthropic", "xai"]
    assert providers.by_path_slug("v1") is None


ACME = 'slug = "acme"\nname = "Acme"\nbase_url = "https://llm.acme.example"\nhosts = ["llm.acme.example"]'


@pytest.fixture
def one_more(tmp_path, monkeypatch):
    """The folder of provider files with one more in it."""
    for file in Path(providers.__file__).parent.glob("*.toml"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "acme.toml").write_text(ACME)
    monkeypatch.setattr(providers.resources, "files", lambda _: tmp_path)
    _forget()
    yield
    _forget()


def _forget() -> None:
    for name in ("all_providers", "by_host", "_host_patterns", "_slugs", "_path_slugs", "_host_labels",
                 "_helicone_names", "_otel_names"):  # fmt: skip
        getattr(providers, name).cache_clear()


@pytest.mark.usefixtures("one_more")
def test_a_new_openai_compatible_provider_is_one_toml():
    new = read("acme.toml", ACME)
    assert (new.dialect, new.credential_headers, new.helicone) == ("openai_chat", ("authorization",), "ACME")
    headers = {"helicone-auth": "Bearer x", "authorization": "Bearer y"}
    for path in ("/v1/gateway/acme/v1/chat/completions", "/acme/v1/chat/completions"):
        route = resolve(path, headers=headers)
        assert (target_url(route, Directives(), {})[:2], route.path) == (
            ("acme", "https://llm.acme.example"), "/v1/chat/completions",
        )  # fmt: skip
    named = Directives(target_url="https://llm.acme.example")
    assert target_url(resolve("/v1/x", headers=headers, has_target=True), named, {})[0] == "acme"
    reading = parse(exchange(provider="acme", url="https://llm.acme.example/v1/chat/completions", response=body(
        {"object": "chat.completion", "model": "m", "choices": [{"message": {"content": "Hi"}}],
         "usage": {"prompt_tokens": 1, "completion_tokens": 2}})))  # fmt: skip
    assert (reading.response_model, reading.usage.output_tokens) == ("m", 2)


@pytest.mark.parametrize(("region", "url"), [
    ("", ""), ("us-east-1", "https://bedrock-runtime.us-east-1.amazonaws.com"),
    ("cn-north-1", "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"),
])
def test_a_region_has_its_own_address(region, url):
    bedrock = providers.by_slug("bedrock")
    assert bedrock is not None
    assert bedrock.url_in(region) == url


@pytest.mark.parametrize("host", ["localhost:11434", "127.0.0.1:11434", "gpu.example.com:11434", "ollama.com"])
def test_ollama_is_known_by_its_port(host):
    found = providers.by_host(host)
    assert found is not None
    assert found.slug == "ollama"


@pytest.mark.parametrize("text", [
    "slug = ", 'name = "A"', 'slug = "A b"\nname = "A"', 'slug = "a"\nname = "A"\ncolour = "red"',
    'slug = "a"\nname = "A"\nhosts = "a.example"', 'slug = "a"\nname = "A"\nbase_url = "https://a.example/v1"',
    'slug = "a"\nname = 1', 'slug = "a"\nname = "A"\nregion_url = "{region}.a.example"',
    'slug = "a"\nname = "A"\nstream_usage = "sometimes"',
])
def test_a_provider_file_that_cannot_be_used_is_refused_with_its_name(text):
    with pytest.raises(BadProvider, match=r"a\.toml"):
        read("a.toml", text)
