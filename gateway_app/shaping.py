"""What is changed of a request on its way, where something is: its signature, and a stream's token counts asked for.

Other requests are not looked into: their bodies pass unread, as they come.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import orjson

from gateway_app import aws
from gateway_app.signing import Keys, Request, Scope
from gateway_app.targets import Target
from lib import loose_json
from lib.clock import now
from lib.frozen import dataclass
from llm.providers import Provider

LONGEST_BODY: Final = 32 * 2**20
"""Bytes of a body that is read whole before it is sent on. AWS takes 25 MB."""
_ASKED: Final = b',"stream_options":{"include_usage":true}}'
_STREAMING: Final = ("/chat/completions", "/completions")


class Asked(NamedTuple):
    """A request as it came, but for its body. `headers` lower-case; `path` as it is sent on."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    region: str = ""


@dataclass(frozen=True, slots=True)
class Shaping:
    """What will be done to one request once its body is there."""

    keys: Keys | None = None
    scope: Scope | None = None
    asks_usage: bool = False
    insists: bool = False
    """Ask even where the body says no."""

    def body(self, body: bytes) -> bytes:
        return with_usage(body, insists=self.insists) if self.asks_usage else body

    def credentials(
        self, asked: Asked, host: str, sent: bytes, presented: Mapping[str, str | None] | None
    ) -> Mapping[str, str | None] | None:
        """Headers to send otherwise than they came (None: not at all); `sent` is the body that goes out."""
        if self.keys is None or self.scope is None:
            return presented
        request = Request(asked.method, host, asked.path, asked.query, asked.headers, sent)
        return {**(presented or {}), **aws.signed(request, self.keys, self.scope, at=now())}


def plan(
    asked: Asked, provider: Provider | None, target: Target, *, is_client_target: bool, told: bool | None, default: bool
) -> Shaping | None:
    """None where the request goes on as it came. `told`: what the client says of usage; `default`: its organization.

    Raises AwsKeysMissing, RegionMissing.
    """
    keys = scope = None
    if provider is not None and provider.aws_service:
        keys = aws.keys_of(asked.headers, is_client_target=is_client_target)
        if keys is not None:
            region = aws.region_of(asked.headers, route_region=asked.region, host=target.origin.host)
            scope = Scope(region, provider.aws_service)
    asks = (default if told is None else told) and _may_ask(asked, provider)
    return Shaping(keys, scope, asks, told is True) if keys is not None or asks else None


def _may_ask(asked: Asked, provider: Provider | None) -> bool:
    """Whether this may be a streamed chat of OpenAI's kind whose usage comes only on request."""
    kind = asked.headers.get("content-type", "application/json")
    return (
        asked.method == "POST"
        and asked.path.endswith(_STREAMING)
        and (provider is None or provider.stream_usage == "on_request")
        and "json" in kind
        and asked.headers.get("content-encoding", "identity") == "identity"
    )


def with_usage(body: bytes, *, insists: bool) -> bytes:
    """The body of a stream with `stream_options.include_usage`; any other body as it is."""
    if b'"stream"' not in body:
        return body
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    if not isinstance(value, dict) or value.get("stream") is not True:
        return body
    if "stream_options" not in value:
        return body.rstrip()[:-1] + _ASKED
    options = value["stream_options"] or {}
    if not isinstance(options, dict) or options.get("include_usage") is True:
        return body
    if "include_usage" in options and not insists:
        return body
    try:
        return loose_json.dumps({**value, "stream_options": {**options, "include_usage": True}})
    except ValueError:  # nested too deeply to be written anew
        return body
