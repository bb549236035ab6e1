"""Personal data and secrets taken out of what is about to be kept: bodies, and the text read from them.

Counts, models and cost are read before, from what really passed; every text of the row is read again from what is
left. A stream is kept as the body it would have been, since what is looked for may stand across its pieces. A side that
cannot be read well enough to be sure is not kept at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import orjson

from lib.clock import now, uuid7
from lib.frozen import replace
from lib.redact import Redactor
from llm import frames, loose, multipart
from llm.exchange import Body, Exchange, Problem, Prompt, Reading
from llm.parse import parse

SPAN_TYPE: Final = "application/vnd.otlp.span+json"
UNSURE: Final = "redaction_unsure"
_LIKE_JSON: Final = (b"{", b"[", b"data:", b"event:", b"id:", b":")


class _Side(NamedTuple):
    body: Body
    is_sure: bool = True


def redacted(exchange: Exchange, redactor: Redactor) -> Exchange:
    """The exchange as it may be kept, with its reading where it has one or needs one. Never raises."""
    counts: Counter[str] = Counter()
    if exchange.request.content_type == SPAN_TYPE:
        document = _side(exchange.request, redactor, counts)
        problems = _problems(exchange, redactor, counts, (document,))
        return replace(exchange, request=document.body, url=_url(exchange.url, redactor, counts), problems=problems)
    reading = exchange.reading or parse(exchange)
    request = _side(exchange.request, redactor, counts)
    response = _reply(exchange.response, reading, redactor, counts)
    left = replace(
        exchange, request=request.body, response=response.body, reading=None, url=_url(exchange.url, redactor, counts)
    )
    if (prompt := exchange.prompt) is not None:
        told = redactor.value([prompt.template, dict(prompt.inputs), list(prompt.auto_inputs)], Counter())
        left = replace(left, prompt=Prompt(told[0], told[1], tuple(told[2])))
    return replace(
        left, reading=_text_of(left, reading, redactor),
        problems=_problems(exchange, redactor, counts, (request, response)),
    )  # fmt: skip


def redacted_sides(request: bytes, response: bytes, redactor: Redactor) -> tuple[bytes, bytes]:
    """Both bodies of a call that is told apart from them."""
    at = now()
    told = Exchange(
        uuid7(at), 0, at, "log", "", 200, request=Body(request, size=len(request)),
        response=Body(response, size=len(response)),
    )  # fmt: skip
    left = redacted(told, redactor)
    return left.request.data, left.response.data


def _problems(
    exchange: Exchange, redactor: Redactor, counts: Counter[str], sides: tuple[_Side, ...]
) -> tuple[Problem, ...]:
    """Those named at the door may quote a body: a user, a tool, what a provider said."""
    found = _without(exchange.problems, redactor)
    if counts:
        found.append(Problem("redacted", ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))))
    if not all(side.is_sure for side in sides):
        found.append(Problem(UNSURE))
    return tuple(found)


def _without(problems: Sequence[Problem], redactor: Redactor) -> list[Problem]:
    ignored = Counter[str]()
    return [Problem(one.code, redactor.redact(one.detail, ignored)) if one.detail else one for one in problems]


def _url(url: str, redactor: Redactor, counts: Counter[str]) -> str:
    """Hosts and paths name who is called; what is asked for may name anybody."""
    path, mark, query = url.partition("?")
    return path + mark + redactor.redact(query, counts) if query else url


def _text_of(left: Exchange, reading: Reading, redactor: Redactor) -> Reading:
    """The reading of what passed, with the texts of what is left of it."""
    again = parse(left)
    user = redactor.redact(reading.end_user_id, Counter()) if reading.end_user_id else None
    return replace(
        reading, request_preview=again.request_preview, response_preview=again.response_preview,
        tool_calls=again.tool_calls, error_type=again.error_type if reading.error_type else None,
        error_message=again.error_message if reading.error_message else None, end_user_id=user, folded_response=None,
        problems=tuple(_without(reading.problems, redactor)),
    )  # fmt: skip


def _reply(body: Body, reading: Reading, redactor: Redactor, counts: Counter[str]) -> _Side:
    if reading.folded_response is None:
        return _side(body, redactor, counts)
    folded = Body(reading.folded_response, "application/json", "", body.size, body.state)
    return _side(folded, redactor, counts)


def _side(body: Body, redactor: Redactor, counts: Counter[str]) -> _Side:
    if not body.data:
        return _Side(body)
    if body.state == "truncated":  # where its middle is missing something may stand cut in two
        return _withheld(body)
    problems: list[Problem] = []
    data = frames.decode(body.data, body.content_encoding, problems) if body.content_encoding else body.data
    if problems:
        return _withheld(body)
    if body.content_type.startswith("multipart/") or multipart.looks_like(data):
        return _Side(_kept(body, data, _form(data, redactor, counts)))
    try:
        value = loose.loads(data)
    except (orjson.JSONDecodeError, ValueError, RecursionError):
        return _words(body, data, redactor, counts)
    try:
        before = counts.total()
        changed = redactor.value(value, counts)
        return _Side(_kept(body, data, data if counts.total() == before else orjson.dumps(changed)))
    except (RecursionError, TypeError):  # nested too deeply, or a number JSON has not
        return _withheld(body)


def _words(body: Body, data: bytes, redactor: Redactor, counts: Counter[str]) -> _Side:
    """Plain text, or bytes that are none: pictures and sound are not looked into."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return _Side(body)
    if text.lstrip().encode().startswith(_LIKE_JSON):  # cut JSON, or a stream nobody can fold
        return _withheld(body)
    return _Side(_kept(body, data, redactor.redact(text, counts).encode()))


def _form(data: bytes, redactor: Redactor, counts: Counter[str]) -> bytes:
    """A form's fields; its files as they are."""
    boundary = data.partition(b"\r\n")[0]
    pieces = data.split(boundary) if boundary else [data]
    for place, piece in enumerate(pieces):
        head, middle, content = piece.partition(b"\r\n\r\n")
        if middle and b"filename" not in head.lower():
            pieces[place] = head + middle + redactor.redact(content.decode("latin-1"), counts).encode("latin-1")
    return boundary.join(pieces)


def _kept(body: Body, plain: bytes, data: bytes) -> Body:
    if data == plain and body.data == plain:
        return body
    state = body.state if data == plain else "redacted"
    return Body(data, body.content_type, "", body.size, state)


def _withheld(body: Body) -> _Side:
    return _Side(Body(b"", body.content_type, "", body.size, "omitted"), is_sure=False)
