"""Whose is a path? The plan of prefixes, hosts and credentials, and laws that hold for any path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from gateway_app.errors import ProviderKeyMissing, ProviderUnknown, TargetMissing
from gateway_app.routes import (
    BARE_PREFIXES,
    HEALTH_PATHS,
    LOG_PATHS,
    WEB_PREFIXES,
    Whose,
    resolve,
    target_provider,
    target_url,
)
from ingest_app.directives import Directives
from llm import providers

KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
OURS = {"authorization": f"Bearer {KEY}"}
THEIRS = {"authorization": "Bearer sk-proj-x"}
PROXIED = {**THEIRS, "helicone-auth": f"Bearer {KEY}"}


def told(path, headers=PROXIED, **more):
    route = resolve(path, headers=headers, **more)
    return route.whose.value, route.provider.slug if route.provider else None, route.path


@pytest.mark.parametrize(
    ("path", "slug", "sent"),
    [
        ("/v1/gateway/oai/v1/chat/completions", "openai", "/v1/chat/completions"),
        ("/v1/gateway/OAI/v1/chat/completions", "openai", "/v1/chat/completions"),
        ("/v1/gateway/anthropic/v1/messages", "anthropic", "/v1/messages"),
        ("/oai/v1/embeddings", "openai", "/v1/embeddings"),
        ("/openai/v1/responses", "openai", "/v1/responses"),
        ("/anthropic/v1/messages", "anthropic", "/v1/messages"),
        ("/groq/openai/v1/chat/completions", "groq", "/openai/v1/chat/completions"),
        ("/v1/chat/completions", "openai", "/v1/chat/completions"),
        ("//v1/chat/completions", "openai", "/v1/chat/completions"),
        ("/chat/completions", "openai", "/v1/chat/completions"),
        ("/v1/messages", "anthropic", "/v1/messages"),
        ("/v1/messages/count_tokens", "anthropic", "/v1/messages/count_tokens"),
        (
            "/v1beta/models/gemini-2.0-flash:generateContent",
            "google",
            "/v1beta/models/gemini-2.0-flash:generateContent",
        ),
        ("/openai/deployments/d/chat/completions", "azure", "/openai/deployments/d/chat/completions"),
        ("/oai/v1/files/a%2Fb", "openai", "/v1/files/a%2Fb"),
        ("/v1/models", "openai", "/v1/models"),
        ("/v1/models/gpt-4o", "openai", "/v1/models/gpt-4o"),
        ("/v1/requesting", "openai", "/v1/requesting"),
    ],
)
def test_an_api_path_reaches_its_provider(path, slug, sent):
    assert told(path) == ("gateway", slug, sent)


@pytest.mark.parametrize(
    "path",
    ["/", "/requests", "/requests/abc", "/settings/keys", "/login", "/static/a.css", "/admin/", "/v1/request/query",
     "/v1/request/0/property", "/v1/session/query", "/v1/user/metrics/query", "/v1/prompt-2025",
     "/v1/metrics/requestCount",
     "/v1/evals/x", "/v2/experiment/new", "/%761/request/query",
     "/v1/re%71uest/query", "/favicon.ico", "/somewhere/else", "/oai"],
)  # fmt: skip
def test_pages_and_the_rest_api_are_webs(path):
    for headers in (PROXIED, THEIRS, OURS, {}):
        assert resolve(path, headers=headers).whose is Whose.WEB


def test_every_path_of_helicones_rest_api_is_never_a_providers():
    file = Path(settings.CORPUS_DIR).parent / "spec" / "helicone_openapi.json"
    if not file.exists():
        pytest.skip("the recorded description of the REST API is not here")
    for path in json.loads(file.read_text())["paths"]:
        for headers in (OURS, PROXIED):
            if path != "/v1/models":
                assert resolve(path.replace("{", "").replace("}", ""), headers=headers).whose is not Whose.GATEWAY, path


@pytest.mark.parametrize("path", LOG_PATHS)
def test_log_doors_are_log_doors(path):
    for spelled in (path, path + "/"):
        assert resolve(spelled, headers=OURS).whose is Whose.LOG


def test_a_list_of_models_is_the_providers_only_for_who_brings_a_providers_key():
    assert told("/v1/models", PROXIED)[0] == "gateway"
    assert told("/v1/models", THEIRS)[0] == "gateway"
    assert told("/v1/models", OURS)[0] == "web"
    assert told("/v1/models", {})[0] == "web"
    assert told("/ai/v1/models", OURS)[0] == "web"


def test_the_first_label_of_the_host_names_a_provider_but_never_on_our_own_name():
    assert told("/openai/v1/chat/completions", host="groq.obs.example.com")[1:] == (
        "groq",
        "/openai/v1/chat/completions",
    )
    assert told("/v1/chat/completions", host="oai.hconeai.com")[1] == "openai"
    assert told("/v1/messages", host="anthropic.localhost")[1] == "anthropic"
    assert told("/requests", host="oai.example.com", own_host="oai.example.com")[0] == "web"
    assert told("/v1/request/query", host="oai.example.com")[0] == "web"


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/openai/v1/chat/completions", "/openai/v1/chat/completions"),
        ("/anthropic/v1/messages", "/anthropic/v1/messages"),
        ("/oai/v1/chat/completions", "/v1/chat/completions"),
        ("/api/generate", "/api/generate"),
        ("/v1/gateway/custom/api/generate", "/api/generate"),
    ],
)
def test_a_client_that_names_its_target_has_its_path_sent_as_it_is(path, sent):
    route = resolve(path, headers=PROXIED, has_target=True)
    slug, url, is_client_named = target_url(route, Directives(target_url="https://api.groq.com/dropped"), {})
    assert (route.whose, route.path) == (Whose.GATEWAY, sent)
    assert (slug, url, is_client_named) == ("groq", "https://api.groq.com/dropped", True)


@pytest.mark.parametrize(
    ("target", "path", "sent"),
    [
        ("https://router.huggingface.co", "/together/v1/chat/completions", "/together/v1/chat/completions"),
        ("https://router.huggingface.co", "/novita/v3/openai/chat/completions", "/novita/v3/openai/chat/completions"),
        ("https://router.huggingface.co", "/huggingface/v1/chat/completions", "/v1/chat/completions"),
        ("https://api.groq.com/openai", "/oai/v1/chat/completions", "/v1/chat/completions"),
        ("https://api.groq.com", "/v1/gateway/openai/v1/chat/completions", "/openai/v1/chat/completions"),
        ("https://api.deepseek.com", "/v1/gateway/anthropic/v1/messages", "/anthropic/v1/messages"),
        ("https://api.anthropic.com", "/v1/gateway/anthropic/v1/messages", "/v1/messages"),
        ("https://mine.openai.azure.com", "/v1/gateway/openai/v1/responses", "/openai/v1/responses"),
        ("https://mine.openai.azure.com", "/azure/openai/deployments/d/chat", "/openai/deployments/d/chat"),
        ("https://models.example.com", "/together/v1/chat/completions", "/v1/chat/completions"),
    ],
)
def test_names_of_other_providers_in_the_path_of_a_router_stay_there(target, path, sent):
    directives = Directives(target_url=target)
    route = resolve(path, headers=PROXIED, has_target=True, target=target_provider(directives))
    assert (route.path, target_url(route, directives, {})[1]) == (sent, target)


def test_a_key_of_ours_in_the_path_is_taken_out_wherever_it_stands():
    for path in (f"/{KEY}/v1/messages", f"/v1/{KEY}/messages", f"/anthropic/{KEY}/v1/messages"):
        route = resolve(path, headers={})
        assert (route.path, route.path_key) == ("/v1/messages", KEY)
        assert route.provider is providers.by_slug("anthropic")


def test_our_key_where_the_providers_belongs_is_the_ai_gateway():
    for path in ("/v1/chat/completions", "/ai/v1/chat/completions", "/router/r1/v1/chat/completions"):
        route = resolve(path, headers=OURS)
        assert (route.is_ai_gateway, route.path) == (True, "/v1/chat/completions")
        with pytest.raises(ProviderKeyMissing, match="Helicone-Auth"):
            target_url(route, Directives(), {})


def test_who_cannot_be_called_is_said():
    with pytest.raises(ProviderUnknown, match="nobody"):
        target_url(resolve("/v1/gateway/nobody/v1/x", headers=PROXIED), Directives(), {})
    with pytest.raises(TargetMissing, match="Helicone-Target-URL"):
        target_url(resolve("/v1/gateway/gateway/v1/x", headers=PROXIED), Directives(), {})
    with pytest.raises(TargetMissing):
        target_url(resolve("/azure/openai/deployments/d", headers=PROXIED), Directives(), {})


def test_an_operators_address_stands_for_the_providers():
    route = resolve("/v1/chat/completions", headers=PROXIED)
    assert target_url(route, Directives(), {"openai": "http://10.0.0.1:1/x"}) == (
        "openai",
        "http://10.0.0.1:1/x",
        False,
    )
    named = Directives(target_url="https://api.openai.com")
    assert target_url(route, named, {"openai": "http://10.0.0.1:1"}) == ("openai", "http://10.0.0.1:1", False)


WORDS = st.sampled_from(
    ["v1", "gateway", "oai", "openai", "anthropic", "log", "request", "chat", "completions", "ai", "router", "custom",
     "models", "trace", "..", ".", "", "%2e%2e", "%2F", "requests", KEY, "v%31", "requ%65st", "é", "a b"]
)  # fmt: skip
PATHS = st.lists(WORDS, max_size=6).map(lambda words: "/" + "/".join(words)) | st.text(max_size=30).map(
    lambda t: "/" + t
)
HEADERS = st.sampled_from([{}, OURS, THEIRS, PROXIED, {"anthropic-version": "1"}])


@given(path=PATHS, headers=HEADERS, has_target=st.booleans(), host=st.sampled_from(["", "oai.x.y", "h", "groq.z"]))
def test_any_path_has_one_owner_and_its_key_goes_no_further(path, headers, has_target, host):
    route = resolve(path, headers=headers, has_target=has_target, host=host)
    assert route.path.startswith("/")
    if route.path_key:
        assert route.path.count(KEY) < path.count(KEY)
    if not route.path_key and route.whose is not Whose.GATEWAY:
        assert route.path == "/" + path.lstrip("/")


@given(prefix=st.sampled_from(WEB_PREFIXES), tail=PATHS, headers=HEADERS, has_target=st.booleans())
def test_nothing_under_a_prefix_of_web_reaches_a_provider(prefix, tail, headers, has_target):
    assert resolve(prefix + tail, headers=headers, has_target=has_target, host="oai.x.y").whose is not Whose.GATEWAY


def test_the_table_says_nothing_twice():
    table = [*HEALTH_PATHS, *LOG_PATHS, *(path for path in WEB_PREFIXES if path not in LOG_PATHS), *BARE_PREFIXES]
    assert len(set(table)) == len(table)
    assert not any(path.endswith("/") or not path.startswith("/") for path in table)


@pytest.mark.parametrize("path", ["/v1/foo", "/v1/requests/query", "/v1", "/v1/", "/v1/foo/../chat/completions"])
def test_a_mistaken_path_of_our_own_api_is_not_taken_for_a_call_without_a_providers_key(path):
    assert resolve(path, headers=OURS).whose is Whose.WEB
    assert resolve(path, headers=THEIRS).whose is Whose.GATEWAY


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/models", "/v1/files/abc/content"])
def test_a_call_with_our_key_in_the_providers_place_is_told_so(path):
    route = resolve(path, headers=OURS)
    assert route.whose is Whose.WEB if path == "/v1/models" else route.is_ai_gateway
