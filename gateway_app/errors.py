"""What can go wrong between a client and a provider, and how the client is told.

GatewayError                  answered in the client's own shape; `status` is HTTP's, `recorded` what the row says
 ├─ KeyMissing        401     no key of ours in the request
 ├─ KeyUnknown        401     a key nobody has, or a revoked one
 ├─ KeyMayNotWrite    403     a key that may only read
 ├─ ProviderKeyMissing 401    our key stands where the provider's belongs
 ├─ AwsKeysMissing    401     a call AWS takes only signed, and nothing to sign it with
 ├─ RegionMissing     400     nobody said which region of the provider to call
 ├─ BodyTooLarge      413     a body that must be known whole before it is sent on, and is too long for that
 ├─ TargetMissing     400     nobody said whom to call
 ├─ TargetInvalid     400     the target is no http(s) URL
 ├─ TargetRefused     403     a private address the operator has not allowed
 ├─ ProviderUnknown   404     a path that names a provider nobody described
 ├─ NotSupported      501     WebSocket
 ├─ FallbacksInvalid  400     Helicone-Fallbacks or a list of models that cannot be read, or changes no JSON body
 ├─ RouteUnknown      400     a stored route nobody made
 ├─ NoCandidate       400     of the models asked for none can be called
 ├─ AllFailed         …       every candidate failed: its status is a provider's
 ├─ CacheTooDeep      400     more answers of one request asked for than are kept
 ├─ RateLimited       429     a limit is used up
 │   ├─ BudgetExceeded 429    the call may cost more than is left of a budget
 │   └─ SessionStopped 429    a session has come to what it may
 ├─ LimitsUnreachable 503     limits cannot be looked at, and the operator wants no call then
 │   └─ BudgetsUnreachable 503  the same of budgets
 ├─ ThreatDetected    400     a screen found a threat; row -4
 ├─ PromptFlagged     400     the moderation flagged the prompt
 ├─ ScreenFailed      503     a screen could not look, and the organization wants no call then
 ├─ NotReady          503     the keys were never read
 └─ UpstreamError     502     the provider's side failed
     ├─ TokenRefused  502     a stored service account got no access token
     ├─ Unreachable   502     no address, no connection, no TLS
     ├─ Broken        502     what came was no HTTP, or ended before it was whole
     │   └─ Stale     502     a kept connection was closed just as it was used: worth a second try
     └─ Silent        504     nothing moved for UPSTREAM_TIMEOUT_SECONDS; row -2
ClientGone                    not an error to answer: the client went away; row -3
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, Literal

import orjson

from llm.exchange import STATUS_THREAT, STATUS_TIMEOUT, Problem

REGION_MISSING = (
    "Nobody said which region to call. Send it in the header 'aws-region', such as us-east-1, or in the path: "
    "/v1/gateway/bedrock/v1/us-east-1/model/<model>/converse."
)

LIMITS_AWAY = "Rate limits cannot be looked at just now. Try again in a moment."
BUDGETS_AWAY = "Budgets cannot be looked at just now. Try again in a moment."
"""Rows of calls that were made all the same have the code without these words."""

Shape = Literal["openai", "anthropic", "google", "aws"]
GOOGLE_STATUS: Final = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    413: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 501: "UNIMPLEMENTED",
    502: "UNAVAILABLE", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
AWS_TYPE: Final = {
    400: "ValidationException", 401: "UnrecognizedClientException", 403: "AccessDeniedException",
    404: "ResourceNotFoundException", 413: "ValidationException", 429: "ThrottlingException",
    503: "ServiceUnavailableException", 504: "ModelTimeoutException",
}  # fmt: skip
"""By HTTP status: the names Bedrock's clients have exceptions for."""
AWS_QUOTA: Final = "ServiceQuotaExceededException"
"""Of what will not pass when it is sent again: AWS's SDKs repeat what is throttled, and not this."""


class ClientGone(Exception):
    """The client closed its connection before the answer was whole."""


class GatewayError(Exception):
    """`message` is for the client: what is wrong and what to do."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "gateway_error"
    kind: ClassVar[str] = "api_error"
    """The `type` both shapes carry."""
    recorded: ClassVar[int | None] = None
    """Status of the row where it is not HTTP's."""
    retry_after_seconds: int | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def row_status(self) -> int:
        return self.recorded or self.status

    def problem(self) -> Problem | None:
        """What its row says of it."""
        return Problem(self.code, self.message)


class KeyMissing(GatewayError):
    status, code, kind = 401, "helicone_key_missing", "authentication_error"


class KeyUnknown(GatewayError):
    status, code, kind = 401, "invalid_api_key", "authentication_error"


class KeyMayNotWrite(GatewayError):
    status, code, kind = 403, "helicone_key_read_only", "permission_error"


class ProviderKeyMissing(GatewayError):
    status, code, kind = 401, "provider_key_not_found", "authentication_error"


class AwsKeysMissing(GatewayError):
    status, code, kind = 401, "aws_credentials_missing", "authentication_error"


class RegionMissing(GatewayError):
    status, code, kind = 400, "region_missing", "invalid_request_error"


class BodyTooLarge(GatewayError):
    status, code, kind = 413, "body_too_large", "invalid_request_error"


class TargetMissing(GatewayError):
    status, code, kind = 400, "target_missing", "invalid_request_error"


class TargetInvalid(GatewayError):
    status, code, kind = 400, "target_invalid", "invalid_request_error"


class TargetRefused(GatewayError):
    status, code, kind = 403, "target_refused", "permission_error"


class ProviderUnknown(GatewayError):
    status, code, kind = 404, "provider_unknown", "not_found_error"


class NotSupported(GatewayError):
    status, code, kind = 501, "not_supported", "invalid_request_error"


class FallbacksInvalid(GatewayError):
    status, code, kind = 400, "fallbacks_invalid", "invalid_request_error"


class RouteUnknown(GatewayError):
    status, code, kind = 400, "route_unknown", "invalid_request_error"


class Detailed(GatewayError):
    """Tells of each candidate what became of it, as Helicone's AI gateway does."""

    details: tuple[Mapping[str, Any], ...] = ()

    def __init__(self, message: str, details: Iterable[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.details = tuple(details)


class NoCandidate(Detailed):
    status, code, kind = 400, "no_candidate", "invalid_request_error"


class AllFailed(Detailed):
    code, kind = "all_attempts_failed", "api_error"

    def __init__(self, message: str, details: Iterable[Mapping[str, Any]], *, status: int) -> None:
        super().__init__(message, details)
        self.status = status  # type: ignore[misc]  # of this one, not of its class


class CacheTooDeep(GatewayError):
    status, code, kind = 400, "cache_bucket_too_large", "invalid_request_error"


class RateLimited(GatewayError):
    status, code, kind = 429, "rate_limited", "rate_limit_error"
    is_final: bool = False
    """It will not pass when it is sent again in a moment."""

    def __init__(
        self, message: str, *, retry_after_seconds: int | None = 1, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.details = details or {}
        """The same in numbers, beside the message."""


class BudgetExceeded(RateLimited):
    code = "budget_exceeded"
    is_final = True


class SessionStopped(RateLimited):
    code = "session_stopped"
    is_final = True


class LimitsUnreachable(GatewayError):
    status, code, kind = 503, "limits_unreachable", "api_error"
    retry_after_seconds = 2


class BudgetsUnreachable(LimitsUnreachable):
    code = "budgets_unreachable"
class Blocked(GatewayError):
    """Not let through for what it says. `details` is where to read about it."""

    status, kind = 400, "invalid_request_error"
    details: str = ""

    def problem(self) -> Problem | None:
        """The screen has said it."""
        return None


class ThreatDetected(Blocked):
    code, recorded = "PROMPT_THREAT_DETECTED", STATUS_THREAT

    @staticmethod
    def of(url: str, *, is_reply: bool) -> ThreatDetected:
        what, kind = ("Reply", ReplyThreat) if is_reply else ("Prompt", ThreatDetected)
        error = kind(f"{what} threat detected. Your request cannot be processed.")
        error.details = f"See more details here: {url}"
        return error


class ReplyThreat(ThreatDetected):
    """The provider's reply was held back; it is this exchange's reply in the record."""

    code = "REPLY_THREAT_DETECTED"


class PromptFlagged(Blocked):
    code = "PROMPT_FLAGGED_FOR_MODERATION"

    @classmethod
    def of(cls, url: str) -> PromptFlagged:
        error = cls("The given prompt was flagged by the OpenAI Moderation endpoint.")
        error.details = f"See your Helicone request page for more info: {url}"
        return error


class ScreenFailed(GatewayError):
    status, code, kind = 503, "screen_failed", "api_error"
    retry_after_seconds = 2


class NotReady(GatewayError):
    status, code, kind = 503, "not_ready", "api_error"
    retry_after_seconds = 2


class UpstreamError(GatewayError):
    status, code, kind = 502, "upstream_failed", "api_error"


class TokenRefused(UpstreamError):
    code, kind = "provider_token_refused", "authentication_error"


class Unreachable(UpstreamError):
    code = "upstream_unreachable"


class Broken(UpstreamError):
    code = "upstream_broken"


class Stale(Broken):
    """The connection was a kept one, not a byte had been answered, and to ask again does no harm."""


class Silent(UpstreamError):
    status, code, kind = 504, "upstream_timeout", "timeout_error"
    recorded = STATUS_TIMEOUT


def body(error: GatewayError, shape: Shape) -> bytes:
    """The error as the client's SDK expects to read it; of a limit or a block also as Helicone's clients do."""
    if isinstance(error, Blocked):
        return _blocked(error, shape)
    more: dict[str, Any] = {"message": error.message} if isinstance(error, RateLimited) else {}
    told: dict[str, Any] = {"message": error.message, "type": error.kind}
    if isinstance(error, RateLimited) and error.details:
        told["details"] = error.details
    if isinstance(error, Detailed):
        more, told = {**more, "success": False}, {**told, "details": list(error.details)}
    if shape == "anthropic":
        return orjson.dumps({"type": "error", "error": told, **more})
    if shape == "google":
        return orjson.dumps({"error": _google(error, told.get("details")), **more})
    if shape == "aws":
        del told["type"]
        return orjson.dumps({**told, **more, **_aws(error)})
    return orjson.dumps({"error": {**told, "param": None, "code": error.code}, **more})


def _google(error: GatewayError, details: Any = None) -> dict[str, Any]:
    """Google's Status: its `details` are a list of objects that say what they are."""
    kind = "type.googleapis.com/google.rpc.ErrorInfo"
    info: dict[str, Any] = {"@type": kind, "reason": error.code, "domain": "helicone"}
    if isinstance(details, Mapping):
        info["metadata"] = {name: _text(value) for name, value in details.items()}
    listed = details if isinstance(details, list) else []
    status = GOOGLE_STATUS.get(error.status, "UNKNOWN" if error.status < 500 else "INTERNAL")
    return {"code": error.status, "message": error.message, "status": status, "details": [info, *listed]}


def _text(value: Any) -> str:
    """ErrorInfo's metadata are texts."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _aws(error: GatewayError) -> dict[str, str]:
    """The exception's name, and what we call it."""
    is_final = isinstance(error, RateLimited) and error.is_final
    name = AWS_QUOTA if is_final else AWS_TYPE.get(error.status, "InternalServerException")
    return {"__type": name, "reason": error.code}


def _blocked(error: Blocked, shape: Shape) -> bytes:
    """Helicone's own body, with what the client's SDK looks for beside it."""
    told: dict[str, Any] = {"code": error.code, "message": error.message, "details": error.details, "type": error.kind}
    more: dict[str, Any] = {"type": "error"} if shape == "anthropic" else {}
    if shape == "aws":
        more = {"message": error.message, **_aws(error)}
    if shape == "google":
        told = {**_google(error, {"code": error.code, "details": error.details}), "type": error.kind}
    return orjson.dumps({"success": False, "error": told, **more})
