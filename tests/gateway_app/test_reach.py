"""Every provider Helicone's proxy knows is reached by its long path, its short path, its host and as a target."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings

from gateway_app import regions
from gateway_app.routes import Whose, resolve, target_url
from ingest_app.directives import Directives
from llm import providers
from llm.providers import Provider

KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
HEADERS = {"authorization": "Bearer provider", "helicone-auth": f"Bearer {KEY}"}
LABELS = {
    "oai": "https://api.openai.com", "anthropic": "https://api.anthropic.com", "vercel": "https://ai-gateway.vercel.sh",
    "together": "https://api.together.xyz", "google": "https://generativelanguage.googleapis.com",
    "llama": "https://api.llama.com", "nvidia": "https://integrate.api.nvidia.com",
    "openrouter": "https://openrouter.ai", "deepinfra": "https://api.deepinfra.com", "groq": "https://api.groq.com",
    "perplexity": "https://api.perplexity.ai", "hyperbolic": "https://api.hyperbolic.xyz",
    "cerebras": "https://api.cerebras.ai", "mistral": "https://api.mistral.ai", "fireworks": "https://api.fireworks.ai",
    "predibase": "https://api.app.predibase.com", "qstash": "https://qstash.upstash.io", "x": "https://api.x.ai",
    "deepseek": "https://api.deepseek.com", "nebius": "https://api.tokenfactory.nebius.com",
    "novita": "https://api.novita.ai", "firecrawl": "https://api.firecrawl.dev",
}  # fmt: skip
"""First labels of the hosts of Helicone's proxy, and where they lead."""
HOSTS = {
    "OPENAI": "api.openai.com us.api.openai.com", "ANTHROPIC": "api.anthropic.com", "LLAMA": "api.llama.com",
    "NVIDIA": "integrate.api.nvidia.com",
    "AZURE": "openai.azure.com me.openai.azure.com azure-api.net me.azure-api.net cognitiveservices.azure.com "
    "me.cognitiveservices.azure.com services.ai.azure.com me.services.ai.azure.com",
    "NEBIUS": "api.tokenfactory.nebius.com", "LOCAL": "127.0.0.1:8000", "AMDBARTEK": "x.amdbartek.dev",
    "HELICONE": "oai.hconeai.com inference.helicone.ai", "ANYSCALE": "api.endpoints.anyscale.com",
    "CLOUDFLARE": "gateway.ai.cloudflare.com", "2YFV": "api.2yfv.com", "LEMONFOX": "api.lemonfox.ai",
    "WISDOMINANUTSHELL": "api.wisdominanutshell.academy", "X": "api.x.ai", "TOGETHER": "api.together.xyz",
    "FIREWORKS": "api.fireworks.ai", "PERPLEXITY": "api.perplexity.ai",
    "GOOGLE": "googleapis.com generativelanguage.googleapis.com us-central1-aiplatform.googleapis.com",
    "OPENROUTER": "openrouter.ai api.openrouter.ai", "GROQ": "api.groq.com", "COHERE": "api.cohere.ai",
    "MISTRAL": "api.mistral.ai", "DEEPINFRA": "api.deepinfra.com", "QSTASH": "qstash.upstash.io",
    "FIRECRAWL": "api.firecrawl.dev", "AWS": "bedrock-runtime.us-east-1.amazonaws.com", "DEEPSEEK": "api.deepseek.com",
    "AVIAN": "api.avian.io", "NOVITA": "api.novita.ai", "OPENPIPE": "api.openpipe.ai",
    "CHUTES": "chutes.com llm.chutes.com", "VERCEL": "ai-gateway.vercel.sh", "CEREBRAS": "api.cerebras.ai",
    "CANOPYWAVE": "inference.canopywave.io",
}  # fmt: skip
"""Names Helicone stores, and the hosts it knows them by."""
EXAMPLE = {"azure": "https://me.openai.azure.com", "bedrock": "https://bedrock-runtime.us-east-1.amazonaws.com"}


def called(path: str, *, host: str = "", target: str | None = None) -> tuple[str, str, str]:
    """(provider, origin, path sent on)."""
    route = regions.settled(resolve(path, headers=HEADERS, host=host, has_target=bool(target)), HEADERS)
    assert route.whose is Whose.GATEWAY
    slug, url, _ = target_url(route, Directives(target_url=target), {})
    return slug, url, route.path


@pytest.mark.parametrize(("label", "origin"), LABELS.items())
def test_a_label_of_helicones_proxy_leads_where_it_leads_there(label, origin):
    reached = [
        called(f"/v1/gateway/{label}/v1/x"), called(f"/{label}/v1/x"),
        called("/v1/x", host=f"{label}.helicone.ai"), called("/v1/x", host=f"{label}.example.com"),
    ]  # fmt: skip
    assert {(url, path) for _, url, path in reached} == {(origin, "/v1/x")}
    assert len({slug for slug, _, _ in reached}) == 1


@pytest.mark.parametrize(("name", "host"), [(name, host) for name, hosts in HOSTS.items() for host in hosts.split()])
def test_a_target_is_known_by_helicones_name_for_it(name, host):
    for path in ("/v1/gateway/custom/v1/x", "/v1/gateway/v1/x", "/v1/x", "/anything/at/all"):
        slug, url, sent = called(path, target=f"https://{host}")
        found = providers.by_slug(slug)
        assert found is not None
        assert (found.helicone, url) == (name, f"https://{host}")
        assert sent == ("/v1/x" if "/v1/x" in path else path)
    assert providers.by_helicone_name(name) is not None


@pytest.mark.parametrize("provider", providers.all_providers(), ids=lambda provider: provider.slug)
def test_every_provider_described_is_reached_by_both_paths(provider: Provider):
    if provider.slug == "custom":
        return
    target = None if provider.base_url else EXAMPLE.get(provider.slug, "https://llm.example.com")
    for slug in (provider.slug, *provider.path_slugs):
        for path in (f"/v1/gateway/{slug}/v9/y", f"/{slug}/v9/y"):
            found, url, sent = called(path, target=target)
            if not (target and slug == "openai"):
                assert (url, sent) == (target or provider.base_url, "/v9/y")
                assert found == provider.slug


def test_azure_is_called_in_both_its_styles():
    at = "https://me.openai.azure.com"
    for path in ("/openai/deployments/d/chat/completions", "/openai/v1/responses"):
        for prefix in ("", "/azure", "/v1/gateway/azure", "/v1/gateway/custom"):
            assert called(f"{prefix}{path}", target=at) == ("azure", at, path)
    assert called("/v1/gateway/openai/deployments/d/embeddings", target=at)[2] == "/openai/deployments/d/embeddings"


def test_the_specifications_tables_hold_nothing_that_is_not_here():
    file = Path(settings.CORPUS_DIR).parent / "spec" / "helicone_ingest.md"
    if not file.exists():
        pytest.skip("the specification is not here")
    text = file.read_text()
    labels = re.findall(r"^\| (?:contains )?`([a-z]+)`(?: \(exact\))? \| `(https://[a-z.-]+)", _part(text, "3.1"), re.M)
    assert len(labels) > 18
    assert {label: LABELS.get(label) for label, _ in labels} == dict(labels)
    table = _part(text, "3.3").partition("* Unknown target")[0]
    hosts = set(re.findall(r"`(?:\*\.)?((?:[a-z0-9-]+\.)+[a-z]+)`", table))
    assert len(hosts) >= 40
    assert {host for host in hosts if providers.by_host(host) or providers.by_host(f"x.{host}")} == hosts


def _part(text: str, number: str) -> str:
    return text.partition(f"### {number} ")[2].partition("\n### ")[0]
