"""Small words of the requests room's templates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import template
from django.urls import NoReverseMatch, reverse
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString

from requests_app import filter_url, telling
from requests_app.filters import EQUAL, FEEDBACK, Leaf

register = template.Library()

KINDS_WITH_ICON = frozenset({
    "llm", "embedding", "image", "audio", "rerank", "moderation", "agent", "workflow", "chain", "tool", "retriever",
    "guardrail", "evaluator", "event", "span",
})  # fmt: skip


@register.filter
def iso(moment: datetime) -> str:
    """With its milliseconds, for <time datetime>."""
    return moment.isoformat(timespec="milliseconds")


@register.filter
def known(text: str | None, reason: str) -> SafeString:
    """The text, or a "–" that says why there is none."""
    return conditional_escape(text) if text else format_html('<span class="unknown" title="{}">–</span>', reason)


@register.filter
def speed(value: float | None) -> SafeString:
    """Tokens per second."""
    if value is None:
        return known(None, "no output tokens or no duration is known")
    return format_html('<span class="num" title="{} tokens/s">{}</span>', f"{value:.2f}", f"{value:,.0f}")


@register.filter
def value_of(mapping: Mapping[str, str], key: str) -> str | None:
    return mapping.get(key)


@register.filter
def status_words(status: int) -> str:
    """A status as its badge says it: HTTP's as a number, ours as a word."""
    return telling.status_text(status)


@register.filter
def setting(value: Any) -> str:
    """A setting of a request as it was sent: text bare, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


@register.filter
def as_condition(value: str) -> str:
    """A property's value as an address asks for exactly it."""
    return filter_url.text_of(Leaf("property", EQUAL, value, "-"))


@register.filter
def kind_icon(kind: str) -> str:
    """The symbol of a step's kind in img/icons.svg."""
    return f"kind-{kind}" if kind in KINDS_WITH_ICON else "kind-span"


@register.filter
def session_url(session_id: str) -> str:
    """The page of a session; empty for an id no address can hold."""
    return _address("session", session_id)


@register.filter
def trace_url(trace_id: str) -> str:
    """The page of a trace, as `session_url`."""
    return _address("trace", trace_id)


def _address(name: str, key: str) -> str:
    try:
        return reverse(name, args=[key])
    except NoReverseMatch:
        return ""


@register.filter
def feedback(scores: Mapping[str, float] | None) -> str:
    """ "up", "down", or nothing."""
    rating = (scores or {}).get(FEEDBACK)
    return "" if rating is None else "up" if rating > 0 else "down"


@register.filter
def other_scores(scores: Mapping[str, float] | None) -> list[tuple[str, float]]:
    return sorted((name, value) for name, value in (scores or {}).items() if name != FEEDBACK)
