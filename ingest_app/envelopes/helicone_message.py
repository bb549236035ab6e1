"""What Helicone's Rust gateway posts of each call: a message, its bodies uploaded apart.

    POST /v1/router/control-plane/sign-s3-url   {"requestId", "payloadSize"} → {"data": {"url"}, "error": null}
    PUT  <url>                                  {"request": "…", "response": "…"}      (ingest_app/uploads.py)
    POST /v1/log/request                        {"authorization", "heliconeMeta", "log": {"request", "response"}}
    GET  /v1/router/control-plane/whoami        {"userId", "organizationId"}

Message and bodies may come in any order; the line joins them by the call's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from ingest_app import directives, told_times, uploads
from ingest_app.directives import Directives
from ingest_app.posting import Answer, Logged, NotAccepted, Posting, Taken, json_answer
from ingest_app.told_urls import where
from lib import loose_json
from lib.clock import uuid7
from lib.frozen import replace
from llm import providers
from llm.exchange import STATUS_UNKNOWN, Attribution, Body, Exchange, Problem, Reading, Usage
from llm.parse import parse

MESSAGE, SIGN = "/v1/log/request", "/v1/router/control-plane/sign-s3-url"
WHO: Final = "/v1/router/control-plane/whoami"
PATHS: Final = {MESSAGE: ("POST",), SIGN: ("POST",), WHO: ("GET",)}
MAX_UPLOAD: Final = 10 * 2**20
"""Bytes, as Helicone has it."""
AWAITED: Final = Problem("bodies_awaited")
Told = Mapping[str, Any]

_IDS: Final = {"helicone-session-id", "helicone-session-path", "helicone-session-name"}
_SHAPE: Final = 'Post {"heliconeMeta": {…}, "log": {"request": {"id", …}, "response": {"status", …}}}.'


def take(posting: Posting) -> Taken:
    """Raises NotAccepted."""
    return _TAKERS[posting.path](posting)


def _document(body: bytes) -> Told:
    try:
        told = loose_json.loads(body)[0]
    except ValueError as error:
        raise NotAccepted(f"The body is not valid JSON: {error}.") from None
    return _mapping(told)


def _mapping(value: Any) -> Told:
    return value if isinstance(value, dict) else {}


# --- leave to upload --------------------------------------------------------------------------------------------------


def _who(posting: Posting) -> Taken:
    own = str(posting.organization_id)
    return Taken(answer=json_answer({"userId": str(posting.api_key_id), "organizationId": own}))


def _sign(posting: Posting) -> Taken:
    told = _document(posting.body)
    request_id, size = _uuid(told.get("requestId")), told.get("payloadSize")
    if request_id is None:
        raise _refused("requestId must be a UUID: the id of the call whose bodies are uploaded.")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < MAX_UPLOAD:
        raise _refused(f"payloadSize must be a number of bytes below {MAX_UPLOAD}.")
    leave = uploads.Leave(posting.organization_id, request_id, posting.arrived_at + uploads.LASTS)
    url = f"{posting.own_url}{uploads.PATH}?token={uploads.token(leave, posting.secret)}"
    return Taken(answer=json_answer({"data": {"url": url}, "error": None}))


def _refused(sentence: str) -> NotAccepted:
    return NotAccepted(sentence, {"data": None, "error": sentence})


def _uuid(value: Any) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


# --- the message ------------------------------------------------------------------------------------------------------


def _message(posting: Posting) -> Taken:
    told = _document(posting.body)
    log, meta = _mapping(told.get("log")), _mapping(told.get("heliconeMeta"))
    request, response = log.get("request"), log.get("response")
    if not isinstance(request, dict) or not isinstance(response, dict):
        raise NotAccepted(_SHAPE)
    if _uuid(request.get("id")) is None:
        raise NotAccepted("log.request.id must be a UUID: bodies are found by it.")
    return Taken([_logged(request, response, meta, posting)], answer=Answer(body=b""))


def _logged(request: Told, response: Told, meta: Told, posting: Posting) -> Logged:
    problems: list[Problem] = []
    asked = directives.read(_declarations(request, meta))
    start, end = _moment(request, "requestCreatedAt", problems), _moment(response, "responseCreatedAt", problems)
    at = start or end or posting.arrived_at
    url, host = where(request.get("targetUrl"))
    exchange = Exchange(
        id=uuid7(at), organization_id=posting.organization_id, api_key_id=posting.api_key_id, requested_at=at,
        door="log", provider=_provider(request.get("provider"), host), status=_status(response), url=url,
        duration_ms=_duration(start, end, response), time_to_first_token_ms=_first_token(request, response),
        request=_awaited(asked.omit_request), response=_awaited(asked.omit_response),
        attribution=_charged(asked.attribution, response), country_code=_country(request),
        problems=(*problems, *asked.problems, AWAITED),
    )  # fmt: skip
    return Logged(replace(exchange, reading=_reading(exchange, request, response)), Directives())


def _awaited(is_omitted: bool) -> Body:
    return Body(state="omitted") if is_omitted else Body()


def _declarations(request: Told, meta: Told) -> dict[str, str]:
    """What the message says of its call, in the words a header would."""
    told: dict[str, Any] = {
        "helicone-request-id": request.get("id"), "helicone-user-id": request.get("userId"),
        "helicone-prompt-id": meta.get("promptId") or request.get("promptId"),
        "helicone-prompt-version": meta.get("promptVersionId") or request.get("promptVersion"),
        "helicone-model-override": meta.get("modelOverride"),
        "helicone-omit-request": "true" if meta.get("omitRequestLog") is True else None,
        "helicone-omit-response": "true" if meta.get("omitResponseLog") is True else None,
        directives.STRIPE_CUSTOMER_HEADER: meta.get("stripeCustomerId"),
    }  # fmt: skip
    for name, value in _mapping(request.get("properties")).items():
        lower = name.strip().lower()
        told[lower if lower in _IDS else f"{directives.PROPERTY_HEADER.lower()}{lower}"] = value
    return {name: str(value) for name, value in told.items() if isinstance(value, str | int | float) and value != ""}


def _provider(name: Any, host: str) -> str:
    at = providers.by_host(host) if host else None
    named = name.strip() if isinstance(name, str) and name.strip().upper() != "CUSTOM" else ""
    known = providers.by_helicone_name(named.upper()) or providers.by_slug(named.lower()) if named else None
    if at is not None:
        return at.slug
    return known.slug if known else host or named.lower() or "custom"


def _status(response: Told) -> int:
    status = response.get("status")
    is_one = isinstance(status, int) and not isinstance(status, bool) and (100 <= status <= 999 or -4 <= status <= -2)
    return int(status) if is_one and status is not None else STATUS_UNKNOWN


def _country(request: Told) -> str | None:
    code = request.get("countryCode")
    return code.upper() if isinstance(code, str) and len(code) == 2 and code.isalpha() else None


def _charged(said: Attribution, response: Told) -> Attribution:
    cost = response.get("cost")
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 < cost <= 1_000_000:
        return said
    return replace(said, declared_cost_nano_usd=round(cost * 1e9))


def _reading(exchange: Exchange, request: Told, response: Told) -> Reading:
    """What the message tells of the call itself: bodies, once they are here, say it better."""
    guessed, model = parse(exchange), response.get("model")
    return Reading(
        kind=guessed.kind if guessed.kind != "other" else "llm", request_model=guessed.request_model,
        response_model=model if isinstance(model, str) else None, usage=_usage(response),
        is_stream=request.get("isStream") is True,
    )  # fmt: skip


_COUNTS: Final = (
    "promptTokens", "completionTokens", "promptCacheReadTokens", "promptCacheWriteTokens", "reasoningTokens",
    "promptAudioTokens", "completionAudioTokens",
)  # fmt: skip


def _usage(response: Told) -> Usage:
    """Totals of Helicone's counts, which stand beside each other."""
    told = {name: response.get(name) for name in _COUNTS}
    sent = {name: n for name, n in told.items() if isinstance(n, int) and not isinstance(n, bool) and n >= 0}
    asked, answered, cached, written, reasoned, heard, spoken = (sent.get(name) for name in _COUNTS)
    if asked is None and answered is None:
        return Usage()
    return Usage(
        input_tokens=None if asked is None else asked + (cached or 0) + (written or 0),
        output_tokens=None if answered is None else answered + (reasoned or 0), cache_read_tokens=cached,
        cache_write_tokens=written, reasoning_tokens=reasoned, input_audio_tokens=heard, output_audio_tokens=spoken,
        sent=sent,
    )  # fmt: skip


# --- when -------------------------------------------------------------------------------------------------------------


def _moment(told: Told, name: str, problems: list[Problem]) -> datetime | None:
    try:
        return told_times.moment(told.get(name))
    except ValueError as reason:
        problems.append(Problem("time_unreadable", f"{name}: {reason}"))
        return None


def _length(value: Any) -> int | None:
    try:
        return told_times.milliseconds(value)
    except ValueError:
        return None


def _duration(start: datetime | None, end: datetime | None, response: Told) -> int | None:
    """Between the two times: `delayMs` is the time to the first token there."""
    if start is not None and end is not None and end >= start:
        return _length((end - start).total_seconds() * 1000)
    return _length(response.get("delayMs"))


def _first_token(request: Told, response: Told) -> int | None:
    return _length(response.get("timeToFirstToken")) if request.get("isStream") is True else None


_TAKERS: Final = {MESSAGE: _message, SIGN: _sign, WHO: _who}
