"""Replicate predictions (https://replicate.com/docs/reference/http): made, looked at until done, or streamed.

A prediction answered at once with `starting` tells its tokens only where it is looked at later; whoever looks is not
billed again, so only the call that made it counts, with what it had been told by then (`Prefer: wait`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import loose, preview
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Problem, Reading, Usage

_MODEL_PATH: Final = re.compile(r"/models/([^/]+/[^/]+)/predictions$")
_DEPLOYMENT_PATH: Final = re.compile(r"/deployments/([^/]+/[^/]+)/predictions$")
_ASKED: Final = ("prompt", "text", "message", "messages", "input")
_UNDONE: Final = frozenset({"starting", "processing"})
_EVENTS: Final = frozenset({"output", "logs", "error", "done"})
TOLD_BY: Final = frozenset({"urls"})


def score(call: Call) -> int:
    sample = call.sample
    if "status" in sample and "version" in sample and "urls" in sample and "input" in sample:
        return 100
    if sample.keys() == {"event", "data"} and loose.text(sample["event"]) in _EVENTS:
        return 85
    return 72 if call.provider == "replicate" and "/predictions" in call.path else 0


# --- folding ----------------------------------------------------------------------------------------------------------


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The prediction that a stream of `output` events was; the stream tells neither model nor counts."""
    body: dict[str, Any] = {}
    output: list[str] = []
    for event in events:
        if not isinstance(event, dict):
            output.append(str(event))
            continue
        name, data = event.get("event"), event.get("data")
        if name == "output":
            output.append(loose.text(data))
        elif name == "error":
            body["error"] = data
            body["status"] = "failed"
        elif name == "done":
            body.setdefault("status", _ending(data))
        elif "detail" in event and "event" not in event:
            body.update(error=event["detail"], status="failed")
        elif "status" in event or "output" in event:
            body.update(event)
    if output or "output" not in body:
        body["output"] = output
    return body


def _ending(data: Any) -> str:
    return "canceled" if "canceled" in loose.text(data) else "failed" if "error" in loose.text(data) else "succeeded"


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return loose.text(body.get("status")) not in {"", *_UNDONE}


# --- reading ----------------------------------------------------------------------------------------------------------


def read(call: Call) -> Reading:
    body = loose.mapping(call.response)
    asked = loose.mapping(call.request.get("input")) or loose.mapping(body.get("input"))
    kind = _kind(call)
    told = _usage(body)
    return Reading(
        kind=kind,
        request_model=_path_model(call),
        response_model=loose.name(body.get("model")),
        usage=told,
        finish_reason=loose.name(body.get("status")),
        provider_response_id=loose.name(body.get("id")),
        error_type="prediction_failed" if body.get("status") == "failed" else None,
        error_message=loose.name(body.get("error")),
        request_preview=preview.line(_asked(asked)),
        response_preview=preview.line(_said(body.get("output"))),
        problems=_problems(kind, told, body),
    )


def _kind(call: Call) -> str:
    """Who makes a prediction is billed; looking at one, cancelling it, or reading its stream runs no model anew."""
    is_made = call.method == "POST" and call.path.rstrip("/").endswith("/predictions")
    if is_made or not call.path:
        return "llm"
    return "retrieve" if "/predictions" in call.path or call.events else "other"


def _problems(kind: str, told: Usage, body: Mapping[str, Any]) -> tuple[Problem, ...]:
    if kind == "llm" and told.sent is None and loose.text(body.get("status")) in _UNDONE:
        return (Problem("usage_missing", "answered before the prediction was done; ask with Prefer: wait"),)
    return ()


def _path_model(call: Call) -> str | None:
    """`owner/name` of a model with an own address, or of a deployment."""
    found = _MODEL_PATH.search(call.path) or _DEPLOYMENT_PATH.search(call.path)
    version = loose.text(call.request.get("version"))
    if found is None and "/" in version:
        return version.partition(":")[0]
    return found[1] if found else None


def _usage(body: Mapping[str, Any]) -> Usage:
    """Language models count tokens; pictures are counted by what came out; the rest is billed by time."""
    sent = loose.mapping(body.get("metrics"))
    counts = Usage(
        input_tokens=loose.count(sent.get("input_token_count")),
        output_tokens=loose.count(sent.get("output_token_count")),
        images=loose.count(sent.get("image_count", sent.get("image_output_count"))),
        sent=sent,
    )
    return counts if sent else Usage()


def _asked(asked: Mapping[str, Any]) -> str:
    for key in _ASKED:
        if isinstance(text := asked.get(key), str) and text:
            return text
    return ""


def _said(output: Any) -> str:
    """Language models answer in pieces; whatever else is a list stands one a line."""
    if isinstance(output, str):
        return output
    texts = [item for item in loose.listing(output) if isinstance(item, str)]
    return ("\n" if any(_is_url(text) for text in texts) else "").join(texts)


def _is_url(text: str) -> bool:
    return text.startswith(("https://", "http://", "data:"))


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    body = loose.mapping(response)
    asked = loose.mapping(request.get("input"))
    system, prompt = loose.text(asked.get("system_prompt")), _asked(asked)
    messages = [Message("system", (Part("text", text=system),))] if system else []
    if prompt:
        messages.append(Message("user", (Part("text", text=prompt),)))
    status = loose.text(body.get("status"))
    parts = _parts(body.get("output"))
    return Conversation(
        messages=tuple(messages),
        reply=(Message("assistant", parts, finish_reason=status),) if parts or status else (),
        settings={key: value for key, value in asked.items() if key not in (*_ASKED, "system_prompt")},
    )


def _parts(output: Any) -> tuple[Part, ...]:
    items = output if isinstance(output, list) else [output]
    if items and all(isinstance(item, str) and _is_url(item) for item in items):
        return tuple(Part("file", url=item) for item in items)
    said = _said(output)
    if said or output is None or output == []:
        return (Part("text", text=said),) if said else ()
    return (Part("data", text=loose.pretty(output), name="output"),)
