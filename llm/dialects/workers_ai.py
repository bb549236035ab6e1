"""Cloudflare Workers AI in its own words (https://developers.cloudflare.com/workers-ai): `response`, `usage`, tools.

The `result` envelope of its REST API is taken off before; what stands in it may also be OpenAI's shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import loose, openai_parts, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading, Usage

_RUN: Final = ("/ai/run/", "/workers-ai/")
_SETTINGS: Final = ("max_tokens", "temperature", "top_p", "top_k", "seed", "stream", "response_format", "lora", "raw")
TOLD_BY: Final = frozenset[str]()


def score(call: Call) -> int:
    sample = call.sample
    is_run = any(part in call.path for part in _RUN) and "/v1/" not in call.path.partition("/workers-ai/")[2]
    if "response" in sample and "done" not in sample and (is_run or {"usage", "tool_calls", "p"} & sample.keys()):
        return 91
    return 68 if is_run and call.method == "POST" else 0


# --- folding ----------------------------------------------------------------------------------------------------------


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The reply a stream would have been; each event restates usage so far, and pads itself with `p`."""
    body: dict[str, Any] = {}
    pieces: list[str] = []
    calls: list[Any] = []
    for event in events:
        if isinstance(event, dict):
            pieces.append(loose.text(event.get("response")))
            calls += loose.listing(event.get("tool_calls"))
            body.update({key: value for key, value in event.items()
                         if key not in ("response", "tool_calls", "p") and value is not None})
    body["response"] = "".join(pieces)
    if calls:
        body["tool_calls"] = calls
    return body


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    """Only [DONE] ends such a stream."""
    return False


# --- reading ----------------------------------------------------------------------------------------------------------


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    sent = body.get("usage")
    calls = _calls(body)
    said = loose.text(body.get("response")) or loose.text(body.get("text"))
    return Reading(
        kind=_kind(body),
        request_model=loose.name(request.get("model")) or _path_model(call.path),
        usage=usage.openai(sent) if isinstance(sent, dict) and sent else Usage(),
        request_preview=preview.line(_last_asked(request)),
        response_preview=preview.line(said) if said or not calls else preview.tool_call(*calls[0]),
        tool_calls=tuple(name for name, _ in calls if name),
    )


def _kind(body: Mapping[str, Any]) -> str:
    if "shape" in body and "data" in body:
        return "embedding"
    if "image" in body:
        return "image"
    return "audio" if "word_count" in body or "audio" in body else "llm"


def _path_model(path: str) -> str | None:
    """`@cf/meta/llama-3.1-8b-instruct` of `…/ai/run/@cf/meta/llama-3.1-8b-instruct`."""
    found = next((rest for part in _RUN if (rest := path.partition(part)[2])), "")
    return found.strip("/") or None


def _calls(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = loose.mappings(body.get("tool_calls"))
    functions = [loose.mapping(item.get("function")) or item for item in found]
    return [(loose.text(each.get("name")), _as_text(each.get("arguments"))) for each in functions]


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else loose.compact(value)


def _last_asked(request: Mapping[str, Any]) -> str:
    if isinstance(messages := request.get("messages"), list):
        return openai_parts.last_user_text(messages)
    texts = request.get("text")
    return loose.text(request.get("prompt")) or loose.text(texts[0] if isinstance(texts, list) and texts else texts)


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    body = loose.mapping(response)
    said = body.get("response")
    text = said if isinstance(said, str) else loose.pretty(said) if said is not None else ""
    parts = [Part("text", text=text)] if text else []
    parts += [Part("tool_call", text=arguments, name=name) for name, arguments in _calls(body)]
    return Conversation(
        messages=tuple(_messages(request)),
        reply=(Message("assistant", tuple(parts)),) if parts else (),
        tools=openai_parts.tools(request),
        settings={key: request[key] for key in _SETTINGS if key in request},
    )


def _messages(request: Mapping[str, Any]) -> list[Message]:
    if isinstance(messages := request.get("messages"), list):
        return [openai_parts.message(item) for item in messages if isinstance(item, dict)]
    asked = _last_asked(request)
    return [Message("user", (Part("text", text=asked),))] if asked else []
