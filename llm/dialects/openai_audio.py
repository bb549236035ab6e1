"""OpenAI audio (https://platform.openai.com/docs/api-reference/audio): text spoken, speech written down or translated.

Speech is charged by the character, hearing by the minute or by tokens, told in `usage` or as `duration`. Replies are
sound, JSON, plain text, subtitles or an event stream; Groq, Mistral and others speak the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lib.frozen import replace
from llm import loose, multipart, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading, Usage

_SETTINGS: Final = (
    "voice", "response_format", "speed", "instructions", "stream_format", "language", "temperature",
    "timestamp_granularities", "include", "chunking_strategy", "diarize", "stream",
)
_PATHS: Final = ("/audio/speech", "/audio/transcriptions", "/audio/translations")
_EVENTS: Final = ("speech.audio.", "transcript.text.", "transcription.")
TOLD_BY: Final = frozenset({"type"})


def score(call: Call) -> int:
    if loose.text(call.sample.get("type")).startswith(_EVENTS):
        return 100
    return 85 if call.path.endswith(_PATHS) else 0


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The transcript a stream would have been; of speech its sound in base64 pieces."""
    body: dict[str, Any] = {}
    texts: list[str] = []
    segments: list[dict[str, Any]] = []
    sound: list[Any] = []
    for event in events:
        if not isinstance(event, dict):
            continue
        kind = loose.text(event.get("type"))
        if kind.endswith("text.delta"):
            texts.append(loose.text(event.get("delta")) or loose.text(event.get("text")))
        elif kind.endswith(".segment"):
            segments.append({key: value for key, value in event.items() if key != "type"})
        elif kind == "speech.audio.delta":
            sound.append(event.get("audio"))
        elif kind == "error" or event.get("error"):
            body["error"] = event.get("error") or {key: value for key, value in event.items() if key != "type"}
        else:
            body.update({key: value for key, value in event.items() if key != "type" and value is not None})
    if texts and not body.get("text"):
        body["text"] = "".join(texts)
    return {**body, **({"segments": segments} if segments else {}), **({"audio": sound} if sound else {})}


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return any(isinstance(event, dict) and loose.text(event.get("type")).endswith(".done") for event in events[-3:])


# --- reading ----------------------------------------------------------------------------------------------------------


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    sent = body.get("usage")
    spoken = loose.text(request.get("input")) if call.path.endswith("/speech") else ""
    return Reading(
        kind="audio" if call.method == "POST" else "other",
        request_model=loose.name(request.get("model")),
        response_model=loose.name(body.get("model")),
        usage=_usage(body, sent if isinstance(sent, dict) else {}, characters=len(spoken) if call.status < 400 else 0),
        provider_response_id=loose.name(loose.mapping(body.get("x_groq")).get("id")) or loose.name(body.get("id")),
        provider_cost_nano_usd=usage.declared_cost(sent) if isinstance(sent, dict) else None,
        request_preview=preview.line(spoken or loose.text(request.get("prompt")) or _file(request)),
        response_preview=preview.line(loose.text(body.get("text")) or call.text or _sound(call)),
    )


def _usage(body: Mapping[str, Any], sent: Mapping[str, Any], *, characters: int) -> Usage:
    told = usage.openai(sent) if sent else Usage()
    heard = told.audio_ms if told.audio_ms is not None else usage.milliseconds(body.get("duration"))
    return replace(told, audio_ms=heard, characters=characters or None)


def _file(request: Mapping[str, Any]) -> str:
    return loose.text(loose.mapping(request.get("file")).get("filename"))


def _sound(call: Call) -> str:
    kind = call.response_headers.get("content-type", "")
    is_sound = call.status < 400 and kind.startswith(("audio/", "application/octet-stream"))
    return f"sound ({kind.partition(';')[0]})" if is_sound else ""


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    body = loose.mapping(response)
    texts = [Part("text", text=loose.text(request[key])) for key in ("input", "prompt") if request.get(key)]
    asked = (*texts, *multipart.parts(request.get("file")))
    said = loose.text(body.get("text"))
    return Conversation(
        messages=(Message("user", asked),) if asked else (),
        reply=(Message("assistant", (Part("text", text=said),)),) if said else (),
        settings={key: request[key] for key in _SETTINGS if key in request},
    )
