"""A session held to its bounds: so much money, so many calls, so deep a path, and no tool called the same way for ever.

Depth, and repeats among a request's own messages, are seen here; cost, calls, and repeats over the whole session are
counted in Redis by the same script as limits and budgets (gateway_app/scripts.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import uuid4

import orjson

from alerts_app.budgets import digest, usd
from alerts_app.rules import SessionCaps
from gateway_app.errors import SessionStopped
from ingest_app.directives import Directives
from lib.frozen import dataclass
from llm.exchange import Hold

REMEMBERED_SECONDS: Final = 7 * 86_400
"""A session nobody calls in for so long begins anew."""
NOTHING_ASKED: Final = (None, None, None, None)
_MOST_TOOLS: Final = 32
"""Tool calls of one turn that are counted."""


class ToolCall(NamedTuple):
    what: str
    """Name and arguments, as a digest."""
    id: str
    name: str


def caps_of(told: Directives, stored: SessionCaps) -> SessionCaps:
    """The lower of what the organization has set and what the request asks for."""
    asked = told.session_max_cost_nano_usd, told.session_max_calls, told.session_max_depth, told.session_max_repeats
    return stored.tightened(SessionCaps(*asked)) if asked != NOTHING_ASKED else stored


@dataclass(frozen=True, slots=True)
class Bounded:
    """A session, this request's place in it, and what it may come to."""

    key: str
    """Of its counts in Redis."""
    caps: SessionCaps
    depth: int
    turns: Sequence[Sequence[ToolCall]]
    """The tool calls among the request's messages, by message."""
    estimate: int = 0
    """Nano-USD the call may cost."""

    @property
    def hold(self) -> Hold:
        return Hold(self.key, f"{self.key}:holds")

    @property
    def numbers(self) -> str:
        """For the script: most calls and cost (-1: any), the estimate, most repeats, seconds, how many tool calls."""
        caps = self.caps
        bounds = (caps.max_calls, caps.max_cost_nano_usd, self.estimate, caps.max_repeats, REMEMBERED_SECONDS)
        return " ".join(str(-1 if bound is None else bound) for bound in (*bounds, len(self._newest)))

    @property
    def tools(self) -> list[str]:
        """Of each tool call of the newest turn what was called, and its own id."""
        return [part for tool in self._newest for part in (tool.what, tool.id)]

    @property
    def _newest(self) -> Sequence[ToolCall]:
        return self.turns[-1][:_MOST_TOOLS] if self.turns and self.caps.max_repeats is not None else ()

    def look(self) -> SessionStopped | None:
        """What the request shows by itself."""
        caps = self.caps
        if caps.max_depth is not None and self.depth > caps.max_depth:
            return _stopped("depth", f"its path is {self.depth} deep, and {caps.max_depth} is the most", caps.max_depth)
        if caps.max_repeats is None:
            return None
        made = Counter(tool.what for turn in self.turns for tool in turn)
        what, times = made.most_common(1)[0] if made else ("", 0)
        if times <= caps.max_repeats:
            return None
        name = next(tool.name for turn in self.turns for tool in turn if tool.what == what)
        return _stopped("repeats", _repeated(f"the tool {name}", times, caps.max_repeats), caps.max_repeats)

    def refusal(self, which: str, reply: Sequence[Any]) -> SessionStopped:
        calls, spent, held, repeats = (int(each) for each in reply)
        caps = self.caps
        if which == "calls":
            return _stopped("calls", f"it has made {calls} calls, and {caps.max_calls} is the most", caps.max_calls)
        if which == "repeats":
            return _stopped("repeats", _repeated("the same tool", repeats, caps.max_repeats), caps.max_repeats)
        most = caps.max_cost_nano_usd or 0
        return _stopped(
            "cost", f"limit {usd(most)}, spent {usd(spent)}, reserved by calls under way {usd(held)}, "
            f"this call may cost {usd(self.estimate)}", most / 10**9,
        )  # fmt: skip


def bounded(
    organization_id: int, session_id: str, caps: SessionCaps, *, path: str | None, body: Mapping[str, Any],
    estimate: int,
) -> Bounded:  # fmt: skip
    depth = len([part for part in (path or "").split("/") if part])
    turns = list(_turns(body)) if caps.max_repeats is not None else []
    key = f"helicone:g:{organization_id}:{digest(session_id)}"
    return Bounded(key, caps, depth, turns, estimate)


def _repeated(tool: str, times: int, most: int | None) -> str:
    return f"{tool} was called {times} times with the same arguments, and {most} is the most"


def _stopped(reason: str, said: str, bound: float | None) -> SessionStopped:
    return SessionStopped(
        f"This session is stopped: {said}. Begin a new session, or raise the bound.",
        retry_after_seconds=None, details={"reason": reason, "limit": bound},
    )  # fmt: skip


# --- tool calls of a request's messages -------------------------------------------------------------------------------


def _turns(body: Mapping[str, Any]) -> Iterator[list[ToolCall]]:
    """Those of each message that has any, oldest first. Never raises."""
    made = 0
    for key in ("messages", "input", "contents"):
        for message in _mappings(body.get(key)):
            found = [_tool(call, made + n) for n, call in enumerate(_calls(message))]
            if found:
                made += len(found)
                yield found


def _calls(message: Mapping[str, Any]) -> Iterator[tuple[Any, Any, Any]]:
    """(name, arguments, id) as OpenAI's chat and responses, Anthropic, Gemini and Bedrock write them."""
    if message.get("type") == "function_call":
        yield message.get("name"), message.get("arguments"), message.get("call_id")
    if isinstance(legacy := message.get("function_call"), dict):
        yield legacy.get("name"), legacy.get("arguments"), None
    for call in _mappings(message.get("tool_calls")):
        function = call.get("function")
        told = function if isinstance(function, dict) else call
        yield told.get("name"), told.get("arguments"), call.get("id")
    for part in (*_mappings(message.get("content")), *_mappings(message.get("parts"))):
        if part.get("type") == "tool_use":
            yield part.get("name"), part.get("input"), part.get("id")
        elif isinstance(use := part.get("toolUse"), dict):
            yield use.get("name"), use.get("input"), use.get("toolUseId")
        elif isinstance(made := part.get("functionCall"), dict):
            yield made.get("name"), made.get("args"), made.get("id")


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _tool(call: tuple[Any, Any, Any], place: int) -> ToolCall:
    name, arguments, told = call
    if isinstance(arguments, str):
        with contextlib.suppress(orjson.JSONDecodeError):
            arguments = orjson.loads(arguments)
    what = hashlib.sha256(_written([name, arguments])).hexdigest()[:16]
    own = hashlib.sha256(f"{told if isinstance(told, str) and told else place}".encode("utf-8", "replace"))
    return ToolCall(what, own.hexdigest()[:16], str(name)[:100])


def _written(value: Any) -> bytes:
    """The same for the same, in whatever order its keys stand; nested too deeply to be written, it is like no other."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str)
    except TypeError:
        pass
    try:
        return json.dumps(value, sort_keys=True, default=str).encode("utf-8", "replace")
    except RecursionError:
        return uuid4().bytes
