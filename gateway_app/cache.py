"""What the cache keeps: under which name, and in which form.

    name     SHA-256 over organization, credentials, seed, method, URL, body; in Redis `helicone:c:<name>:<slot>`
    value    4 bytes length ▸ JSON of the facts ▸ zstd frame of the body

An organization, and within it a provider's credential, has a cache of its own: nobody is given what another paid for.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from gateway_app.connection import Headers
from lib import loose_json
from lib.clock import EPOCH
from lib.frozen import dataclass
from lib.zstd import PLAIN
from llm import parse
from llm.exchange import Body, Exchange

CREDENTIALS: Final = (
    "authorization", "x-api-key", "api-key", "x-goog-api-key", "aws-access-key", "aws-secret-key",
)  # fmt: skip
TELLING: Final = ("accept", "content-type", "anthropic-version", "anthropic-beta", "openai-beta", "openai-organization",
                  "openai-project")  # fmt: skip
"""Headers that change what a provider answers."""
NOT_REPLAYED: Final = frozenset({b"set-cookie", b"date", b"content-length", b"age"})
SHORT_LIVED: Final = "bearer ya29."
"""Google's tokens change by the hour; whoever holds one is told apart by the organization only."""
_SIGNATURE: Final = "AWS4-HMAC-SHA256 "
_SIGNED: Final = re.compile(_SIGNATURE + r"Credential=([^/, ]+)")
"""AWS's signature is another one each second; its key is told apart by its id."""
_BROKE_OFF: Final = re.compile(
    rb'(?m)^event: ?(?:error|response\.failed)\b|^(?:data: ?)?\{\s*(?:"type": ?"error"|"error": ?[{"])|:exception-type'
)
"""An error within a stream, as server-sent events, lines of JSON and AWS's frames tell it."""
_BROKEN_WORDS: Final = (b"error", b"response.failed", b":exception-type")
"""One of them is in everything that matches."""
STREAM_TYPES: Final = (
    "text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream", "application/jsonl",
)  # fmt: skip
_DONE: Final = b"data: [DONE]"
PIECE_BYTES: Final = 64 * 1024


class Question(NamedTuple):
    """A request, as far as it decides its answer. `headers` lower-case; `body` as it is sent on."""

    organization_id: int
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


def name_of(
    question: Question, *, seed: str, ignored: frozenset[str], told: Mapping[str, Any] | None = None
) -> str:
    """`told`: the body's JSON, where somebody has read it already."""
    headers = question.headers
    held = [_lasting(value) if (value := headers.get(name)) else "" for name in CREDENTIALS]
    facts = [question.organization_id, seed, question.method, question.url, held,
             [headers.get(name, "") for name in TELLING]]  # fmt: skip
    return hashlib.sha256(orjson.dumps(facts) + _plain(question.body, ignored, told)).hexdigest()


def _lasting(credential: str) -> str:
    """What of a credential is the same in the next call."""
    if credential[: len(SHORT_LIVED)].lower() == SHORT_LIVED:
        return ""
    signed = _SIGNED.match(credential) if credential.startswith(_SIGNATURE) else None
    return signed[1] if signed else credential


def _plain(body: bytes, ignored: frozenset[str], told: Mapping[str, Any] | None) -> bytes:
    """JSON without its white space and the ignored keys; anything else as it is, and what is nested too deeply."""
    try:
        value = orjson.loads(body) if told is None else told
    except orjson.JSONDecodeError:
        return body
    if ignored and isinstance(value, dict):
        value = {key: held for key, held in value.items() if key not in ignored}
    try:
        return loose_json.dumps(value)
    except ValueError:
        return body


@dataclass(frozen=True, slots=True)
class Entry:
    """A reply that was kept; its status was 200."""

    original: UUID
    latency_ms: int
    """How long the call took it came from."""
    headers: Headers
    body: bytes

    def packed(self) -> bytes:
        named = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers]
        facts = orjson.dumps({"id": str(self.original), "ms": self.latency_ms, "headers": named})
        return struct.pack("<I", len(facts)) + facts + PLAIN.compress(self.body)

    def head(self) -> Headers:
        """A stream goes out as one, anything else with its length."""
        if not self.body or type_of(self.headers).startswith(STREAM_TYPES):
            return self.headers
        return [*self.headers, (b"content-length", b"%d" % len(self.body))]

    def pieces(self) -> Iterator[bytes]:
        for start in range(0, max(1, len(self.body)), PIECE_BYTES):
            yield self.body[start : start + PIECE_BYTES]


def unpacked(data: bytes) -> Entry:
    """Raises ValueError, KeyError or zstandard.ZstdError for what no `packed` made."""
    (length,) = struct.unpack_from("<I", data)
    facts = orjson.loads(data[4 : 4 + length])
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in facts["headers"]]
    return Entry(UUID(facts["id"]), facts["ms"], headers, PLAIN.decompress(data[4 + length :]))


def replayable(headers: Headers) -> Headers:
    """Of a reply's headers those that hold for a later one too; framed anew, by its whole length."""
    return [(name, value) for name, value in headers if name.lower() not in NOT_REPLAYED]


def type_of(headers: Headers) -> str:
    return _one_of(headers, b"content-type")


def _one_of(headers: Headers, wanted: bytes) -> str:
    return next((value for name, value in headers if name.lower() == wanted), b"").decode("latin-1")


def is_whole_answer(question: Question, headers: Headers, body: bytes) -> bool:
    """Not a stream that broke off or has an error in it, nor an error or a piece of a document under status 200."""
    kind = type_of(headers)
    is_stream = kind.startswith(STREAM_TYPES)
    if is_stream and any(word in body for word in _BROKEN_WORDS) and _BROKE_OFF.search(body):
        return False
    if is_stream and b"error" not in body and body.rstrip().endswith(_DONE):
        return True  # as nearly always
    sent = question.headers.get("content-type", ""), question.headers.get("content-encoding", "")
    came = kind, _one_of(headers, b"content-encoding")
    return parse.is_answer(Exchange(
        UUID(int=0), question.organization_id, EPOCH, "gateway", "", 200, question.method, question.url,
        request=Body(question.body, *sent), response=Body(body, *came),
    ))  # fmt: skip
