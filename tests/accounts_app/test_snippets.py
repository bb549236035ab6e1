"""What the start page tells people to paste goes where it should."""

from __future__ import annotations

import html
import re

import pytest
from django.template.loader import render_to_string

from gateway_app.routes import Whose, resolve

KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
URL = "https://llm.example.org"
PANEL = re.compile(r'role="tabpanel" id="snip-(\w+)".*?<code>(.*?)</code></pre>', re.DOTALL)


def snippets(api_key: str = "") -> dict[str, str]:
    page = render_to_string("components/_snippets.html", {"api_key": api_key, "public_url": URL})
    return {name: html.unescape(code) for name, code in PANEL.findall(page)}


def goes_to(path: str, headers: dict[str, str] | None = None) -> tuple[Whose, str, str, str | None]:
    route = resolve(path, headers=headers or {})
    return route.whose, route.provider.slug if route.provider else "", route.path, route.path_key


@pytest.mark.parametrize("name", ["openai", "anthropic", "litellm", "logger"])
@pytest.mark.parametrize("api_key", ["", KEY])
def test_the_python_is_python(name: str, api_key: str):
    compile(snippets(api_key)[name], name, "exec")


@pytest.mark.parametrize("name", ["openai", "node", "anthropic", "claude", "litellm", "logger", "curl"])
def test_every_snippet_has_the_new_key_and_without_one_reads_the_environment(name: str):
    assert KEY in snippets(KEY)[name]
    assert "HELICONE_API_KEY" in snippets()[name] or name == "litellm"
    assert URL in snippets()[name]


def test_the_openai_snippets_reach_openai():
    for name in ("openai", "node"):
        base = re.search(rf'"{URL}(/[^"]*)"', snippets()[name])
        assert base is not None
        expected = (Whose.GATEWAY, "openai", "/v1/chat/completions", None)
        assert goes_to(f"{base.group(1)}/chat/completions") == expected
    path = re.search(rf"curl {URL}(\S+)", snippets()["curl"])
    assert path is not None and goes_to(path.group(1))[:3] == (Whose.GATEWAY, "openai", "/v1/chat/completions")


def test_the_anthropic_snippet_reaches_anthropic():
    base = re.search(rf'"{URL}(/[^"]*)"', snippets()["anthropic"])
    assert base is not None
    assert goes_to(f"{base.group(1)}/v1/messages") == (Whose.GATEWAY, "anthropic", "/v1/messages", None)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/models"])
def test_claude_code_reaches_anthropic_and_its_key_is_taken_out_of_the_path(path: str):
    base = re.search(rf'"{URL}(/[^"]*)"', snippets(KEY)["claude"])
    assert base is not None
    headers = {"anthropic-version": "2023-06-01", "x-api-key": "sk-ant-x"}
    assert goes_to(f"{base.group(1)}{path}", headers) == (Whose.GATEWAY, "anthropic", path, KEY)


@pytest.mark.parametrize("path", ["/oai/v1/log", "/anthropic/v1/log", "/custom/v1/log"])
def test_the_loggers_reach_a_log_door(path: str):
    assert goes_to(path)[0] == Whose.LOG


@pytest.mark.parametrize(
    "path", ["/", "/login", "/password/forgot", "/invitations/x", "/organizations", "/settings/keys", "/get-started"]
)
def test_our_own_pages_are_never_a_providers(path: str):
    assert goes_to(path)[0] == Whose.WEB
