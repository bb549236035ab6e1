"""Bedrock's InvokeModel of a Claude: Anthropic's own body and events, the model named by the path."""

from __future__ import annotations

import re
from collections.abc import Iterator

from helicone_site.demo.provider import anthropic_messages
from helicone_site.demo.provider.anthropic_messages import question, reply_body
from helicone_site.demo.provider.bedrock_converse import LATENCY_MS, own_error
from helicone_site.demo.provider.reply import Event, Json, Reply

__all__ = ["events", "own_error", "own_name", "question", "reply_body"]

_WRAPPED = re.compile(r"^(?:[a-z-]+\.)?anthropic\.|-v\d+(?::\d+)?$")


def own_name(model: str) -> str:
    """The model as Anthropic calls it: without region, vendor and version."""
    return _WRAPPED.sub("", model)


def events(reply: Reply, body: Json) -> Iterator[Event]:
    """Anthropic's events; the last brings Bedrock's own counts."""
    for name, event in anthropic_messages.events(reply, body):
        last = {"amazon-bedrock-invocationMetrics": _metrics(reply)} if name == "message_stop" else {}
        yield name, event | last


def _metrics(reply: Reply) -> Json:
    return {
        "inputTokenCount": reply.input_tokens,
        "outputTokenCount": reply.output_tokens,
        "invocationLatency": LATENCY_MS,
        "firstByteLatency": LATENCY_MS // 2,
    }
