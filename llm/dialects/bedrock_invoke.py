"""Amazon Bedrock's InvokeModel for models with a shape of their own: Llama, Mistral, Titan, Cohere, AI21, DeepSeek.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html — Claude, Nova and whoever speaks like OpenAI
are read by their own dialects. Counts that stand only in headers or in a stream's closing metrics are read there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from llm import loose, openai_parts, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading, Usage

_PATHS: Final = ("/invoke", "/invoke-with-response-stream")
_LISTS: Final = ("outputs", "generations", "completions", "results", "choices")
"""Where several texts of one reply stand."""
_TEXTS: Final = ("generation", "outputText", "completion", "text", "response")
"""Keys of a text: in the body itself, or in an item of a list."""
_FINISHES: Final = ("stop_reason", "finish_reason", "completionReason", "finishReason")
_VECTORS: Final = ("embedding", "embeddings", "embeddingsByType")
_PICTURES: Final = ("images", "artifacts")
_INPUTS: Final = ("prompt_token_count", "inputTextTokenCount")
_OUTPUTS: Final = ("generation_token_count", "totalOutputTextTokenCount")
_SETTINGS: Final = (
    "max_gen_len", "max_tokens", "maxTokens", "max_tokens_to_sample", "temperature", "top_p", "topP", "p", "top_k", "k",
    "stop", "stop_sequences", "stopSequences", "textGenerationConfig", "imageGenerationConfig", "taskType",
    "input_type", "embedding_types", "dimensions", "normalize", "truncate", "tool_choice", "seed",
)


class _Said(NamedTuple):
    """One of a reply's texts."""

    text: str
    finish: str
    message: Mapping[str, Any]
    """The message of a chat's choice, {} elsewhere."""
TOLD_BY: Final = frozenset({*_LISTS, "generation", "outputText", *_VECTORS, *_PICTURES})


def score(call: Call) -> int:
    sample = call.sample
    if isinstance(choice := sample.get("choices"), list):
        return 103 if "stop_reason" in loose.first(choice) and "finish_reason" not in loose.first(choice) else 0
    is_invoked = call.path.endswith(_PATHS) and "/model/" in call.path
    if _is_own(sample) or (is_invoked and any(key in sample for key in (*_VECTORS, *_PICTURES))):
        return 97
    return 65 if is_invoked else 0


def _is_own(sample: Mapping[str, Any]) -> bool:
    """Whether only a model of Bedrock answers so."""
    if "generation" in sample and ("stop_reason" in sample or "prompt_token_count" in sample):
        return True
    if "outputText" in sample or "outputText" in loose.first(sample.get("results")):
        return True
    output, completion = loose.first(sample.get("outputs")), loose.first(sample.get("completions"))
    return {"text", "stop_reason"} <= output.keys() or ("data" in completion and "finishReason" in completion)


# --- folding ----------------------------------------------------------------------------------------------------------


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The reply a stream would have been: texts joined, of everything else the latest that says something."""
    body: dict[str, Any] = {}
    texts: dict[str, list[str]] = {}
    items: dict[str, dict[int, _Item]] = {}
    for event in events:
        for key, value in event.items() if isinstance(event, dict) else ():
            if key in _TEXTS and isinstance(value, str):
                texts.setdefault(key, []).append(value)
            elif key in _LISTS and isinstance(value, list):
                _take(value, items.setdefault(key, {}))
            elif value is not None:
                body[key] = value
    body.update({key: "".join(pieces) for key, pieces in texts.items()})
    body.update({key: [found[index].whole() for index in sorted(found)] for key, found in items.items()})
    return body


def _take(pieces: list[Any], items: dict[int, _Item]) -> None:
    for place, piece in enumerate(pieces):
        if isinstance(piece, dict):
            index = piece.get("index")
            items.setdefault(index if type(index) is int else place, _Item()).take(piece)


class _Item:
    """One of a list's texts while its pieces come in."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.texts: dict[str, list[str]] = {}
        self.message = openai_parts.Growing()
        self.has_message = False

    def take(self, piece: Mapping[str, Any]) -> None:
        for key, value in piece.items():
            if key in _TEXTS and isinstance(value, str):
                self.texts.setdefault(key, []).append(value)
            elif key in ("message", "delta") and isinstance(value, dict):
                self.message.take(value)
                self.has_message = True
            elif value is not None:
                self.fields[key] = value

    def whole(self) -> dict[str, Any]:
        texts = {key: "".join(pieces) for key, pieces in self.texts.items()}
        return {**self.fields, **texts, **({"message": self.message.whole()} if self.has_message else {})}


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return any(said.finish for said in _replies(body))


# --- reading ----------------------------------------------------------------------------------------------------------


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    said = next(_replies(body), _Said("", "", {}))
    calls = openai_parts.tool_calls(said.message)
    pictures = _pictures(body)
    return Reading(
        kind=_kind(call, body),
        response_model=loose.name(body.get("model")),
        usage=Usage(images=len(pictures)) if pictures else _usage(body),
        finish_reason=said.finish or None,
        provider_response_id=loose.name(body.get("id")) or loose.name(body.get("generation_id")),
        request_preview=preview.line(next(reversed(_asked(request)), "")),
        response_preview=_response_preview(body, said, calls),
        tool_calls=tuple(name for name, _ in calls),
    )


def _kind(call: Call, body: Mapping[str, Any]) -> str:
    if any(key in body for key in _VECTORS) or ("embed" in call.path and "/model/" in call.path):
        return "embedding"
    return "image" if _pictures(body) else "llm"


def _pictures(body: Mapping[str, Any]) -> list[Any]:
    return next((found for key in _PICTURES if (found := loose.listing(body.get(key)))), [])


def _usage(body: Mapping[str, Any]) -> Usage:
    if isinstance(sent := body.get("usage"), dict) and sent:
        return usage.openai(sent)
    sent = {key: body[key] for key in (*_INPUTS, *_OUTPUTS) if body.get(key) is not None}
    counts = [count for item in loose.mappings(body.get("results"))
              if (count := loose.count(item.get("tokenCount"))) is not None]
    output = usage.first(sent, _OUTPUTS)
    if output is None and counts:
        output = sum(counts)
        sent["tokenCount"] = output
    return Usage(input_tokens=usage.first(sent, _INPUTS), output_tokens=output, sent=sent) if sent else Usage()


def _replies(body: Mapping[str, Any]) -> Iterator[_Said]:
    """The texts of a reply, in order."""
    items = next((found for key in _LISTS if (found := loose.mappings(body.get(key)))), [body])
    for item in items:
        message = loose.mapping(item.get("message"))
        own = _text(item) or _text(loose.mapping(item.get("data")))
        yield _Said(openai_parts.content_text(message.get("content")) or own, _finish(item), message)


def _text(item: Mapping[str, Any]) -> str:
    return next((said for key in _TEXTS if (said := loose.text(item.get(key)))), "")


def _finish(item: Mapping[str, Any]) -> str:
    for key in _FINISHES:
        value = item.get(key)
        if isinstance(value, dict):
            value = value.get("reason")
        if isinstance(value, str) and value:
            return value
    return ""


def _asked(request: Mapping[str, Any]) -> list[str]:
    """The texts a request holds, the newest last."""
    if isinstance(messages := request.get("messages"), list):
        return [openai_parts.last_user_text(messages)]
    for key in ("prompt", "inputText", "texts", "message", "query"):
        value = request.get(key)
        items = value if isinstance(value, list) else [value]
        if texts := [item for item in items if isinstance(item, str) and item]:
            return texts
    task = loose.mapping(request.get("textToImageParams"))
    return [loose.text(task.get("text"))]


def _response_preview(body: Mapping[str, Any], said: _Said, calls: list[tuple[str, str]]) -> str:
    if said.text:
        return preview.line(said.text)
    if calls:
        return preview.tool_call(*calls[0])
    return _outline(body)


def _outline(body: Mapping[str, Any]) -> str:
    """How many vectors or pictures there are."""
    if pictures := _pictures(body):
        return f"{len(pictures)} image{'s' if len(pictures) > 1 else ''}"
    vectors = next((body[key] for key in _VECTORS if key in body), None)
    if isinstance(vectors, dict):
        vectors = next(iter(vectors.values()), None)
    if not isinstance(vectors, list) or not vectors:
        return ""
    number = len(vectors) if isinstance(vectors[0], list | dict) else 1
    return f"{number} vector{'s' if number > 1 else ''}"


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    body = loose.mapping(response)
    replies = [_reply(said) for said in _replies(body)]
    outline = _outline(body)
    if outline and not any(message.parts for message in replies):
        replies = [Message("assistant", (Part("data", text=outline),))]
    return Conversation(
        messages=tuple(_messages(request)),
        reply=tuple(message for message in replies if message.parts or message.finish_reason),
        tools=openai_parts.tools(request),
        settings={key: request[key] for key in _SETTINGS if key in request},
    )


def _messages(request: Mapping[str, Any]) -> list[Message]:
    if isinstance(messages := request.get("messages"), list):
        return [openai_parts.message(item) for item in messages if isinstance(item, dict)]
    return [Message("user", (Part("text", text=text),)) for text in _asked(request) if text]


def _reply(said: _Said) -> Message:
    if said.message:
        message = openai_parts.message({"role": "assistant", **said.message})
        return Message(message.role, message.parts, message.name, said.finish)
    return Message("assistant", (Part("text", text=said.text),) if said.text else (), finish_reason=said.finish)
