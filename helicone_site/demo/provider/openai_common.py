"""What OpenAI's formats share."""

from __future__ import annotations

import re
from typing import Any

from helicone_site.demo.provider.reply import BadRequestError, Json

_REASONING = re.compile(r"^(o\d|gpt-[5-9])")
CACHE_STEP = 128
CACHE_MINIMUM = 1024


def thinks(model: str, effort: str | None) -> bool:
    """Whether a model reasons before it answers, at the effort asked for."""
    return bool(_REASONING.match(model)) and effort not in {"none", "minimal"} and "chat" not in model


def cached(input_tokens: int, *, turns: int) -> int:
    """Tokens read from the prompt cache: none of a first turn, then long prompts in steps of 128."""
    if turns < 3 or input_tokens < CACHE_MINIMUM:
        return 0
    return input_tokens * 3 // 4 // CACHE_STEP * CACHE_STEP


def whole(body: Json, name: str, default: int) -> int:
    value: Any = body.get(name) or default
    if not isinstance(value, int) or not 1 <= value <= 128:
        raise BadRequestError(f"Invalid value for '{name}': expected a whole number from 1 to 128.", name)
    return value


def check_messages(messages: list[Any]) -> None:
    if not messages:
        raise BadRequestError("Invalid 'messages': empty array. Expected at least one message.", "messages")
    if not all(isinstance(message, dict) for message in messages):
        raise BadRequestError("Invalid type for 'messages': expected objects with a 'role'.", "messages")


def error(status: int, message: str, *, param: str | None = None) -> Json:
    """An error as OpenAI answers it."""
    kind, code = _KINDS.get(status, ("server_error" if status >= 500 else "invalid_request_error", None))
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


_KINDS: dict[int, tuple[str, str | None]] = {
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "unknown_url"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    503: ("server_error", "service_unavailable"),
}
