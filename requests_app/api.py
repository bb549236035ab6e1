"""The requests room as Helicone's REST API: its paths, its words, its shapes. Everything is a question; all need read.

_Invalid(APIException)    the body asked for what cannot be: 422 in Helicone's validation shape
TooSlow                   500 with the sentence; never an empty list
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core import signing
from django.urls import reverse
from rest_framework.exceptions import APIException, NotFound, ParseError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.permissions import ApiKeyAuthentication, Caller, MayRead
from lib.clock import now
from lib.json_parser import AnyJSON
from llm import loose
from llm.providers import by_slug
from requests_app import bodies, filter_json, queries, queries_sums
from requests_app.filters import EQUAL, FilterError, join, leaf
from requests_app.queries import Question, Sort, TooSlow
from requests_app.rows import RequestRow

MOST_ROWS = 1_000
DEFAULT_ROWS = 10
FUTURE = timedelta(minutes=5)
"""Rows dated further ahead are left out of lists."""
INLINE_BYTES, INLINE_TOTAL = 10 * 2**20, 64 * 2**20
"""Of one request's stored bodies, and of a whole answer's; beyond it a link is given instead."""
LINK_SALT, LINK_SECONDS = "request-body", 86_400
NOT_ASKED = {"helicone_message": "Ask with includeBody=true for the body."}
LINKED = {"helicone_message": "This body is large: fetch it from signed_body_url."}

SORT_KEYS: Mapping[str, str] = {
    "random": "random", "created_at": "", "cache_created_at": "", "latency": "latency", "last_active": "",
    "total_tokens": "total_tokens", "completion_tokens": "completion_tokens", "prompt_tokens": "prompt_tokens",
    "user_id": "user_id", "body_model": "body_model", "is_cached": "is_cached",
    "request_prompt": "request_prompt", "response_text": "response_text", "values": "",
    "cost": "cost", "time_to_first_token": "time_to_first_token",
}  # fmt: skip
"""Helicone's keys, first match wins, and ours; an empty one is time."""


class _Invalid(APIException):
    status_code = 422

    def __init__(self, path: str, message: str, value: object = None) -> None:
        said = {"message": message} if value is None else {"message": message, "value": value}
        super().__init__()
        self.body = {"message": "Validation Failed", "details": {path: said}}


class _View(APIView):
    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [MayRead]
    parser_classes = [AnyJSON]
    renderer_classes = [JSONRenderer]

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, FilterError):
            exc = _Invalid(f"requestBody.{exc.path or 'filter'}", exc.message, _echo(exc.value))
        if isinstance(exc, _Invalid):
            return Response(exc.body, exc.status_code)
        if isinstance(exc, TooSlow):
            text = str(exc)
            return Response({"data": None, "error": text, "message": text, "details": text}, 500)
        if isinstance(exc, bodies.BodyUnreadable | ParseError | NotFound):
            status = getattr(exc, "status_code", 500)
            return Response({"data": None, "error": str(exc)}, status)
        return super().handle_exception(exc)


def _echo(value: object) -> object:
    """What was sent, where it is short enough to say again."""
    return value if isinstance(value, str | int | float | bool) and len(str(value)) <= 200 else None


# --- what is asked --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Query:
    question: Question
    sort: Sort
    limit: int
    offset: int


def _query(request: Request) -> _Query:
    """`RequestQueryParams`; keys nobody knows are ignored. Raises _Invalid and FilterError."""
    body = _object(request)
    if "filter" not in body:
        raise _Invalid("requestBody.filter", "'filter' is required")
    tree = filter_json.parse(body["filter"])
    if body.get("isScored") is not None:
        tree = join("and", (tree, leaf("has_scores", EQUAL, body["isScored"])))
    question = Question(_organization(request), tree, until=now() + FUTURE)
    limit = _whole(body, "limit", DEFAULT_ROWS)
    if not 0 <= limit <= MOST_ROWS:
        raise _Invalid("requestBody.limit", f"invalid limit: it lies between 0 and {MOST_ROWS}", limit)
    offset = _whole(body, "offset", 0)
    if not 0 <= offset < 2**63:
        raise _Invalid("requestBody.offset", "invalid offset: it is not below 0", _echo(offset))
    return _Query(question, _sort(body.get("sort")), limit, offset)


def _organization(request: Request) -> int:
    """Whose rows: MayRead has seen to it that a Caller is there."""
    assert isinstance(request.auth, Caller)
    return request.auth.organization_id


def _object(request: Request) -> Mapping[str, Any]:
    if not isinstance(request.data, Mapping):
        raise _Invalid("requestBody", "an object is expected")
    return request.data


def _whole(body: Mapping[str, Any], key: str, default: int) -> int:
    raw = body.get(key)
    if raw is None:
        return default
    try:
        if isinstance(raw, bool) or float(raw) != int(float(raw)):
            raise ValueError
        return int(float(raw))
    except (TypeError, ValueError, OverflowError):
        raise _Invalid(f"requestBody.{key}", "invalid integer number", _echo(raw)) from None


def _sort(raw: Any) -> Sort:
    if raw is None or raw == {}:
        return Sort()
    if not isinstance(raw, Mapping):
        raise _Invalid("requestBody.sort", "an object is expected")
    for key in SORT_KEYS:
        if key in raw:
            return _known_sort(key, raw[key])
    if isinstance(raw.get("properties"), Mapping) and raw["properties"]:
        name, direction = next(iter(raw["properties"].items()))
        if "\x00" in name:
            raise _Invalid("requestBody.sort.properties", "a name holds no NUL")
        return Sort("property", _direction(direction, "properties"), name=name)  # type: ignore[arg-type]
    known = ", ".join((*SORT_KEYS, "properties"))
    raise _Invalid("requestBody.sort", f"There is no such order. There are: {known}.", _echo(next(iter(raw))))


def _known_sort(key: str, direction: Any) -> Sort:
    if key in ("random", "values"):
        return Sort(SORT_KEYS[key])
    checked = _direction(direction, key)
    is_fallback = not SORT_KEYS[key] and key != "created_at"
    return Sort() if is_fallback else Sort(SORT_KEYS[key], checked)  # type: ignore[arg-type]


def _direction(raw: Any, key: str) -> str:
    if raw not in ("asc", "desc"):
        raise _Invalid(f"requestBody.sort.{key}", "a direction is asc or desc", _echo(raw))
    return str(raw)


# --- how it is answered ---------------------------------------------------------------------------------------


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _responded_at(row: RequestRow) -> datetime | None:
    return None if row.duration_ms is None else row.requested_at + timedelta(milliseconds=row.duration_ms)


def _less(total: int | None, *parts: int | None) -> int | None:
    return None if total is None else max(0, total - sum(part or 0 for part in parts))


def _tokens(row: RequestRow) -> dict[str, int | None]:
    """Helicone's counts exclude what ours include: cache from the prompt, reasoning from the completion."""
    is_counted = row.input_tokens is not None or row.output_tokens is not None
    return {
        "total_tokens": (row.input_tokens or 0) + (row.output_tokens or 0) if is_counted else None,
        "prompt_tokens": _less(row.input_tokens, row.cache_read_tokens, row.cache_write_tokens),
        "completion_tokens": _less(row.output_tokens, row.reasoning_tokens),
        "prompt_cache_read_tokens": row.cache_read_tokens,
        "prompt_cache_write_tokens": row.cache_write_tokens,
        "reasoning_tokens": row.reasoning_tokens,
        "prompt_audio_tokens": row.input_audio_tokens,
        "completion_audio_tokens": row.output_audio_tokens,
    }


def _usd(nano: int | None) -> float | None:
    return None if nano is None else nano / 1e9


def _estimate(row: RequestRow) -> dict[str, Any] | None:
    """Ours: what the counts would be where nobody told them; beside the counts, never in them."""
    if row.estimate_method is None:
        return None
    return {
        "prompt_tokens": row.estimated_input_tokens,
        "completion_tokens": row.estimated_output_tokens,
        "cost": _usd(row.estimated_cost_nano_usd),
        "method": row.estimate_method,
    }


def _properties(row: RequestRow) -> dict[str, str]:
    """A session is three properties in Helicone's world."""
    session = {
        "Helicone-Session-Id": row.session_id, "Helicone-Session-Path": row.session_path,
        "Helicone-Session-Name": row.session_name,
    }  # fmt: skip
    return {**row.properties, **{key: value for key, value in session.items() if value}}


def _provider_name(slug: str) -> str:
    found = by_slug(slug)
    return found.helicone if found else "CUSTOM"


def _helicone_request(row: RequestRow, request_id: str) -> dict[str, Any]:
    """`HeliconeRequest` without its bodies."""
    responded_at, properties = _responded_at(row), _properties(row)
    return {
        "response_id": str(row.id),
        "response_created_at": _iso(responded_at),
        "response_status": row.status,
        "response_model": row.response_model,
        "request_id": request_id,
        "request_created_at": _iso(row.requested_at),
        "request_path": loose.path(row.target_url),
        "request_user_id": row.end_user_id,
        "request_properties": properties,
        "request_model": row.request_model,
        "model_override": row.model if row.model not in (row.request_model, row.response_model) else None,
        "helicone_user": None,
        "provider": _provider_name(row.provider),
        "delay_ms": row.duration_ms,
        "time_to_first_token": row.time_to_first_token_ms,
        **_tokens(row),
        "cost": _usd(row.cost_nano_usd),
        "estimate": _estimate(row),
        "prompt_id": row.prompt_id or "",
        "prompt_version": row.prompt_version or "",
        "llmSchema": None,
        "country_code": row.country_code,
        "asset_ids": [],
        "asset_urls": None,
        "scores": dict(row.scores or {}),
        "properties": properties,
        "assets": [],
        "target_url": row.target_url,
        "model": row.model or "unknown",
        "cache_reference_id": str(row.cached_from or row.id) if row.cached else filter_json.NO_CACHE_HIT,
        "cache_enabled": row.cached,
        "updated_at": _iso(responded_at or row.requested_at),
        "request_referrer": "",
        "ai_gateway_body_mapping": "",
        "storage_location": "clickhouse",
    }


def _answer(request: Request, rows: Sequence[RequestRow], *, has_bodies: bool = True) -> list[dict[str, Any]]:
    """Rows of one organisation as Helicone's, bodies inline as far as they fit."""
    organization_id: int = _organization(request)
    named = queries.alias_owners(organization_id, rows)
    answers = [
        _helicone_request(row, row.client_request_id if row.id in named and row.client_request_id else str(row.id))
        for row in rows
    ]
    if not has_bodies:
        return [{**answer, "request_body": NOT_ASKED, "response_body": NOT_ASKED} for answer in answers]
    inline = _fitting(rows)
    stored = queries.bodies([row for row in rows if row.id in inline])
    sides = [_sides(request, row, inline, bodies.read(stored.get(row.id))) for row in rows]
    return [{**answer, **side} for answer, side in zip(answers, sides, strict=True)]


def _fitting(rows: Sequence[RequestRow]) -> set[UUID]:
    """Ids of the rows whose bodies go into the answer itself."""
    room, fitting = INLINE_TOTAL, set()
    for row in rows:
        size = row.request_bytes + row.response_bytes
        if size <= min(INLINE_BYTES, room):
            room -= size
            fitting.add(row.id)
    return fitting


def _sides(request: Request, row: RequestRow, inline: set[UUID], found: bodies.Bodies) -> dict[str, Any]:
    if row.id in inline:
        asked, answered = bodies.values(row.dialect, found)
        return {"request_body": asked, "response_body": answered}
    token = signing.dumps([row.organization_id, str(row.id)], salt=LINK_SALT)
    url = request.build_absolute_uri(reverse("api-request-body", args=[token]))
    return {
        "request_body": LINKED, "response_body": LINKED, "signed_body_url": url, "storage_location": "s3",
    }  # fmt: skip


class QueryRequests(_View):
    """POST /v1/request/query and /v1/request/query-clickhouse: 201 with the list."""

    def post(self, request: Request) -> Response:
        asked = _query(request)
        rows = queries.ordered(asked.question, sort=asked.sort, limit=asked.limit, offset=asked.offset)
        return Response({"data": _answer(request, rows), "error": None}, 201)


class CountRequests(_View):
    """POST /v1/request/count/query."""

    def post(self, request: Request) -> Response:
        return Response({"data": queries_sums.count_all(_query(request).question), "error": None})


class QueryIds(_View):
    """POST /v1/request/query-ids: those of the ids that are there, in the order asked."""

    def post(self, request: Request) -> Response:
        ids = _object(request).get("requestIds")
        if not isinstance(ids, list) or not all(isinstance(text, str) for text in ids):
            raise _Invalid("requestBody.requestIds", "a list of ids is expected")
        if len(ids) > MOST_ROWS:
            raise _Invalid("requestBody.requestIds", f"at most {MOST_ROWS} ids at once")
        found = [queries.one(_organization(request), text) for text in ids]
        return Response({"data": _answer(request, [row for row in found if row]), "error": None})


class OneRequest(_View):
    """GET /v1/request/{id}?includeBody=true, by our id or the client's own."""

    def get(self, request: Request, request_id: str) -> Response:
        row = queries.one(_organization(request), request_id)
        if row is None:
            raise NotFound("Request not found: no request of this organization has this id.")
        has_bodies = request.query_params.get("includeBody", "").lower() in ("true", "1")
        return Response({"data": _answer(request, [row], has_bodies=has_bodies)[0], "error": None})


class RequestBodyLink(_View):
    """GET /v1/request/body/{token}: both bodies, for whoever holds a link of the last 24 h."""

    authentication_classes = []
    permission_classes = []

    def get(self, request: Request, token: str) -> Response:
        try:
            organization_id, request_id = signing.loads(token, salt=LINK_SALT, max_age=LINK_SECONDS)
        except signing.BadSignature:
            raise NotFound("This link is not valid any more: ask for the request again.") from None
        row = queries.one(organization_id, request_id)
        found = bodies.read(queries.body(row)) if row else bodies.Bodies()
        asked, answered = bodies.values(row.dialect if row else "", found)
        return Response({"request": asked, "response": answered})
