"""What is changed of a request on its way, where something is: its signature, and a stream's token counts asked for.

Other requests are not looked into: their bodies pass unread, as they come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

import orjson

from gateway_app import aws
from gateway_app.signing import Keys, Request, Scope
from gateway_app.targets import Target
from lib import loose_json
from lib.clock import now
from llm.providers import Provider

LONGEST_BODY: Final = 32 * 2**20
"""Bytes of a body that is read whole before it is sent on. AWS takes 25 MB."""
_ASKED: Final = b',"stream_options":{"include_usage":true}}'
_SURE: Final = frozenset({"openai", "azure", "groq", "deepseek", "openrouter"})
"""Who take the question for certain, so that it may be asked unbidden, for a budget."""
_AZURE_SINCE: Final = "2024-09"
"""`api-version`s before it know no `stream_options`; the API without one does."""
_STREAMING: Final = ("/chat/completions", "/completions")


class Asked(NamedTuple):
    """A request as it came, but for its body. `headers` lower-case; `path` as it is sent on."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    region: str = ""


@dataclass(slots=True)
class Shaping:
    """What will be done to one request once its body is there."""

    keys: Keys | None = None
    scope: Scope | None = None
    asks_usage: bool = False
    insists: bool = False
    """Ask even where the body says no: its client wants to see them."""
    has_asked: bool = False
    """The body that went out asks, and did not as it came."""

    @property
    def needs_body(self) -> bool:
        """Whether the body must be there whole; else one too long for that goes on as it came."""
        return self.keys is not None or self.insists

    @property
    def hides_usage(self) -> bool:
        """Whether token counts were asked for of which the client said nothing."""
        return self.has_asked and not self.insists

    def body(self, body: bytes) -> bytes:
        if not self.asks_usage:
            return body
        asking = with_usage(body, insists=self.insists)
        self.has_asked = asking is not body
        return asking

    def credentials(
        self, asked: Asked, host: str, sent: bytes, presented: Mapping[str, str | None] | None
    ) -> Mapping[str, str | None] | None:
        """Headers to send otherwise than they came (None: not at all); `sent` is the body that goes out."""
        if self.keys is None or self.scope is None:
            return presented
        request = Request(asked.method, host, asked.path, asked.query, asked.headers, sent)
        return {**(presented or {}), **aws.signed(request, self.keys, self.scope, at=now())}


def plan(
    asked: Asked, provider: Provider | None, target: Target, *, is_client_target: bool, told: bool | None,
    default: bool, has_money: bool = False,
) -> Shaping | None:  # fmt: skip
    """None where the request goes on as it came. `told`: what the client says of usage; `default`: its organization;
    `has_money`: what the call costs counts for a budget.

    Raises AwsKeysMissing, RegionMissing.
    """
    keys = scope = None
    if provider is not None and provider.aws_service:
        keys = aws.keys_of(asked.headers, is_client_target=is_client_target)
        if keys is not None:
            region = aws.region_of(asked.headers, route_region=asked.region, host=target.origin.host)
            scope = Scope(region, provider.aws_service)
    default = default or (has_money and _is_sure(asked, provider))
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


def _is_sure(asked: Asked, provider: Provider | None) -> bool:
    if provider is None or provider.slug not in _SURE:
        return False
    version = dict(parse_qsl(asked.query)).get("api-version", "") if provider.slug == "azure" else ""
    return not version or version >= _AZURE_SINCE  # `preview` and `latest` too


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
