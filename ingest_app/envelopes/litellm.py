"""LiteLLM's generic callback: its standard logging payload, one, a list of them, or one a line.

    GENERIC_LOGGER_ENDPOINT=https://…/v1/log/litellm   GENERIC_LOGGER_HEADERS=Authorization=Bearer <key>

Replies are OpenAI-shaped whoever answered; where message logging is off, the counts stand in the payload alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final
from uuid import UUID

from ingest_app import directives, told_times
from ingest_app.directives import Directives
from ingest_app.posting import Logged, NotAccepted, Posting, Taken, json_answer
from ingest_app.told_urls import where
from lib import loose_json
from lib.clock import uuid7
from lib.frozen import replace
from llm import providers, semconv
from llm.exchange import Attribution, Body, Exchange, Problem

PATH: Final = "/v1/log/litellm"
PATHS: Final = {PATH: ("POST",)}
MOST: Final = 10_000
MAX_COST_USD: Final = 1_000_000
FAILED: Final = 500
Payload = Mapping[str, Any]

_INPUT_CALLS: Final = ("embedding", "responses", "moderation", "speech", "image_generation")
"""Calls whose `messages` are what the provider calls `input` (`prompt` of an image)."""
_OF_KEY: Final = {
    "user_api_key_alias": "key_alias", "user_api_key_team_alias": "team", "user_api_key_team_id": "team_id",
    "user_api_key_org_id": "org_id", "user_api_key_user_id": "key_user_id",
}  # fmt: skip
"""What the proxy says of the key a call came with, as properties."""


def take(posting: Posting) -> Taken:
    """Raises NotAccepted."""
    payloads = _payloads(posting.body)
    if len(payloads) > MOST:
        raise NotAccepted(f"At most {MOST} payloads are taken at once. Send several lists.")
    good = [payload for payload in payloads if isinstance(payload, dict) and _tells(payload)]
    if not good:
        raise NotAccepted("Post LiteLLM's standard logging payload, one or a list: it has a model and a startTime.")
    answer = json_answer({"accepted": len(good), "rejected": len(payloads) - len(good)})
    return Taken([_logged(payload, posting) for payload in good], answer=answer)


def _tells(payload: Payload) -> bool:
    return "startTime" in payload or "model" in payload


def _payloads(body: bytes) -> list[Any]:
    try:
        told = loose_json.loads(body)[0]
        return told if isinstance(told, list) else [told]
    except ValueError as error:
        lines = [line for line in body.split(b"\n") if line.strip()]
        if len(lines) < 2:
            raise NotAccepted(f"The body is not valid JSON: {error}.") from None
    try:
        return [loose_json.loads(line)[0] for line in lines]
    except ValueError as error:
        raise NotAccepted(f"A line is not valid JSON: {error}.") from None


def _logged(payload: Payload, posting: Posting) -> Logged:
    problems: list[Problem] = []
    asked = _directives(payload, posting.headers)
    start, end, first = (_moment(payload, name, problems) for name in ("startTime", "endTime", "completionStartTime"))
    at = start or end or posting.arrived_at
    is_stream = payload.get("stream") is True
    url, host = where(payload.get("api_base"))
    request, response = _request(payload), _response(payload)
    exchange = Exchange(
        id=uuid7(at), organization_id=posting.organization_id, api_key_id=posting.api_key_id, requested_at=at,
        door="log", provider=_provider(payload, host), status=_status(payload), url=url,
        duration_ms=_between(start, end), time_to_first_token_ms=_between(start, first) if is_stream else None,
        request=Body(request, "application/json", size=len(request)),
        response=Body(response, "application/json", size=len(response)),
        attribution=_charged(asked.attribution, payload),
        problems=(*problems, *asked.problems),
    )  # fmt: skip
    return Logged(exchange, asked)


# --- who and what it belongs to ---------------------------------------------------------------------------------------


def _directives(payload: Payload, headers: Mapping[str, str]) -> Directives:
    """What the payload says of its call, in the words a header would; `Helicone-*` of the metadata wins."""
    metadata = _mapping(payload.get("metadata"))
    sent = _mapping(payload.get("model_parameters")).get("user")
    told = {
        "helicone-user-id": payload.get("end_user") or metadata.get("user_api_key_end_user_id") or sent,
        "helicone-session-id": payload.get("session_id") or _chosen(payload.get("trace_id")),
        "helicone-request-id": payload.get("litellm_call_id"),
    }  # fmt: skip
    properties = {name: metadata.get(key) for key, name in _OF_KEY.items()}
    properties["tags"] = ", ".join(map(str, _list(payload.get("request_tags"))))
    properties["cache_hit"] = payload.get("cache_hit") or None
    own: dict[str, Any] = {}
    for name, value in _mapping(metadata.get("requester_metadata")).items():
        (own if name.lower().startswith(("helicone-", "helicone_")) else properties)[name] = value
    told |= {f"{directives.PROPERTY_HEADER}{name}": value for name, value in properties.items()} | own
    posted = {name: value for name, value in headers.items() if name.startswith("helicone-")}
    return directives.read({**_texts(told), **posted})


def _chosen(trace_id: Any) -> Any:
    """A trace's id that somebody gave, such as `litellm_session_id`; one LiteLLM made is a UUID and says nothing."""
    try:
        UUID(str(trace_id))
    except ValueError:
        return trace_id
    return None


def _texts(told: Mapping[str, Any]) -> dict[str, str]:
    """Scalars as text by lower-case name; nothing for what is empty."""
    return {
        name.strip().lower(): str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in told.items() if isinstance(value, str | int | float) and value != ""
    }  # fmt: skip


def _provider(payload: Payload, host: str) -> str:
    name = payload.get("custom_llm_provider")
    named = _slugs().get(name.lower()) if isinstance(name, str) else None
    at = providers.by_host(host) if host else None
    return named or (at.slug if at else "") or (name if isinstance(name, str) else "") or host or "custom"


@cache
def _slugs() -> Mapping[str, str]:
    """LiteLLM's names of providers, most of which are OpenTelemetry's, too."""
    found = {
        name: p.slug for p in providers.all_providers() for name in (p.slug, p.slug.replace("-", "_"), *p.otel_names)
    }
    return {**semconv.PROVIDER_SLUGS, **found}


def _charged(said: Attribution, payload: Payload) -> Attribution:
    """With the cost told. 0 is what LiteLLM says where it knows no price; an answer from its cache is free."""
    if payload.get("cache_hit") is True:
        return replace(said, input_nano_usd_per_token=0.0, output_nano_usd_per_token=0.0)
    cost = payload.get("response_cost")
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 < cost <= MAX_COST_USD:
        return said
    return replace(said, declared_cost_nano_usd=round(cost * 1e9))


# --- what was said ----------------------------------------------------------------------------------------------------


def _request(payload: Payload) -> bytes:
    call_type = str(payload.get("call_type") or "")
    is_input = any(word in call_type for word in _INPUT_CALLS)
    key = "prompt" if "image_generation" in call_type else "input" if is_input else "messages"
    said = payload.get("messages")
    if key == "messages" and isinstance(said, str):
        said = [{"role": "user", "content": said}]
    if "embedding" in call_type:
        said = [_mapping(one).get("content", one) for one in _list(said)] or said
    asked = {"model": payload.get("model"), key: said, **_mapping(payload.get("model_parameters"))}
    return _dumped({name: value for name, value in asked.items() if value is not None})


def _response(payload: Payload) -> bytes:
    if payload.get("status") == "failure":
        about = _mapping(payload.get("error_information"))
        message = payload.get("error_str") or about.get("error_message")
        return _dumped({"error": {
            "message": message, "type": about.get("error_class"), "code": about.get("error_code"),
        }})  # fmt: skip
    said = payload.get("response")
    reply = dict(said) if isinstance(said, dict) else _as_reply(payload, said)
    if not reply.get("usage") and (counts := _counts(payload)):
        reply["usage"] = counts
    return _dumped(reply)


def _as_reply(payload: Payload, said: Any) -> dict[str, Any]:
    reply: dict[str, Any] = {"object": "chat.completion", "model": payload.get("model")}
    if isinstance(said, str) and said:
        reply["choices"] = [{"index": 0, "message": {"role": "assistant", "content": said}}]
    return reply


def _counts(payload: Payload) -> dict[str, int] | None:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    counts = {name: n for name in names if isinstance(n := payload.get(name), int) and not isinstance(n, bool)}
    return counts if any(counts.values()) else None


def _dumped(value: Any) -> bytes:
    try:
        return loose_json.dumps(value)
    except ValueError as error:
        raise NotAccepted(f"The body cannot be kept: {error}.") from None


def _status(payload: Payload) -> int:
    if payload.get("status") != "failure":
        return 200
    code = str(_mapping(payload.get("error_information")).get("error_code") or "")
    return int(code) if len(code) == 3 and code.isdigit() and int(code) >= 400 else FAILED


# --- when -------------------------------------------------------------------------------------------------------------


def _moment(payload: Payload, name: str, problems: list[Problem]) -> Any:
    try:
        return told_times.moment(payload.get(name))
    except ValueError as reason:
        problems.append(Problem("time_unreadable", f"{name}: {reason}"))
        return None


def _between(start: Any, end: Any) -> int | None:
    if start is None or end is None or end < start:
        return None
    try:
        return told_times.milliseconds((end - start).total_seconds() * 1000)
    except ValueError:
        return None


def _mapping(value: Any) -> Payload:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
