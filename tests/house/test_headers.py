"""Each header has an entry in docs/headers.md, and each entry a journey in which a real client sends it."""

from __future__ import annotations

import re

from tests.house import source
from tests.house.test_docs import headings

HELICONES = re.findall(r"\S+", """
Helicone-Auth Helicone-JWT Helicone-Org-Id Helicone-Request-Id Helicone-Target-URL Helicone-OpenAI-Api-Base
Helicone-Target-Provider Helicone-Fallbacks Helicone-Gateway-Body-Mapping Helicone-Model-Override
Helicone-Manual-Access-Key x-stripe-customer-id helicone-forced-routing aws-access-key aws-secret-key aws-session-token
__helicone-mock-response Helicone-User-Id Helicone-Property- Helicone-Session-Id Helicone-Session-Path
Helicone-Session-Name Helicone-Prompt-Id Helicone-Prompt-Mode Helicone-Prompt-Version Helicone-Prompt-Name
Helicone-Prompt-Format Helicone-Node-Id Helicone-Experiment-Id Helicone-Experiment-Column-Id
Helicone-Experiment-Row-Index Helicone-Webhook-Enabled Helicone-Posthog-Key Helicone-Posthog-Host Helicone-Lytix-Key
Helicone-Lytix-Host Helicone-Gateway-Router-Id Helicone-Gateway-Deployment-Target Helicone-Cache-Enabled
Helicone-Cache-Save Helicone-Cache-Read Cache-Control Helicone-Cache-Control Helicone-Cache-Bucket-Max-Size
Helicone-Cache-Seed Helicone-Cache-Ignore-Keys Helicone-RateLimit-Policy Helicone-Retry-Enabled Helicone-Retry-Num
Helicone-Retry-Factor Helicone-Retry-Min-Timeout Helicone-Retry-Max-Timeout Helicone-Moderations-Enabled
Helicone-LLM-Security-Enabled Helicone-LLM-Security-Advanced Helicone-Prompt-Security-Enabled Helicone-Omit-Request
Helicone-Omit-Response Helicone-Token-Limit-Exception-Handler Helicone-Stream-Usage Helicone-Stream-Force-Format
Helicone-Increase-Timeout
""")
"""Every request header Helicone's server reads or documents."""
WITHOUT_EFFECT = "## Without effect here"


def documented(*, before: str = "") -> set[str]:
    """Headers with an entry of their own; `before`: those above that heading."""
    named = headings("headers.md")
    if before:
        named = named[: named.index(before.strip("# "))]
    sections = set(re.findall(r"(?m)^## (.+)$", (source.ROOT / "docs" / "headers.md").read_text()))
    return {re.sub(r"[<\[{].*", "", heading) for heading in named if heading not in sections}


def test_every_header_of_helicones_has_an_entry():
    assert sorted(set(HELICONES) - documented()) == []


def test_every_header_with_an_entry_is_sent_by_a_journey():
    places = ("tests/journeys/", "tests/clients/")
    sent = "\n".join(_readable(path) for path in source.files() if str(path).startswith(places)).lower()
    unsent = {name for name in documented(before=WITHOUT_EFFECT) if name.lower() not in sent}
    assert sorted(unsent) == []


def _readable(path) -> str:
    return (source.ROOT / path).read_bytes().decode("utf-8", "replace") if path.suffix in {".py", ".mjs", ".js"} else ""
