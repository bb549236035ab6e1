"""JSON as a folded tree of plain HTML: `{{ value|json_tree }}`. Bounded, and escaped to the last character."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Any

import orjson
from django import template
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString

from lib import loose_json

register = template.Library()

MOST_NODES = 3_000
LONGEST_STRING = 4_000
DEEPEST = 100
"""Levels that are drawn: each takes several calls, and Python allows a thousand."""
OPEN_DEPTH = 3
OPEN_ITEMS = 40


class _Budget:
    """How many nodes may still be drawn."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self) -> bool:
        self.left -= 1
        return self.left >= 0


@register.filter
def json_tree(value: Any) -> SafeString:
    return format_html('<div class="json">{}</div>', _node(SafeString(), value, 0, _Budget(MOST_NODES)))


def _node(key: SafeString, value: Any, depth: int, budget: _Budget) -> SafeString:
    if isinstance(value, dict) and value:
        items = ((_key(name), item) for name, item in value.items())
        return _fold(format_html("{}{{", key), "}", items, _told(value, "key"), depth, budget)
    if isinstance(value, list) and value:
        rows = ((SafeString(), item) for item in value)
        return _fold(format_html("{}[", key), "]", rows, _told(value, "item"), depth, budget)
    return format_html("{}{}", key, _leaf(value))


def _key(name: str) -> SafeString:
    return format_html('<span class="json-key">{}</span>: ', _quoted(name))


def _told(value: Sized, noun: str) -> str:
    return f"{len(value)} {noun}{'' if len(value) == 1 else 's'}"


def _fold(
    opening: SafeString, closing: str, items: Iterable[tuple[SafeString, Any]], told: str, depth: int, budget: _Budget
) -> SafeString:
    drawn = list(_drawn(items, depth, budget))
    is_open = depth < OPEN_DEPTH and (depth < 1 or len(drawn) <= OPEN_ITEMS)
    return format_html(
        '<details{}><summary data-close="{}">{} <small class="muted">{}</small></summary><ul>{}</ul>{}</details>',
        SafeString(" open") if is_open else "", closing, opening, told, format_html_join("", "<li>{}</li>", drawn),
        closing,
    )  # fmt: skip


def _drawn(items: Iterable[tuple[SafeString, Any]], depth: int, budget: _Budget) -> Iterator[tuple[SafeString]]:
    for key, item in items:
        if depth >= DEEPEST or not budget.take():
            yield (format_html('<span class="muted">{}</span>', "… more: download it to see all"),)
            return
        yield (_node(key, item, depth + 1, budget),)


def _leaf(value: Any) -> SafeString:
    if isinstance(value, str):
        cut = len(value) - LONGEST_STRING
        text = conditional_escape(_quoted(value[:LONGEST_STRING]))
        more = format_html(' <span class="muted">… {} more characters</span>', cut) if cut > 0 else ""
        return format_html('<span class="json-string">{}</span>{}', text, more)
    kind = "json-number" if isinstance(value, int | float) and not isinstance(value, bool) else "json-word"
    return format_html('<span class="{}">{}</span>', kind, loose_json.dumps(value).decode())


def _quoted(text: str) -> str:
    """As JSON, but with its line breaks shown as such: a prompt is read, not parsed."""
    return orjson.dumps(text).decode().replace("\\n", "\n").replace("\\t", "\t")
