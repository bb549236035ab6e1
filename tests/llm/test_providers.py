"""A provider is one TOML, and is found by everything it is called."""

from __future__ import annotations

import pytest

from llm import dialects, providers
from llm.providers import BadProvider, read


def test_every_provider_file_is_sound():
    known = {name for name, _ in dialects.every()}
    assert len(providers.all_providers()) > 40
    assert {provider.dialect for provider in providers.all_providers()} <= known


@pytest.mark.parametrize(("host", "slug"), [
    ("api.openai.com", "openai"), ("API.OpenAI.com:443", "openai"), ("acme.openai.azure.com", "azure"),
    ("acme.services.ai.azure.com", "azure"), ("generativelanguage.googleapis.com", "google"),
    ("us-central1-aiplatform.googleapis.com", "google-vertex"), ("bedrock-runtime.eu-west-1.amazonaws.com", "bedrock"),
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


def test_a_new_openai_compatible_provider_is_one_toml():
    text = 'slug = "acme"\nname = "Acme"\nbase_url = "https://llm.acme.example"\nhosts = ["llm.acme.example"]'
    new = read("acme.toml", text)
    assert (new.dialect, new.credential_headers, new.helicone) == ("openai_chat", ("authorization",), "ACME")


@pytest.mark.parametrize("text", [
    "slug = ", 'name = "A"', 'slug = "A b"\nname = "A"', 'slug = "a"\nname = "A"\ncolour = "red"',
    'slug = "a"\nname = "A"\nhosts = "a.example"', 'slug = "a"\nname = "A"\nbase_url = "https://a.example/v1"',
    'slug = "a"\nname = 1',
])
def test_a_provider_file_that_cannot_be_used_is_refused_with_its_name(text):
    with pytest.raises(BadProvider, match=r"a\.toml"):
        read("a.toml", text)
