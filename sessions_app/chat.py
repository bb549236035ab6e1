"""A session read as one conversation: its calls in order, each message where it was first said.

Every call of a chat repeats all that was said before. Of a call's messages only those are shown that no earlier call
sent or answered already; the k-th "yes" of a history is new only if fewer than k were heard before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from llm.conversation import Conversation, Message
from requests_app import bodies, queries
from requests_app.bodies import BodyUnreadable
from requests_app.drawing import Talk, talk
from requests_app.filters import Node
from requests_app.queries import Cursor, Question
from requests_app.rows import BodyRow, RequestRow

STEPS_A_PAGE = 25
STEPS_REMEMBERED = 5
"""Calls before the page whose words count as said: the last ones of a chat hold its whole history."""
BYTES_A_PAGE = 4 * 2**20
"""Of stored bodies; a page that would need more is shorter."""

Words = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One step: what is new in what it sent, and what came. `repeated` messages were said before."""

    row: RequestRow
    talk: Talk
    repeated: int
    is_readable: bool
    """False: the bodies were not kept, are gone, or are too large to show here."""


@dataclass(frozen=True, slots=True)
class Chat:
    entries: tuple[Entry, ...]
    older: str
    newer: str
    """Cursors as text; empty at the ends."""


def read(organization_id: int, of: Node, *, since: datetime, after: str) -> Chat:
    """The page of steps the filter means after a cursor; from the beginning where there is none. Raises TooSlow."""
    question = Question(organization_id, of, since=since)
    start = queries.read_cursor(after) or Cursor(since - timedelta(microseconds=1), UUID(int=0))
    found = queries.page(question, size=STEPS_A_PAGE, newer=start)
    rows = _affordable(tuple(reversed(found.rows)))
    before = queries.page(question, size=STEPS_REMEMBERED, older=queries.cursor_of(rows[0])).rows if rows else ()
    kept = queries.bodies([row for row in (*before, *rows) if _size(row) <= BYTES_A_PAGE])
    has_newer = found.has_newer or len(rows) < len(found.rows)
    return Chat(
        tuple(entries(rows, kept, heard=reversed(before))),
        older=after if queries.read_cursor(after) else "",
        newer=str(queries.cursor_of(rows[-1])) if has_newer else "",
    )


def entries(rows: Sequence[RequestRow], kept: Mapping[UUID, BodyRow], *, heard: Iterable[RequestRow]) -> list[Entry]:
    """Rows in time order with what is new in each."""
    said: Counter[Words] = Counter()
    for row in heard:
        _hear(said, _conversation(row, kept))
    made = []
    for row in rows:
        conversation = _conversation(row, kept)
        new = _unheard(said, conversation.messages)
        shown = talk(Conversation(messages=new, reply=conversation.reply))
        repeated = len(conversation.messages) - len(new)
        is_readable = bool(conversation.messages or conversation.reply)
        made.append(Entry(row, shown, repeated=repeated, is_readable=is_readable))
        _hear(said, conversation)
    return made


def _affordable(rows: tuple[RequestRow, ...]) -> tuple[RequestRow, ...]:
    """As many of the first rows as a page may unpack; always one."""
    spent = 0
    for place, row in enumerate(rows):
        spent += _size(row) if _size(row) <= BYTES_A_PAGE else 0
        if spent > BYTES_A_PAGE and place:
            return rows[:place]
    return rows


def _size(row: RequestRow) -> int:
    return row.request_bytes + row.response_bytes


def _conversation(row: RequestRow, kept: Mapping[UUID, BodyRow]) -> Conversation:
    try:
        return bodies.conversation(row.dialect, bodies.read(kept.get(row.id)))
    except BodyUnreadable:
        return Conversation()


def _words(message: Message) -> Words:
    return (message.role, *((part.kind, part.text.strip(), part.name, part.url) for part in message.parts))


def _unheard(said: Counter[Words], messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages not yet said as often as this call repeats them."""
    counted: Counter[Words] = Counter()
    new = []
    for message in messages:
        words = _words(message)
        counted[words] += 1
        if counted[words] > said[words]:
            new.append(message)
    return tuple(new)


def _hear(said: Counter[Words], conversation: Conversation) -> None:
    """What one call tells of the history: each message at least as often as it stands there."""
    counted = Counter(_words(message) for message in (*conversation.messages, *conversation.reply))
    for words, times in counted.items():
        said[words] = max(said[words], times)
