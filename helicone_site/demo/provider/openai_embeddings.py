"""OpenAI embeddings: vectors that are the same for the same text, as floats or base64."""

from __future__ import annotations

import base64
import hashlib
import math
import random
import struct
from typing import Any

from helicone_site.demo.provider.reply import BadRequestError, Json, required, tokens

DIMENSIONS = {"text-embedding-3-large": 3072}
DEFAULT_DIMENSIONS = 1536


def reply_body(body: Json) -> Json:
    """The whole reply. Raises BadRequestError."""
    model, inputs = required(body, "model", str), _inputs(body)
    length = body.get("dimensions") or DIMENSIONS.get(model, DEFAULT_DIMENSIONS)
    used = sum(len(one) if isinstance(one, list) else tokens(one) for one in inputs)
    as_base64 = body.get("encoding_format") == "base64"
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _written(_vector(one, length), as_base64)}
            for index, one in enumerate(inputs)
        ],
        "model": model,
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }


def _inputs(body: Json) -> list[str | list[int]]:
    """The texts, or token lists, to embed."""
    given = body.get("input")
    if isinstance(given, str) and given:
        return [given]
    if not isinstance(given, list) or not given:
        raise BadRequestError("'input' must be a string or a list that is not empty.", "input")
    return [given] if isinstance(given[0], int) else given


def _vector(one: Any, length: int) -> list[float]:
    """A unit vector."""
    dice = random.Random(hashlib.sha256(repr(one).encode()).digest())  # noqa: S311 - nothing here is secret
    values = [dice.gauss(0, 1) for _ in range(length)]
    norm = math.sqrt(sum(value * value for value in values))
    return [value / norm for value in values]


def _written(vector: list[float], as_base64: bool) -> str | list[float]:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if as_base64 else vector
