"""Hugging Face's Text Generation Inference in its own words (/generate, /generate_stream, and `/` of an endpoint).

https://huggingface.co/docs/text-generation-inference — its OpenAI-shaped door is read as such. It tells how many tokens
came out; of those that went in only newer versions do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import loose, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading, Usage

_OF_TOKEN: Final = frozenset({"token", "index", "top_tokens"})
_ASKED: Final = ("input_length", "prompt_tokens")
TOLD_BY: Final = frozenset({"generated_text", "token"})


def score(call: Call) -> int:
    sample = call.sample or loose.first(call.response)
    if "generated_text" in sample and ("token" in sample or "details" in sample or isinstance(call.response, list)):
        return 96
    if isinstance(token := sample.get("token"), dict) and "logprob" in token:
        return 95
    if "generated_text" in sample and "inputs" in call.request:
        return 90
    return 72 if call.path.endswith(("/generate_stream", "/generate")) and "inputs" in call.request else 0


# --- folding ----------------------------------------------------------------------------------------------------------


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The reply a stream would have been; its last event has the whole text, a cut one is pieced together."""
    body: dict[str, Any] = {}
    pieces: list[str] = []
    for event in events:
        if isinstance(event, dict):
            token = loose.mapping(event.get("token"))
            if not token.get("special"):
                pieces.append(loose.text(token.get("text")))
            told = len(event) - [*event.values()].count(None) - (event.get("index") is not None)
            if told > 1 or not token:  # nearly all are an index and a token
                body.update({key: value for key, value in event.items() if key not in _OF_TOKEN and value is not None})
    if not isinstance(body.get("generated_text"), str):
        body["generated_text"] = "".join(pieces)
    return body


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return any(isinstance(event, dict) and event.get("generated_text") is not None for event in events[-3:])


# --- reading ----------------------------------------------------------------------------------------------------------


def read(call: Call) -> Reading:
    body = _whole(call.response)
    details = loose.mapping(body.get("details"))
    return Reading(
        request_model=loose.name(call.request.get("model")),
        usage=_usage(details),
        finish_reason=loose.name(details.get("finish_reason")),
        request_preview=preview.line(loose.text(call.request.get("inputs"))),
        response_preview=preview.line(loose.text(body.get("generated_text"))),
    )


def _whole(response: Any) -> Mapping[str, Any]:
    """The reply, which at an endpoint's root is a list of one."""
    return loose.first(response) if isinstance(response, list) else loose.mapping(response)


def _usage(details: Mapping[str, Any]) -> Usage:
    sent = {key: details[key] for key in ("generated_tokens", *_ASKED) if details.get(key) is not None}
    read = loose.listing(details.get("prefill"))
    asked = usage.first(sent, _ASKED)
    if not sent:
        return Usage()
    return Usage(
        input_tokens=asked if asked is not None else len(read) or None,
        output_tokens=loose.count(sent.get("generated_tokens")),
        sent=sent,
    )


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    body = _whole(response)
    asked, said = loose.text(request.get("inputs")), loose.text(body.get("generated_text"))
    finish = loose.text(loose.mapping(body.get("details")).get("finish_reason"))
    reply = Message("assistant", (Part("text", text=said),), finish_reason=finish)
    return Conversation(
        messages=(Message("user", (Part("text", text=asked),)),) if asked else (),
        reply=(reply,) if said or finish else (),
        settings=loose.mapping(request.get("parameters")),
    )
