"""JSON as a folded tree of plain HTML: `{{ value|json_tree }}`. Bounded, and escaped to the last character."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson
from django import template
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()

MOST_NODES = 3_000
LONGEST_STRING = 4_000
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
    return format_html('<div class="json">{}</div>', _node(value, 0, _Budget(MOST_NODES)))


def _node(value: Any, depth: int, budget: _Budget) -> SafeString:
    if isinstance(value, dict) and value:
        return _fold(((_key(key), item) for key, item in value.items()), value, depth, budget)
    if isinstance(value, list) and value:
        return _fold(((SafeString(), item) for item in value), value, depth, budget)
    return _leaf(value)


def _key(key: str) -> SafeString:
    return format_html('<span class="json-key">{}</span>: ', _quoted(key))


def _fold(items: Iterable[tuple[SafeString, Any]], value: Any, depth: int, budget: _Budget) -> SafeString:
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    is_open = depth < OPEN_DEPTH and (depth < 1 or len(value) <= OPEN_ITEMS)
    drawn = format_html_join("", "<li>{}{}</li>", _drawn(items, depth, budget))
    noun = "key" if isinstance(value, dict) else "item"
    told = f"{len(value)} {noun}{'' if len(value) == 1 else 's'}"
    return format_html(
        "<details{}><summary>{} <small class=\"muted\">{}</small></summary><ul>{}</ul>{}</details>",
        SafeString(" open") if is_open else "", opening, told, drawn, closing,
    )  # fmt: skip


def _drawn(
    items: Iterable[tuple[SafeString, Any]], depth: int, budget: _Budget
) -> Iterator[tuple[SafeString, SafeString]]:
    for key, item in items:
        if not budget.take():
            yield SafeString(), format_html('<span class="muted">{}</span>', "… more: download it to see all")
            return
        yield key, _node(item, depth + 1, budget)


def _leaf(value: Any) -> SafeString:
    if isinstance(value, str):
        cut = len(value) - LONGEST_STRING
        text = conditional_escape(_quoted(value[:LONGEST_STRING]))
        more = format_html(' <span class="muted">… {} more characters</span>', cut) if cut > 0 else ""
        return format_html('<span class="json-string">{}</span>{}', text, more)
    kind = "json-number" if isinstance(value, int | float) and not isinstance(value, bool) else "json-word"
    return format_html('<span class="{}">{}</span>', kind, orjson.dumps(value).decode())


def _quoted(text: str) -> str:
    """As JSON, but with its line breaks shown as such: a prompt is read, not parsed."""
    return orjson.dumps(text).decode().replace("\\n", "\n").replace("\\t", "\t")
