"""IBM watsonx text generation (https://cloud.ibm.com/apidocs/watsonx-ai): counts stand in `results`, not in a usage.

In a stream the input is told once and the output as a running count: of both the largest holds, never the sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import loose, preview
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading, Usage

_COUNTS: Final = ("input_token_count", "generated_token_count")
_UNFINISHED: Final = "not_finished"
TOLD_BY: Final = frozenset({"results"})


def score(call: Call) -> int:
    first = loose.first(call.sample.get("results"))
    if "generated_text" in first or "generated_token_count" in first:
        return 100
    return 75 if "/text/generation" in call.path or "/generation/text" in call.path else 0


def fold(events: Sequence[Any]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    texts: list[str] = []
    result: dict[str, Any] = {}
    counts = dict.fromkeys(_COUNTS, 0)
    for event in events:
        if not isinstance(event, dict):
            continue
        body.update(event)
        for told in loose.mappings(event.get("results")):
            texts.append(loose.text(told.get("generated_text")))
            for key, most in counts.items():
                if told.get(key, most) != most:
                    counts[key] = max(loose.count(told[key]) or 0, most)
            result.update(told)
    if result:
        body["results"] = [{**result, **counts, "generated_text": "".join(texts)}]
    return body


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    reason = loose.first(body.get("results")).get("stop_reason")
    return reason is not None and reason != _UNFINISHED


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    result = loose.first(body.get("results"))
    counts = {key: result[key] for key in _COUNTS if key in result}
    return Reading(
        kind="llm" if call.method == "POST" else "other",
        request_model=loose.name(request.get("model_id")),
        response_model=loose.name(body.get("model_id")),
        usage=Usage(
            input_tokens=loose.count(counts.get("input_token_count")),
            output_tokens=loose.count(counts.get("generated_token_count")),
            sent=counts or None,
        ),
        finish_reason=loose.name(result.get("stop_reason")),
        request_preview=preview.line(loose.text(request.get("input"))),
        response_preview=preview.line(loose.text(result.get("generated_text"))),
    )


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    asked = loose.text(request.get("input"))
    replies = loose.mappings(loose.mapping(response).get("results"))
    return Conversation(
        messages=(Message("user", (Part("text", text=asked),)),) if asked else (),
        reply=tuple(
            Message("assistant", (Part("text", text=loose.text(item.get("generated_text"))),),
                    finish_reason=loose.text(item.get("stop_reason")))
            for item in replies
        ),
        settings=loose.mapping(request.get("parameters")),
    )
