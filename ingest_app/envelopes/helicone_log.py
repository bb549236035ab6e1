"""Helicone's async log: one call a client made itself, told afterwards.

    {"providerRequest":  {"url", "json", "meta"},
     "providerResponse": {"json" | "textBody", "status", "headers", "cost"},
     "timing":           {"startTime", "endTime", "timeToFirstToken"},
     "provider"}

Sent by litellm's callback, the manual loggers and by hand, so little of it is sure: only `providerRequest.json` and
something of a reply must be there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from ingest_app import directives, helicone_typed, told_times, traceparent
from ingest_app.directives import Directives
from ingest_app.posting import OK, Answer, Logged, NotAccepted, Posting, Taken
from ingest_app.told_urls import where
from ingest_app.traceparent import Parent
from lib import loose_json
from lib.clock import uuid7
from lib.frozen import replace
from llm import providers
from llm.exchange import STATUS_UNKNOWN, Attribution, Body, Exchange, Problem

HELICONE_NAMES: Final = {"oai": "OPENAI", "anthropic": "ANTHROPIC", "googleapis": "GOOGLE", "custom": "CUSTOM"}
"""Which provider the route of a log names."""
PREFIXES: Final = ("", "/v1/gateway", "/v1/trace")
"""Self-hosters point clients at the gateway's base as often as at the log's."""

TRACES: Final = ("/v1/trace/custom/v1/log", "/v1/trace/custom/log", "/v1/trace/custom/log/typed")
"""Custom traces: the same body, but answered with none, and OpenAI's where neither URL nor body names a provider."""
TYPED: Final = TRACES[-1]
_ROUTES: Final[Mapping[str, str]] = {
    **{f"{prefix}/{route}/v1/log": name for prefix in PREFIXES for route, name in HELICONE_NAMES.items()},
    "/v1/log": "CUSTOM",
    **dict.fromkeys(TRACES, "OPENAI"),
}
PATHS: Final = dict.fromkeys(_ROUTES, ("POST",))

MAX_COST_USD = 1_000_000
MAX_HEADERS = 100
MAX_HEADER_VALUE = 2048
_JSON: Final = "application/json"
_ABOUT_THE_CALL: Final = ("helicone-", "helicone_", "user-agent")
"""Beginnings of the posting's own headers that say something of the call it tells."""


def take(posting: Posting) -> Taken:
    """The one exchange inside. Raises NotAccepted."""
    problems: list[Problem] = []
    document = _document(posting.body, problems)
    if posting.path == TYPED and (errors := helicone_typed.errors(document)):
        raise NotAccepted(helicone_typed.sentence(errors), {"isValid": False, "errors": errors})
    logged = _logged(document, posting, problems)
    return Taken((logged,), answer=Answer(body=b"") if posting.path in TRACES else OK)


def _logged(document: Mapping[str, Any], posting: Posting, problems: list[Problem]) -> Logged:
    request, response = _side(document, "providerRequest"), _side(document, "providerResponse")
    asked = directives.read(_declarations(posting.headers, request, response))
    requested_at, duration_ms, first_token_ms = _times(document.get("timing"), posting.arrived_at, problems)
    url, host = where(request.get("url"))
    own_id, parent = uuid7(requested_at), _parent(posting.headers, request)
    exchange = Exchange(
        id=own_id,
        organization_id=posting.organization_id,
        api_key_id=posting.api_key_id,
        requested_at=requested_at,
        door="log",
        provider=_provider(document, request, host=host, named_by_route=_named_by_route(posting.path, request)),
        status=_status(response, problems),
        url=url,
        duration_ms=duration_ms,
        time_to_first_token_ms=first_token_ms,
        request=_request_body(request),
        response=_response_body(response),
        request_headers=_told_headers({k: v for k, v in posting.headers.items() if k.startswith(_ABOUT_THE_CALL)}),
        response_headers=_told_headers(_mapping(response.get("headers"))),
        attribution=_attribution(asked, response, problems),
        problems=(*problems, *asked.problems),
        trace_id=parent.trace_id if parent else None,
        span_id=traceparent.span_id(own_id) if parent else None,
        parent_span_id=parent.span_id if parent else None,
    )
    return Logged(exchange, asked)


# --- the document ---------------------------------------------------------------------------------------------------


def _document(body: bytes, problems: list[Problem]) -> Mapping[str, Any]:
    try:
        document, is_repaired = loose_json.loads(body)
    except ValueError as error:
        raise NotAccepted(f"The body is not valid JSON: {error}. Send one JSON object.") from None
    if not isinstance(document, dict):
        raise NotAccepted("The body must be one JSON object with providerRequest and providerResponse.")
    if is_repaired:
        problems.append(Problem("text_repaired"))
    return document


def _side(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    side = document.get(name)
    if not isinstance(side, dict):
        raise NotAccepted(f"{name} is missing. Send {_SHAPES[name]}.")
    return side


_SHAPES: Final = {
    "providerRequest": 'it as an object: {"url": "…", "json": {…}, "meta": {}}',
    "providerResponse": 'it as an object: {"status": 200, "json": {…}, "headers": {}}',
}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


# --- who and what it belongs to -------------------------------------------------------------------------------------


def _declarations(
    headers: Mapping[str, str], request: Mapping[str, Any], response: Mapping[str, Any]
) -> Mapping[str, str]:
    """HTTP headers over `meta` over the reply's headers: Go's logger puts what it was given only there."""
    told = {**_texts(_mapping(response.get("headers"))), **_texts(_mapping(request.get("meta")))}
    return {**told, **headers}


def _parent(headers: Mapping[str, str], request: Mapping[str, Any]) -> Parent | None:
    """The step the call was made in: as `meta` says, else that of the posting itself."""
    told = _texts(_mapping(request.get("meta")))
    return traceparent.read(told.get(traceparent.HEADER)) or traceparent.read(headers.get(traceparent.HEADER))


def _texts(entries: Mapping[str, Any]) -> dict[str, str]:
    """Scalars as text, by lower-case name; litellm's metadata holds whole objects, which say nothing here."""
    return {name.strip().lower(): text for name, value in entries.items() if (text := _text(value)) is not None}


def _text(value: Any) -> str | None:
    """As JavaScript writes it: Helicone's own server is where these would have become headers."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | float) else None


def _attribution(asked: Directives, response: Mapping[str, Any], problems: list[Problem]) -> Attribution:
    cost = _cost_nano_usd(response.get("cost"), problems)
    return replace(asked.attribution, declared_cost_nano_usd=cost) if cost is not None else asked.attribution


def _cost_nano_usd(value: Any, problems: list[Problem]) -> int | None:
    if value is None:
        return None
    try:
        usd = told_times.number(value)
    except ValueError:
        usd = math.nan
    if 0 <= usd <= MAX_COST_USD:
        return round(usd * 1e9)
    problems.append(Problem("cost_unreadable", "providerResponse.cost must be an amount in USD"))
    return None


def _told_headers(headers: Mapping[str, Any]) -> dict[str, str]:
    """What is worth keeping of them, without credentials."""
    kept = directives.without_credentials(_texts(headers))
    return {name: value[:MAX_HEADER_VALUE] for name, value in list(kept.items())[:MAX_HEADERS]}


# --- where it went --------------------------------------------------------------------------------------------------


def _named_by_route(path: str, request: Mapping[str, Any]) -> str:
    """A custom trace is OpenAI's unless it says otherwise, but for a step that calls no model."""
    is_step = path in TRACES and _mapping(request.get("json")).get("_type") in helicone_typed.STEPS
    return "CUSTOM" if is_step else _ROUTES[path]


def _provider(document: Mapping[str, Any], request: Mapping[str, Any], *, host: str, named_by_route: str) -> str:
    """Its slug: what litellm says, else the URL's host, the body's `provider`, the route; else the bare host."""
    found = _of_litellm(request) or (providers.by_host(host) if host else None) or _of_name(document.get("provider"))
    if found is None and named_by_route != "CUSTOM":
        found = providers.by_helicone_name(named_by_route)
    if found is not None:
        return found.slug
    return host or named_by_route.lower()


def _of_litellm(request: Mapping[str, Any]) -> providers.Provider | None:
    """It posts every provider it has no route for as OpenAI's; the truth stands in its hidden parameters."""
    hidden = _mapping(_mapping(request.get("meta")).get("hidden_params"))
    name, model = hidden.get("custom_llm_provider"), hidden.get("litellm_model_name")
    if not name and isinstance(model, str) and "/" in model:
        name = model.partition("/")[0]
    return providers.by_slug(name) if isinstance(name, str) else None


def _of_name(name: Any) -> providers.Provider | None:
    if not isinstance(name, str) or name.upper() == "CUSTOM":
        return None
    return providers.by_helicone_name(name.upper()) or providers.by_slug(name.lower())


# --- what was said --------------------------------------------------------------------------------------------------


def _request_body(request: Mapping[str, Any]) -> Body:
    if "json" not in request:
        raise NotAccepted("providerRequest.json is missing. Send the request body your model was given.")
    return _body(request["json"])


def _response_body(response: Mapping[str, Any]) -> Body:
    if not {"json", "textBody", "status"} & response.keys():
        raise NotAccepted("providerResponse says nothing. Send the reply as json or textBody, and its status.")
    if text := response.get("textBody"):
        content_type = _texts(_mapping(response.get("headers"))).get("content-type", "")
        return _body(text, content_type=content_type)
    reply = response.get("json")
    if isinstance(reply, dict) and isinstance(chunks := reply.get("streamed_data"), list):
        lines = b"".join(b"data: " + _dumped(chunk) + b"\n\n" for chunk in chunks)
        return Body(lines, "text/event-stream", size=len(lines))
    return _body(reply or None)


def _body(value: Any, *, content_type: str = "") -> Body:
    """Text as it is, anything else as JSON; null is no body."""
    if value is None:
        return Body()
    if isinstance(value, str):
        data = value.encode()
        return Body(data, content_type, size=len(data))
    data = _dumped(value)
    return Body(data, _JSON, size=len(data))


def _dumped(value: Any) -> bytes:
    try:
        return loose_json.dumps(value)
    except ValueError as error:
        raise NotAccepted(f"The body cannot be kept: {error}.") from None


def _status(response: Mapping[str, Any], problems: list[Problem]) -> int:
    """HTTP's, or Helicone's -2, -3, -4."""
    try:
        status = told_times.number(response.get("status"))
    except ValueError:
        status = math.nan
    if status.is_integer() and (100 <= status <= 999 or -4 <= status <= -2):
        return int(status)
    problems.append(Problem("status_unreadable", "providerResponse.status must be an HTTP status"))
    return STATUS_UNKNOWN


# --- when -----------------------------------------------------------------------------------------------------------


def _times(timing: Any, arrived_at: datetime, problems: list[Problem]) -> tuple[datetime, int | None, int | None]:
    """(requested_at, duration in ms, time to first token in ms). A start not told is the end, or now."""
    told = _mapping(timing)
    start, end = (_moment(told, name, problems) for name in ("startTime", "endTime"))
    first_token_ms = _length(told.get("timeToFirstToken"), "timeToFirstToken", problems)
    if start is None or end is None:
        return start or end or arrived_at, None, first_token_ms
    if start > end:
        problems.append(Problem("times_swapped"))
        start, end = end, start
    return start, _length((end - start).total_seconds() * 1000, "timing", problems), first_token_ms


def _moment(told: Mapping[str, Any], name: str, problems: list[Problem]) -> datetime | None:
    try:
        return told_times.moment(told.get(name))
    except ValueError as reason:
        problems.append(Problem("time_unreadable", f"{name}: {reason}"))
        return None


def _length(value: Any, name: str, problems: list[Problem]) -> int | None:
    try:
        return told_times.milliseconds(value)
    except ValueError as reason:
        problems.append(Problem("time_unreadable", f"{name}: {reason}"))
        return None
