"""OpenAI's older completions (https://platform.openai.com/docs/api-reference/completions): text in, text out.

vLLM, Together, Fireworks and others serve open models this way still.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import loose, openai_parts, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading, Usage

_SETTINGS: Final = (
    "max_tokens", "temperature", "top_p", "n", "best_of", "stop", "seed", "presence_penalty", "frequency_penalty",
    "logit_bias", "logprobs", "echo", "suffix", "stream",
)
TOLD_BY: Final = frozenset({"object", "choices"})


def score(call: Call) -> int:
    sample = call.sample
    choice = loose.first(sample.get("choices"))
    is_told = "text" in choice and not {"message", "delta"} & choice.keys()
    if sample.get("object") == "text_completion":
        return 105 if is_told or not choice else 0
    if is_told:
        return 95
    return 75 if call.path.endswith("/completions") and not call.path.endswith("/chat/completions") else 0


# --- folding ----------------------------------------------------------------------------------------------------------


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The completion a stream would have been: texts joined by choice, usage the last one told."""
    latest: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    texts: dict[int, list[str]] = {}
    for chunk in events:
        if isinstance(chunk, dict):
            latest.update(chunk)
            for choice in loose.mappings(chunk.get("choices")):
                number = choice["index"] if type(choice.get("index")) is int else 0
                if number not in choices:
                    choices[number], texts[number] = {"index": number, "finish_reason": None}, []
                texts[number].append(loose.text(choice.get("text")))
                told = len(choice) - [*choice.values()].count(None) - (choice.get("index") is not None)
                if told > 1 or choice.get("text") is None:  # nearly all are an index and a text
                    _take(choices[number], choice)
    body = openai_parts.tops(latest, events)
    body["choices"] = [{**choices[number], "text": "".join(texts[number])} for number in sorted(choices)]
    return body


def _take(known: dict[str, Any], choice: Mapping[str, Any]) -> None:
    for key, value in choice.items():
        if key == "logprobs" and isinstance(value, dict):
            openai_parts.extend_lists(known.setdefault(key, {}), value)
        elif value is not None and key not in ("index", "text", "logprobs"):
            known[key] = value


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return any(choice.get("finish_reason") is not None for choice in loose.mappings(body.get("choices")))


# --- reading ----------------------------------------------------------------------------------------------------------


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    choice = loose.first(body.get("choices"))
    sent = usage.told_by(body)
    return Reading(
        request_model=loose.name(request.get("model")),
        response_model=loose.name(body.get("model")),
        usage=usage.openai(sent) if sent is not None else Usage(),
        finish_reason=loose.name(choice.get("finish_reason")),
        provider_response_id=loose.name(body.get("id")),
        service_tier=loose.name(body.get("service_tier")),
        provider_cost_nano_usd=usage.declared_cost(sent) if sent is not None else None,
        end_user_id=loose.name(request.get("user")),
        request_preview=preview.line(next(iter(_prompts(request)), "")),
        response_preview=preview.line(loose.text(choice.get("text"))),
    )


def _prompts(request: Mapping[str, Any]) -> list[str]:
    """The texts to go on from; prompts of token numbers are left out."""
    told = request.get("prompt")
    return [text for text in (told if isinstance(told, list) else [told]) if isinstance(text, str) and text]


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    return Conversation(
        messages=tuple(Message("user", (Part("text", text=text),)) for text in _prompts(request)),
        reply=tuple(_reply(choice) for choice in loose.mappings(loose.mapping(response).get("choices"))),
        settings={key: request[key] for key in _SETTINGS if key in request},
    )


def _reply(choice: Mapping[str, Any]) -> Message:
    finish = loose.text(choice.get("finish_reason"))
    return Message("assistant", (Part("text", text=loose.text(choice.get("text"))),), finish_reason=finish)
