"""What one request's drawer shows beside its row: conversation, timing, cost, the call as curl."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from llm import loose
from llm.conversation import Conversation, Message, Part, ToolSpec
from llm.exchange import ATTEMPT, ATTEMPT_OF
from llm.providers import by_slug
from requests_app import bodies, step_drawing, telling
from requests_app.bodies import Bodies, BodyUnreadable
from requests_app.queries_sums import Summary
from requests_app.rows import BodyRow, RequestRow
from requests_app.step_drawing import Step

LONGEST_PART = 20_000
"""Characters of one part of a conversation that are shown; the whole stands behind a link."""
SHOWN_IN_ALL, SHOWN_PAST_IT = 400_000, 400
"""Characters a whole conversation may show, and of each part once they are used up."""
FIRST_TURNS, LAST_TURNS = 40, 160
"""Of a longer conversation these are shown."""
LARGEST_PICTURE = 4 * 2**20
LARGEST_SHOWN_JSON = 512 * 1024
LARGEST_CURL = 256 * 1024
IMAGE_TYPES = ("data:image/png", "data:image/jpeg", "data:image/gif", "data:image/webp")
"""Shown in place; every other address stays a link, so that looking at a request calls nobody."""
NOT_REPLAYED = frozenset({
    "host", "content-length", "connection", "accept-encoding", "transfer-encoding", "authorization", "x-api-key",
    "api-key", "x-goog-api-key", "cookie", "forwarded", "via", "user-agent", "accept", "expect", "te", "upgrade",
})  # fmt: skip
BAR_HEIGHT, BAR_WIDTH = 32, 5


# --- conversation ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ShownPart:
    """A part of a message, cut to what a page holds."""

    part: Part
    text: str
    is_cut: bool
    is_picture: bool

    @property
    def size(self) -> int:
        return len(self.part.text)

    @property
    def link(self) -> str:
        """Where an image, audio or file lies, if a reader may be sent there."""
        return self.part.url if self.part.url.startswith(("http://", "https://")) else ""


@dataclass(frozen=True, slots=True)
class Turn:
    message: Message
    look: str
    """Class of its bar: user, assistant, system, tool."""
    parts: tuple[ShownPart, ...]
    text: str
    """Its words for copying, where they stand in several parts."""

    @property
    def has_text(self) -> bool:
        return any(shown.part.kind == "text" for shown in self.parts)


@dataclass(frozen=True, slots=True)
class Talk:
    first: tuple[Turn, ...]
    passed_over: int
    """Messages between the first and the last that are not shown."""
    last: tuple[Turn, ...]
    came: tuple[Turn, ...]
    tools: tuple[ToolSpec, ...]
    settings: Mapping[str, Any]

    @property
    def is_empty(self) -> bool:
        return not self.first and not self.came


LOOKS = {"user": "user", "human": "user", "assistant": "assistant", "model": "assistant", "system": "system",
         "developer": "system", "tool": "tool", "function": "tool"}  # fmt: skip


def talk(conversation: Conversation) -> Talk:
    """What of a conversation one page can hold: its end and its reply before its middle."""
    budget = _Budget(SHOWN_IN_ALL)
    came = tuple(_turn(message, budget) for message in conversation.reply[:LAST_TURNS])
    sent = conversation.messages
    split = max(FIRST_TURNS, len(sent) - LAST_TURNS)
    last = tuple(_turn(message, budget) for message in reversed(sent[split:]))
    first = tuple(_turn(message, budget) for message in sent[:FIRST_TURNS])
    passed_over = max(0, split - FIRST_TURNS)
    return Talk(first, passed_over, last[::-1], came, conversation.tools, conversation.settings)


class _Budget:
    """Characters that may still be shown."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, wanted: int) -> int:
        granted = min(wanted, LONGEST_PART, max(self.left, SHOWN_PAST_IT))
        self.left -= granted
        return granted


def _turn(message: Message, budget: _Budget) -> Turn:
    words = [part.text for part in message.parts if part.kind == "text"]
    copied = "\n\n".join(words) if len(words) > 1 else ""
    parts = tuple(_shown(part, budget) for part in message.parts)
    return Turn(message, LOOKS.get(message.role, "user"), parts, copied[:LONGEST_PART])


def _shown(part: Part, budget: _Budget) -> ShownPart:
    is_picture = part.kind == "image" and part.url.startswith(IMAGE_TYPES) and len(part.url) <= LARGEST_PICTURE
    text = bodies.pretty(part.text.encode()) if part.kind in ("tool_call", "tool_result") else part.text
    granted = budget.take(len(text))
    return ShownPart(part, text[:granted], len(text) > granted, is_picture)


# --- the whole drawer -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Side:
    """The request or the reply, for the JSON tab."""

    name: str
    words: str
    state: str
    size: int
    value: Any
    text: str
    is_large: bool

    @property
    def is_missing(self) -> bool:
        return not self.text and self.value is None and not self.is_large


@dataclass(frozen=True, slots=True)
class Drawer:
    line: telling.Line
    talk: Talk
    step: Step
    sides: tuple[Side, ...]
    headers: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    curl: str
    prompt: Mapping[str, Any] | None
    """Template and inputs, where the request's tags told them."""
    problems: tuple[telling.Odd, ...]
    attempt_of: str
    """Our id of the request this is an attempt of; empty for any other row."""
    complaint: str
    """Why bodies that are there cannot be shown."""

    @property
    def row(self) -> RequestRow:
        return self.line.row

    @property
    def template(self) -> str:
        return loose.pretty((self.prompt or {}).get("template"))

    @property
    def provider_name(self) -> str:
        found = by_slug(self.row.provider)
        return found.name if found else self.row.provider


def drawer(row: RequestRow, stored: BodyRow | None) -> Drawer:
    complaint = ""
    try:
        found = bodies.read(stored)
    except BodyUnreadable as error:
        found, complaint = Bodies(), str(error)
    return Drawer(
        line=telling.line(row),
        talk=talk(bodies.conversation(row.dialect, found)),
        step=step_drawing.step(row, found),
        sides=_sides(row, found),
        headers=tuple(
            (words, tuple(sorted(headers.items())))
            for words, headers in (("Request", found.request_headers), ("Reply", found.response_headers))
        ),
        curl=curl(row, found),
        prompt=found.prompt,
        problems=tuple(map(telling.problem, row.problems)),
        attempt_of=found.request_headers.get(ATTEMPT_OF, "") if row.kind == ATTEMPT else "",
        complaint=complaint,
    )


def _sides(row: RequestRow, found: Bodies) -> tuple[Side, ...]:
    """A span is one document; everything else asks and is answered."""
    if row.dialect == step_drawing.SPAN_DIALECT:
        return (_side("request", "Span", row.request_state, found.request),)
    return (
        _side("request", "Request", row.request_state, found.request),
        _side("response", "Reply", row.response_state, found.response),
    )


def _side(name: str, words: str, state: str, data: bytes | None) -> Side:
    size = len(data or b"")
    is_large = size > LARGEST_SHOWN_JSON
    value = None if is_large else bodies.json_of(data)
    text = bodies.pretty(data) if data and not is_large and value is None else ""
    return Side(name, words, state, size, value, text, is_large)


# --- timing ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Timing:
    """The two stretches of a streamed call, in thousandths of its duration."""

    waited: int
    received: int
    receiving_ms: int | None
    ended_at: datetime | None


def timing(row: RequestRow) -> Timing:
    if not row.duration_ms:
        return Timing(0, 1000, row.duration_ms, row.requested_at if row.duration_ms == 0 else None)
    first = min(row.time_to_first_token_ms or 0, row.duration_ms)
    waited = round(1000 * first / row.duration_ms)
    ended_at = row.requested_at + timedelta(milliseconds=row.duration_ms)
    return Timing(waited, 1000 - waited, row.duration_ms - first, ended_at)


# --- curl -----------------------------------------------------------------------------------------------------


def curl(row: RequestRow, found: Bodies) -> str:
    """The call as one can send it again, with a placeholder for the key; empty where its body is not here as text."""
    if found.request is None or len(found.request) > LARGEST_CURL or row.request_state != "kept" or not row.target_url:
        return ""
    try:
        text = found.request.decode()
    except UnicodeDecodeError:
        return ""
    lines = [f"curl {shlex.quote(row.target_url)}", *_curl_headers(row, found)]
    if row.method not in ("GET", "POST"):
        lines.insert(1, f"-X {shlex.quote(row.method)}")
    return " \\\n  ".join([*lines, f"--data-raw {shlex.quote(text)}"])


def _curl_headers(row: RequestRow, found: Bodies) -> Iterator[str]:
    kept = {
        name: value for name, value in found.request_headers.items()
        if name not in NOT_REPLAYED and not name.startswith(("helicone-", "x-forwarded-", "sec-", "x-stainless-"))
    }  # fmt: skip
    kept.setdefault("content-type", found.request_type or "application/json")
    provider = by_slug(row.provider)
    name = provider.credential_headers[0] if provider and provider.credential_headers else "authorization"
    prefix = "Bearer " if name == "authorization" else ""
    yield f'-H "{name}: {prefix}$PROVIDER_API_KEY"'
    for name, value in sorted(kept.items()):
        yield f"-H {shlex.quote(f'{name}: {value}')}"


# --- the strip's bars -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bar:
    """One stretch of time in the little chart, in its own coordinates; `failed` lies over the lower part."""

    x: int
    height: int
    failed: int
    since: str
    until: str
    requests: int
    failures: int

    @property
    def y(self) -> int:
        return BAR_HEIGHT - self.height

    @property
    def failed_y(self) -> int:
        return BAR_HEIGHT - self.failed


def bars(summary: Summary) -> list[Bar]:
    most = max((bucket.requests for bucket in summary.buckets), default=0) or 1
    return [
        Bar(
            x=index * BAR_WIDTH,
            height=_height(bucket.requests, most),
            failed=_height(bucket.failed, most),
            since=bucket.since.isoformat(timespec="seconds"),
            until=bucket.until.isoformat(timespec="seconds"),
            requests=bucket.requests,
            failures=bucket.failed,
        )
        for index, bucket in enumerate(summary.buckets)
    ]


def _height(value: int, most: int) -> int:
    return max(2, round(BAR_HEIGHT * value / most)) if value else 0
