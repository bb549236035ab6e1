"""`Helicone-Token-Limit-Exception-Handler`: what is done with a prompt that is longer than its model takes.

    estimate = ceil((characters of the texts + of the tools as JSON) / 4)
    limit    = context window - the output asked for, or a tenth of the window

    truncate    white space is tidied, then the longest texts lose their ends
    middle-out  the longest texts lose their middles
    fallback    the second model of the list in `model` is asked; the first where the prompt fits
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import orjson

from accounts_app.snapshot import Snapshot
from gateway_app import model_lists, models_known
from lib import loose_json
from llm.exchange import Problem
from llm.providers import Provider

TOKENS_A_CHARACTER: Final = 0.25
OUTPUT_SHARE: Final = 0.1
HEADER: Final = b"helicone-token-limit"
GAP: Final = "\n…\n"
"""Stands for a middle that was taken out."""
_OUTPUTS: Final = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_SPACES: Final = re.compile(r"[ \t\r\f\v]+")
_LINES: Final = re.compile(r"\n{3,}")


class Slot(NamedTuple):
    """A text of the body, and where it stands."""

    holder: Any
    key: Any

    @property
    def text(self) -> str:
        return str(self.holder[self.key])

    def put(self, text: str) -> None:
        self.holder[self.key] = text


class Fitted(NamedTuple):
    body: bytes
    state: str
    """For the client: within, shortened, fallback, unknown."""
    notes: tuple[Problem, ...] = ()


def fitted(body: bytes, rule: str, *, own: Provider | None, snapshot: Snapshot | None) -> Fitted:
    """The body as it may be sent. What is no JSON object with a model, or nested too deeply, passes as it is."""
    try:
        return _fitted(body, rule, own, snapshot)
    except ValueError:
        return Fitted(body, "unknown", (Problem("token_limit_unknown", "the body is nested too deeply"),))


def _fitted(body: bytes, rule: str, own: Provider | None, snapshot: Snapshot | None) -> Fitted:
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("model"), str):
        return Fitted(body, "unknown", (Problem("token_limit_unknown", "the body names no model"),))
    wanted = [part.strip() for part in told["model"].split(",") if part.strip()]
    window = _window(snapshot, wanted[0] if wanted else "", own)
    if window is None:
        return Fitted(body, "unknown", (Problem("token_limit_unknown", told["model"][:200]),))
    slots, beside = list(_slots(told)), len(loose_json.dumps(told["tools"])) if told.get("tools") else 0
    limit = window - _output(told, window)
    needed = estimate(slots, beside)
    if rule == "fallback":
        place = 1 if needed > limit and len(wanted) > 1 else 0
        sent = body if len(wanted) < 2 else loose_json.dumps({**told, "model": wanted[place]})
        return Fitted(sent, "fallback" if place else "within")
    if needed <= limit:
        return Fitted(body, "within")
    shorten(slots, math.floor(limit / TOKENS_A_CHARACTER) - beside, rule)
    note = Problem("prompt_shortened", f"from about {needed} to {estimate(slots, beside)} tokens, {rule}")
    return Fitted(loose_json.dumps(told), "shortened", (note,))


def too_long(body: bytes) -> Fitted:
    """Of a body that is not there whole."""
    return Fitted(body, "unknown", (Problem("token_limit_unknown", "the body is too long to be read"),))


def _window(snapshot: Snapshot | None, entry: str, own: Provider | None) -> int | None:
    (wanted,) = model_lists.read(entry, own=own).wanted[:1] if entry and not entry.startswith("!") else (None,)
    if wanted is None:
        return None
    provider = wanted.provider or own
    return models_known.context_window(snapshot, provider.slug if provider else "", wanted.model)


def _output(told: dict[str, Any], window: int) -> int:
    """Tokens left for the reply."""
    asked = next((told[name] for name in _OUTPUTS if isinstance(told.get(name), int) and told[name] > 0), None)
    return math.ceil(window * OUTPUT_SHARE) if asked is None else min(asked, window)


def estimate(slots: Sequence[Slot], beside: int) -> int:
    """Tokens; `beside`: characters that are no text of a message."""
    return math.ceil((sum(len(slot.text) for slot in slots) + beside) * TOKENS_A_CHARACTER)


def _slots(told: dict[str, Any]) -> Iterator[Slot]:
    """Every text a chat or a Responses body asks with."""
    for name in ("instructions", "system", "input", "prompt"):
        if isinstance(told.get(name), str):
            yield Slot(told, name)
    for name in ("messages", "input", "system"):
        for message in told[name] if isinstance(told.get(name), list) else ():
            yield from _of_message(message)


def _of_message(message: Any) -> Iterator[Slot]:
    if not isinstance(message, dict):
        return
    for name in ("content", "text", "output"):
        value = message.get(name)
        if isinstance(value, str):
            yield Slot(message, name)
        elif isinstance(value, list):
            for part in value:
                yield from _of_message(part)


def shorten(slots: Sequence[Slot], room: int, rule: str) -> None:
    """So that all texts together have `room` characters at most, the longest losing first."""
    cut: Callable[[str, int], str] = _without_middle
    if rule == "truncate":
        cut = _without_end
        for slot in slots:
            slot.put(_LINES.sub("\n\n", _SPACES.sub(" ", slot.text)))
    most = longest_that_fits([len(slot.text) for slot in slots], max(0, room))
    for slot in slots:
        if len(slot.text) > most:
            slot.put(cut(slot.text, most))


def longest_that_fits(lengths: Sequence[int], room: int) -> int:
    """The greatest length to which all longer ones can be cut so that their sum is at most `room`."""
    left, ordered = room, sorted(lengths)
    for place, length in enumerate(ordered):
        share = left // (len(ordered) - place)
        if length > share:
            return share
        left -= length
    return max(lengths, default=0)


def _without_end(text: str, most: int) -> str:
    return text[:most]


def _without_middle(text: str, most: int) -> str:
    kept = most - len(GAP)
    if kept < 2:
        return text[:most]
    return text[: kept - kept // 2] + GAP + text[len(text) - kept // 2 :]
