"""How the table spells what most rows say alike: nearly all name one of a few URLs, methods and states.

A short spelling never changes its meaning, and rows from before it was given hold the long one: both are read.
"""

from __future__ import annotations

from collections.abc import Mapping

SAME = ""
"""Of `request_model` and `response_model`: the name that is in `model`, as it is in most rows."""

MARK = "\x01"
_URLS = {
    "https://api.openai.com/v1/chat/completions": MARK + "o",
    "https://api.openai.com/v1/responses": MARK + "r",
    "https://api.openai.com/v1/embeddings": MARK + "e",
    "https://api.anthropic.com/v1/messages": MARK + "a",
    "https://api.anthropic.com/v1/messages?beta=true": MARK + "b",
    "https://openrouter.ai/api/v1/chat/completions": MARK + "u",
    "https://api.groq.com/openai/v1/chat/completions": MARK + "g",
    "https://api.mistral.ai/v1/chat/completions": MARK + "m",
    "https://api.deepseek.com/chat/completions": MARK + "d",
    "https://api.deepseek.com/v1/chat/completions": MARK + "D",
    "https://api.together.xyz/v1/chat/completions": MARK + "t",
    "https://api.fireworks.ai/inference/v1/chat/completions": MARK + "f",
    "https://api.x.ai/v1/chat/completions": MARK + "x",
    "https://api.cohere.com/v2/chat": MARK + "c",
    "https://api.perplexity.ai/chat/completions": MARK + "p",
}
"""Full URLs without a model or a deployment in their path. No URL, and no name of a tier, begins with MARK."""

SHORT: Mapping[str, Mapping[str, str]] = {
    "method": {"POST": ""},
    "target_url": _URLS,
    "dialect": {"openai_chat": "oc", "openai_responses": "or", "anthropic_messages": "am"},
    "service_tier": {"default": "", "standard": MARK + "s"},
    "request_state": {"kept": ""},
    "response_state": {"kept": ""},
}
"""By column of `llm_request`: what is said at length, and how it is spelt; "" only where nothing else is."""

LONG: Mapping[str, Mapping[str, str]] = {
    name: {short: long for long, short in spelt.items()} for name, spelt in SHORT.items()
}

BODY_TYPES: Mapping[str, str] = {"application/json": "j"}
LONG_BODY_TYPES: Mapping[str, str] = {"j": "application/json", "json": "application/json"}
"""Of `request_type` and `response_type`; nearly every body is JSON."""


def in_sql(column: str, name: str) -> str:
    """SQL of the long spelling of a column of SHORT; for `WHERE`, where a row is not read by `store.row_from`."""
    cases = " ".join(f"WHEN {_literal(short)} THEN {_literal(long)}" for long, short in SHORT[name].items())
    return f"(CASE {column} {cases} ELSE {column} END)"


def _literal(text: str) -> str:
    """Of our own words."""
    return "'" + text.replace("'", "''") + "'"
