"""From bytes to facts: one call, never raising.

    Exchange ▸ frames.unwrap (both sides) ▸ dialects.choose ▸ fold ▸ read ▸ Reading
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

import orjson

from lib.frozen import replace
from llm import bedrock, dialects, errors, estimate, frames, loose, multipart, preview, usage, usage_keys
from llm.call import Call, Dialect
from llm.exchange import MODEL_KINDS, Exchange, Problem, Reading, Usage
from llm.frames import Payload

_KINDS_BY_PATH: Final = (
    ("embeddings", "embedding"), ("/embed", "embedding"), ("/feature-extraction", "embedding"), ("/images/", "image"),
    ("/audio/", "audio"), ("/moderations", "moderation"), ("/rerank", "rerank"), ("/count_tokens", "count"),
    ("counttokens", "count"),
)
_NO_MODEL: Final = re.compile(
    r"/(?:batches|files|uploads|fine_tuning|fine-tunes|vector_stores|conversations|assistants|evals|containers|realtime"
    r"|cachedcontents|tokenize|detokenize)(?:/|$)"
)
"""Things kept at a provider, and settings: what is done to them runs no model."""
_SPAN_TYPE: Final = "application/vnd.otlp.span+json"
_FORMS: Final = ("multipart/", "application/x-www-form-urlencoded")
_MOST_KEYS: Final = 10
_SPOKEN: Final = ("messages", "prompt", "input", "contents", "inputs", "inputText")
PATH_MODEL: Final = re.compile(
    r"/(?:engines|deployments|models?|serving-endpoints|endpoints(?=/[^/]+/invocations))/"
    r"(?!(?:chat|completions|embeddings|images|responses|messages)(?:/|$))([^/]+?)(?::[a-z]+)?(?:/|$)", re.IGNORECASE
)
"""Azure and Databricks also have `/models/chat/completions`, which names none. An endpoint of SageMaker's stands for
the model behind it."""
_HUB_MODEL: Final = re.compile(r"/models/([^/]+/[^/]+)")
"""Hugging Face's are called `owner/name`."""
_TOLD_BY_TOTAL: Final = frozenset({"embedding", "rerank", "moderation"})
"""Kinds whose tokens are all input, so that a total alone tells them."""


def parse(exchange: Exchange) -> Reading:
    """What the bytes of an exchange say. What cannot be read is named among `problems`."""
    try:
        reading = _span(exchange) or _parse(exchange)
        return reading if reading.span else estimate.beside(exchange, reading)
    except Exception as error:  # the bytes are a stranger's: whatever they trip over, the exchange is kept
        return Reading(problems=(Problem("unreadable", f"{type(error).__name__}: {error}"[:200]),))


def is_answer(exchange: Exchange) -> bool:
    """Whether a reply under a good status is one, and whole: a document that can be read, a stream to its own end, and
    no error in either. What nobody can read is taken for one."""
    try:
        return _is_answer(exchange)
    except Exception:  # as above
        return True


def _is_answer(exchange: Exchange) -> bool:
    came, sent = frames.unwrap(exchange.response), exchange.request
    if came.shape == "empty":
        return exchange.method != "POST"
    if not came.events:
        is_cut = any(problem.code == "response_not_json" and problem.detail for problem in came.problems)
        return not (is_cut and "json" in exchange.response.content_type) and not errors.is_error(came.value)
    asked = {} if came.is_done else multipart.unwrap(sent).value
    call = Call(path=_path(exchange.url), request=asked if isinstance(asked, dict) else {}, events=came.events)
    chosen = dialects.choose(call)
    call.response = _folded(chosen, came.events)
    return _is_whole(chosen, call, came) and not errors.is_error(call.response)


def without(reading: Reading, *, request: bool, response: bool) -> Reading:
    """`reading` with nothing left of the text of the sides named; counts, models and ids stay."""
    if request:
        reading = replace(reading, request_preview="")
    if response:
        reading = replace(reading, response_preview="", folded_response=None, tool_calls=(), error_message=None)
    if request or response:
        reading = replace(reading, problems=tuple(Problem(problem.code) for problem in reading.problems))
    return reading


def _parse(exchange: Exchange) -> Reading:
    sent, came = multipart.unwrap(exchange.request), frames.unwrap(exchange.response)
    call = Call(
        provider=exchange.provider,
        method=exchange.method,
        path=_path(exchange.url),
        status=exchange.status,
        request=sent.value if isinstance(sent.value, dict) else {},
        response=came.value,
        text=came.noise if came.shape == "text" else "",
        response_headers=exchange.response_headers,
        events=came.events,
    )
    chosen = dialects.choose(call)
    if came.events:
        call.response = _folded(chosen, came.events)
    reading = chosen[1].read(call) if chosen else _unknown(call)
    if reading.span is not None:  # a span tells all of it itself
        return reading
    return _finished(exchange, call, reading, name=chosen[0] if chosen else "", sent=sent, came=came,
                     is_whole=_is_whole(chosen, call, came))


def _span(exchange: Exchange) -> Reading | None:
    """A span says so itself: nobody else need be asked, and it tells all of it itself. None where it is none."""
    dialect = dialects.by_name("otlp_span")
    if exchange.request.content_type != _SPAN_TYPE or dialect is None:
        return None
    document = frames.unwrap(exchange.request).value
    return dialect.read(Call(request=document)) if isinstance(document, dict) and document else None


def _path(url: str) -> str:
    return loose.path(url).lower() if url else ""


def _folded(chosen: tuple[str, Dialect] | None, events: Sequence[Any]) -> dict[str, Any]:
    """The body of a stream; of one nobody knows, the last object that tells usage."""
    if chosen:
        return chosen[1].fold(events)
    objects = [event for event in events if isinstance(event, dict)]
    telling = [event for event in objects if usage.generic(event) or errors.is_error(event)]
    return (telling or objects or [{}])[-1]


def _is_whole(chosen: tuple[str, Dialect] | None, call: Call, came: Payload) -> bool:
    """Whether a stream came to its end; of one nobody knows we cannot tell, and do not complain."""
    if not came.events or came.is_done or chosen is None:
        return True
    return chosen[1].is_complete(came.events, loose.mapping(call.response))


def _finished(
    exchange: Exchange, call: Call, reading: Reading, *, name: str, sent: Payload, came: Payload, is_whole: bool
) -> Reading:
    """What holds for every dialect: stream flags, errors, problems of the frames."""
    reading = _with_usage(reading, call)
    problems = [*_request_problems(exchange, sent), *_reply_problems(came, reading), *reading.problems]
    if not is_whole:
        problems.append(Problem("stream_truncated"))
    error_type, error_message = _error(call, came, problems=problems)
    if came.noise.strip() and came.events:
        problems.append(Problem("client_error_text"))
    if call.status == 200 and came.shape == "empty" and call.method == "POST":
        problems.append(Problem("response_empty"))
    problems += _unknown_keys(reading.usage)
    if usage.is_odd(reading.usage):
        problems.append(Problem("usage_odd"))
    if not error_message and _lacks_usage(call, reading) and not _is_named("usage_missing", reading):
        problems.append(Problem("usage_missing"))
    return replace(
        reading,
        dialect=name,
        request_model=reading.request_model or loose.name(call.request.get("model_id")) or _path_model(exchange),
        response_model=reading.response_model or _response_model(call, reading),
        is_stream=bool(came.events) or (call.request.get("stream") is True and came.shape == "empty"),
        error_type=error_type or reading.error_type,
        error_message=error_message or reading.error_message,
        folded_response=_bytes(call.response) if came.events and name else None,
        response_preview=reading.response_preview or preview.line(error_message or came.noise),
        problems=tuple(problems),
    )


def _response_model(call: Call, reading: Reading) -> str | None:
    """As watsonx names it, beside OpenAI's shape too."""
    return loose.name(loose.mapping(call.response).get("model_id")) if reading.kind in MODEL_KINDS else None


def _unknown_keys(told: Usage) -> list[Problem]:
    """Numbers of the provider's usage object that no rule knows: perhaps something it charges for."""
    if not told.sent:
        return []
    return [Problem("usage_key_unknown", name[:200]) for name in usage_keys.unknown(told.sent)[:_MOST_KEYS]]


def _bytes(body: Any) -> bytes | None:
    """A folded body as JSON; None where it is nested too deeply to write (the raw stream is kept then)."""
    try:
        return orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError:
        return None


def _with_usage(reading: Reading, call: Call) -> Reading:
    """`reading`, with the usual names tried where its dialect found no counts."""
    told = reading.usage
    if told.input_tokens is not None or told.output_tokens is not None or reading.kind not in MODEL_KINDS:
        return reading
    body = loose.mapping(call.response)
    found = bedrock.told_beside(call) or usage.generic(body)
    if found is None and reading.kind in _TOLD_BY_TOTAL:
        found = usage.all_input(loose.mapping(body.get("usage")))
    return replace(reading, usage=found) if found else reading


def _lacks_usage(call: Call, reading: Reading) -> bool:
    """Whether a call that should have told something to charge did not. Moderations are free."""
    told = reading.usage
    if told.input_tokens is not None or told.output_tokens is not None:
        return False
    counts = (told.images, told.audio_ms, told.characters, told.search_units, (told.sent or {}).get("pages_processed"))
    is_expected = reading.kind in MODEL_KINDS and reading.kind != "moderation" and 200 <= call.status < 300
    return is_expected and all(count is None for count in counts)


def _is_named(code: str, reading: Reading) -> bool:
    return any(problem.code == code for problem in reading.problems)


def _request_problems(exchange: Exchange, sent: Payload) -> list[Problem]:
    if not sent.problems or exchange.request.content_type.startswith(_FORMS):
        return []
    return [Problem("request_not_json", problem.detail) if problem.code == "response_not_json" else problem
            for problem in sent.problems]


def _reply_problems(came: Payload, reading: Reading) -> list[Problem]:
    """Speech, subtitles and files are no JSON, and should not be."""
    is_expected = reading.kind in ("audio", "other") and came.shape in ("text", "binary")
    return [problem for problem in came.problems if not is_expected or problem.code != "response_not_json"]


def _error(call: Call, came: Payload, *, problems: list[Problem]) -> tuple[str | None, str | None]:
    """(type, message) of a refusal, wherever it stands: by status, inside a 200, in the middle of a stream."""
    body = call.response if came.events and errors.is_error(call.response) else None
    if body is not None:
        problems.append(Problem("error_in_stream"))
    elif call.status >= 400:
        body = call.response if came.shape == "json" else came.noise
    elif came.shape == "json" and errors.is_error(call.response):
        body = call.response
        problems.append(Problem("error_in_200"))
    elif came.noise.strip() and came.events:
        return "client_error", came.noise.strip()[-errors.LONGEST_MESSAGE :]
    return errors.of(body, call.response_headers) if body else (None, None)


def _path_model(exchange: Exchange) -> str | None:
    """The model an address names, where something is asked of it: `/models/x` is also where models are looked up."""
    if exchange.method != "POST":
        return None
    path = loose.path(exchange.url)
    found = (exchange.provider == "huggingface" and _HUB_MODEL.search(path)) or PATH_MODEL.search(path)
    return unquote(found[1]) if found else None


def _unknown(call: Call) -> Reading:
    """A reply no dialect knows: its usage where it has one, its model where it names one."""
    body = loose.mapping(call.response)
    told = usage.generic(body)
    sent = loose.mapping(body.get("usage"))
    kind = _kind(call, has_usage=told is not None)
    named = loose.name(body.get("model")) or loose.name(body.get("modelVersion"))
    return Reading(
        kind=kind,
        request_model=loose.name(call.request.get("model")),
        response_model=named if kind != "other" else None,
        usage=told or Usage(),
        provider_response_id=loose.name(body.get("id")),
        provider_cost_nano_usd=usage.declared_cost(sent) if sent else None,
        end_user_id=loose.name(call.request.get("user")),
        request_preview=_spoken(call.request),
        response_preview=preview.line(loose.text(body.get("text")) or loose.text(body.get("response"))),
    )


def _kind(call: Call, *, has_usage: bool) -> str:
    if call.method != "POST" or _NO_MODEL.search(call.path):
        return "other"
    for piece, kind in _KINDS_BY_PATH:
        if piece in call.path:
            return kind
    return "llm" if has_usage or any(key in call.request for key in _SPOKEN) else "other"


def _spoken(request: Mapping[str, Any]) -> str:
    for key in _SPOKEN:
        if isinstance(said := request.get(key), str):
            return preview.line(said)
    return ""
