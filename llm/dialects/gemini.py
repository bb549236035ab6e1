"""Gemini's generateContent and streamGenerateContent, on the Gemini API and on Vertex, and countTokens apart.

https://ai.google.dev/api/generate-content — streams are SSE or one JSON array; every chunk tells the usage so far, so
the latest stands. The model is in the address; `thoughtsTokenCount` comes on top of `candidatesTokenCount`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from llm import gemini_parts, loose, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading, Usage
from llm.gemini_parts import at

_PATHS: Final = (":generatecontent", ":streamgeneratecontent", ":rawgeneratecontent")
_COUNT_PATH: Final = ":counttokens"
_USAGES: Final = frozenset({"usageMetadata", "usage_metadata"})
_SETTINGS: Final = ("toolConfig", "safetySettings", "cachedContent", "labels", "serviceTier", "modelArmorConfig")
_TUNED: Final = re.compile(r"/(?:tunedmodels|endpoints)/([^/:]+):[a-z]+$")
_VERSION: Final = re.compile(r"gemini-(\d+)")
TOLD_BY: Final = frozenset({"candidates", "promptFeedback", "prompt_feedback", "response"})


def score(call: Call) -> int:
    sample = _inner(call.sample)
    if isinstance(sample.get("candidates"), list):
        return 95
    if "promptFeedback" in sample or "prompt_feedback" in sample:
        return 95
    if call.path.endswith((*_PATHS, _COUNT_PATH)):
        return 85
    if "modelVersion" in sample and "usageMetadata" in sample:
        return 80
    return 30 if "contents" in call.request and "cachedcontents" not in call.path else 0


def _inner(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The reply itself where an envelope is around it (`v1internal` of Google's command line puts one)."""
    inner = body.get("response")
    return inner if isinstance(inner, dict) and "candidates" not in body else body


# --- folding ----------------------------------------------------------------------------------------------------------


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The reply a stream would have been: candidates by index, their text joined, the latest of everything else."""
    told = [_inner(event) if "response" in event else event for event in events if type(event) is dict]
    latest: dict[str, Any] = {}
    candidates: dict[int, list[dict[str, Any]]] = {}
    for body in told:
        latest.update(body)
        listed = body.get("candidates")
        for item in listed if type(listed) is list else ():
            if type(item) is dict:
                index = item.get("index")
                candidates.setdefault(index if type(index) is int else 0, []).append(item)
    latest.pop("candidates", None)
    whole = {key: said for key, value in latest.items() if (said := _said(key, value, told)) is not None}
    if candidates:
        whole["candidates"] = [_Candidate().whole(index, candidates[index]) for index in sorted(candidates)]
    return whole


def _said(key: str, latest: Any, told: Sequence[Mapping[str, Any]]) -> Any:
    """What a stream says under a key: the latest that is no null; of usage all that was told, later over earlier."""
    if key in _USAGES:
        return _overlaid([body[key] for body in told if body.get(key) is not None])
    if latest is None:
        return next((body[key] for body in reversed(told) if body.get(key) is not None), None)
    return latest


def _overlaid(told: Sequence[Any]) -> Any:
    known: Any = None
    for later in told:
        if type(known) is dict and type(later) is dict:
            known.update(later)
        else:
            known = dict(later) if type(later) is dict else later
    return known


class _Candidate:
    """One candidate, put together from the items of its chunks."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.parts: list[dict[str, Any]] = []
        self.pieces: list[str] = []
        """Text of the last part, as long as it is one that goes on."""

    def whole(self, index: int, items: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        role: Any = None
        for item in items:
            content = item.get("content")
            if type(content) is dict:
                role = content.get("role") or role
            for part in gemini_parts.parts(content):
                text = part.get("text")
                if self.pieces and len(part) == 1 and type(text) is str and "thought" not in self.parts[-1]:
                    self.pieces.append(text)  # nearly all parts
                else:
                    self._part(part, text)
            if len(item) > 2 or "index" not in item or "content" not in item:
                self._facts(item)
        self._close()
        return {"content": {"role": role or "model", "parts": self.parts}, **self.fields, "index": index}

    def _facts(self, item: Mapping[str, Any]) -> None:
        for key, value in item.items():
            if key not in ("content", "index") and value is not None:
                self.fields[key] = _grown(self.fields[key], value) if key in self.fields else value

    def _part(self, part: Mapping[str, Any], text: Any) -> None:
        if not isinstance(text, str) or not part.keys() <= _TEXT_KEYS:
            if not (self.parts and _continue_call(self.parts[-1], part)):
                self._close()
                self.parts.append(dict(part))
        elif self.pieces and bool(self.parts[-1].get("thought")) == bool(part.get("thought")):
            self.pieces.append(text)
            self.parts[-1].update(part)
        elif text or len(part) > 1:
            self._close()
            self.parts.append(dict(part))
            self.pieces = [text]

    def _close(self) -> None:
        if self.pieces:
            self.parts[-1]["text"] = "".join(self.pieces)
            self.pieces = []


_TEXT_KEYS: Final = frozenset({"text", "thought", "thoughtSignature", "thought_signature"})


def _grown(known: Any, later: Any) -> Any:
    """A fact after a later chunk told it again: lists go on (or are told whole again), objects key by key."""
    if isinstance(known, dict) and isinstance(later, dict):
        return {**known, **{key: _grown(known[key], value) if key in known else value for key, value in later.items()}}
    if isinstance(known, list) and isinstance(later, list):
        return later if later[: len(known)] == known else [*known, *later]
    return later


def _continue_call(last: dict[str, Any], part: Mapping[str, Any]) -> bool:
    """Whether `part` is a further piece of the function call `last` (Vertex streams arguments by their JSON path)."""
    known, piece = last.get("functionCall"), part.get("functionCall")
    if not isinstance(piece, dict) or not isinstance(known, dict) or not known.get("willContinue"):
        return False
    merged = {**known, **{key: value for key, value in piece.items() if key != "partialArgs"}}
    merged["partialArgs"] = [*loose.listing(known.get("partialArgs")), *loose.listing(piece.get("partialArgs"))]
    if not piece.get("willContinue"):
        merged.pop("willContinue", None)
        merged["args"] = {**loose.mapping(known.get("args")), **_arguments(merged.pop("partialArgs"))}
    last["functionCall"] = merged
    return True


def _arguments(pieces: list[Any]) -> dict[str, Any]:
    """Arguments by name from streamed pieces: texts are joined, of other values the last stands."""
    found: dict[str, Any] = {}
    for piece in loose.mappings(pieces):
        name = loose.text(piece.get("jsonPath")).removeprefix("$").removeprefix(".")
        value = next((piece[key] for key in ("stringValue", "numberValue", "boolValue") if key in piece), None)
        is_text = isinstance(value, str) and isinstance(found.get(name), str)
        found[name] = found[name] + value if is_text else value
    return found


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return bool(_blocked(body)) or any(at(item, "finishReason") for item in loose.mappings(body.get("candidates")))


# --- reading ----------------------------------------------------------------------------------------------------------


def read(call: Call) -> Reading:
    request, body = _asked(call.request), _inner(loose.mapping(call.response))
    if call.path.endswith(_COUNT_PATH):
        return _count(call, request, body)
    candidates = loose.mappings(body.get("candidates"))
    first: Mapping[str, Any] = candidates[0] if candidates else {}
    called = gemini_parts.calls(first.get("content"))
    sent = at(body, "usageMetadata")
    reply_model = loose.name(at(body, "modelVersion"))
    return Reading(
        kind="llm" if call.method == "POST" else "other",
        request_model=_request_model(call),
        response_model=reply_model,
        usage=_usage(sent, candidates, reply_model) if isinstance(sent, dict) else Usage(),
        finish_reason=_finish_reason(first, body),
        provider_response_id=loose.name(at(body, "responseId")),
        service_tier=loose.name(at(loose.mapping(sent), "serviceTier")),
        request_preview=preview.line(gemini_parts.last_user_text(request.get("contents"))),
        response_preview=_response_preview(first, called, _blocked(body)),
        tool_calls=tuple(name for name, _ in called),
    )


def _asked(request: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = request.get("request")
    return inner if isinstance(inner, dict) and "contents" not in request else request


def _request_model(call: Call) -> str | None:
    """What the body names, or a tuned model of the address; `llm.parse` reads the others from it."""
    if named := loose.name(call.request.get("model")):
        return named
    tuned = _TUNED.search(call.path)
    return tuned[1] if tuned else None


def _usage(sent: Mapping[str, Any], candidates: list[dict[str, Any]], model: str | None) -> Usage:
    return usage.google(sent, web_searches=_searches(candidates, model))


def _searches(candidates: list[dict[str, Any]], model: str | None) -> int | None:
    """Searches as they are charged: up to Gemini 2.5 a grounded prompt is one, since Gemini 3 every query is."""
    told = [at(found, "webSearchQueries") for item in candidates
            if isinstance(found := at(item, "groundingMetadata"), dict)]
    queries = {query for each in told for query in loose.listing(each) if isinstance(query, str) and query}
    version = _VERSION.search(model or "")
    if not queries:
        return None
    return 1 if version and int(version[1]) < 3 else len(queries)


def _finish_reason(candidate: Mapping[str, Any], body: Mapping[str, Any]) -> str | None:
    """As sent; a number where enums are asked for as numbers."""
    reason = at(candidate, "finishReason")
    if type(reason) is int:
        return str(reason)
    return loose.name(reason) or _blocked(body) or None


def _blocked(body: Mapping[str, Any]) -> str:
    """Why a prompt was not answered at all."""
    reason = at(loose.mapping(at(body, "promptFeedback")), "blockReason")
    return str(reason) if reason and isinstance(reason, str | int) else ""


def _response_preview(candidate: Mapping[str, Any], called: list[tuple[str, str]], blocked: str) -> str:
    content = candidate.get("content")
    if said := gemini_parts.said(content):
        return preview.line(said)
    if called:
        return preview.tool_call(*called[0])
    media = [part.media_type for part in gemini_parts.shown(content) if part.media_type]
    return preview.line(", ".join(media)) or (f"blocked: {blocked}" if blocked else "")


def _count(call: Call, request: Mapping[str, Any], body: Mapping[str, Any]) -> Reading:
    counted = loose.count(at(body, "totalTokens"))
    inner = loose.mapping(request.get("generateContentRequest")) or request
    sent = {key: value for key, value in body.items() if key != "error"}
    return Reading(
        kind="count",
        request_model=_request_model(call),
        usage=Usage(input_tokens=counted, sent=sent) if counted is not None else Usage(),
        request_preview=preview.line(gemini_parts.last_user_text(inner.get("contents"))),
        response_preview="" if counted is None else f"{counted} tokens",
    )


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    asked, body = _asked(request), _inner(loose.mapping(response))
    system = tuple(gemini_parts.shown(at(asked, "systemInstruction")))
    messages = [Message("system", system)] if system else []
    messages += [gemini_parts.message(content) for content in gemini_parts.contents(asked.get("contents"))]
    config = at(asked, "generationConfig")
    settings = {name: value for name in _SETTINGS if (value := at(asked, name)) is not None}
    return Conversation(
        messages=tuple(messages),
        reply=_reply(body),
        tools=gemini_parts.tools(asked.get("tools")),
        settings={**loose.mapping(config), **settings},
    )


def _reply(body: Mapping[str, Any]) -> tuple[Message, ...]:
    candidates = loose.mappings(body.get("candidates"))
    if not candidates and (blocked := _blocked(body)):
        why = loose.text(at(loose.mapping(at(body, "promptFeedback")), "blockReasonMessage"))
        return (Message("assistant", (Part("refusal", text=why or blocked),), finish_reason=blocked),)
    return tuple(_candidate(item) for item in candidates)


_NOTES: Final = ("groundingMetadata", "citationMetadata", "urlContextMetadata")
_REASONS: Final = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER"}


def _candidate(item: Mapping[str, Any]) -> Message:
    reason = at(item, "finishReason")
    reason = _REASONS.get(reason, str(reason)) if type(reason) is int else loose.text(reason)
    parts = list(gemini_parts.shown(item.get("content")))
    why = loose.text(at(item, "finishMessage"))
    if why and reason != "STOP":
        parts.append(Part("refusal", text=why))
    parts += [Part("data", text=loose.pretty(found), name=name) for name in _NOTES if (found := at(item, name))]
    return Message("assistant", tuple(parts), finish_reason=reason)
