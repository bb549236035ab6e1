"""Helicone's older prompts: tags inside a request's texts that say what of it is a template and what was put in.

    "Hello <helicone-prompt-input key="name">Bob</helicone-prompt-input>"
        goes out as  "Hello Bob"
        is kept as   "Hello <helicone-prompt-input key="name" />"  and  {"name": "Bob"}

A whole object without tags beside others (an earlier message) is an input too, by its place. Grammar of npm
`@helicone/prompts`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import orjson

from llm.exchange import Prompt

MARK: Final = b"helicone-prompt-"
"""Every tag has it, however its brackets are escaped."""
FIELDS: Final = ("prompt_id", "version_id", "environment")
"""Of Helicone's newer prompts; no provider knows them."""
_OPEN: Final = re.compile(r'<helicone-prompt-input\s{1,9}key="([^"<>]{1,200})"\s{0,9}>')
_CLOSE: Final = "</helicone-prompt-input>"
_STATIC: Final = re.compile(r"<helicone-prompt-static>([^\n]*?)</helicone-prompt-static>")
_TAG: Final = "<helicone-prompt-"


class Stripped(NamedTuple):
    body: bytes
    """As it goes to the provider."""
    prompt: Prompt | None = None
    """None where the body has no tags."""


def strip(body: bytes) -> Stripped:
    """The body without tags and without fields of Helicone's prompts. Never raises; what is no JSON stays as it is."""
    if MARK not in body and not any(b'"%b"' % name.encode() in body for name in (*FIELDS, "inputs")):
        return Stripped(body)
    try:
        value = orjson.loads(body)
        if not isinstance(value, dict):
            return Stripped(body)
        bare = _without_fields(value)
        if not _has_tag(bare):
            return Stripped(body if bare == value else orjson.dumps(bare))
        inputs: dict[str, str] = {}
        autos: list[Any] = []
        template = {name: _template(held, inputs, autos) for name, held in bare.items()}
        return Stripped(orjson.dumps(_plain(bare)), Prompt(template, inputs, tuple(autos)))
    except (orjson.JSONDecodeError, TypeError, RecursionError):
        return Stripped(body)


def _without_fields(value: Mapping[str, Any]) -> dict[str, Any]:
    dropped = {*FIELDS, *(("inputs",) if isinstance(value.get("inputs"), dict) else ())}
    return {name: held for name, held in value.items() if name not in dropped}


def _has_tag(value: Any) -> bool:
    if isinstance(value, str):
        return _TAG in value
    if isinstance(value, dict):
        return any(map(_has_tag, value.values()))
    return isinstance(value, list) and any(map(_has_tag, value))


def _filled(text: str, put: Callable[[str, str], str]) -> str:
    """The text with `put(name, value)` in the place of each input; in one pass, however many tags stay open."""
    *closed, rest = text.split(_CLOSE)
    made = []
    for piece in closed:
        found = _OPEN.search(piece)
        made.append(piece[: found.start()] + put(found[1], piece[found.end() :]) if found else piece + _CLOSE)
    return "".join((*made, rest))


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _STATIC.sub(r"\1", _filled(value, lambda name, held: held)) if _TAG in value else value
    if isinstance(value, dict):
        return {name: _plain(held) for name, held in value.items()}
    return [_plain(held) for held in value] if isinstance(value, list) else value


def _template(value: Any, inputs: dict[str, str], autos: list[Any]) -> Any:
    if isinstance(value, str):

        def named(name: str, held: str) -> str:
            inputs[name] = held.strip()
            return f'<helicone-prompt-input key="{name}" />'

        return _filled(value, named)
    if isinstance(value, list):
        return [_template(held, inputs, autos) for held in value]
    if not isinstance(value, dict):
        return value
    if not _has_tag(value):
        autos.append(value)
        return f"<helicone-auto-prompt-input idx={len(autos) - 1} />"
    return {name: _template(held, inputs, autos) for name, held in value.items()}
