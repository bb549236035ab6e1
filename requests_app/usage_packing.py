"""A provider's usage object as a row keeps it: its JSON in 30 – 60 bytes.

The same twenty words stand in every one of them, so they are in a dictionary that is part of the code. What was packed
must be readable for ever: SHAPES is never changed; more words would be a second list with a format byte of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson
import zstandard

from requests_app.columns import json_safe

PLAIN, PACKED = b"\x00", b"\x01"
"""The first byte: JSON follows, or a zstd frame without its magic number."""
LEVEL = 9
MAX_OUTPUT = 1 << 24

SHAPES = (
    '{"search_units":0,"images":0,"audio_ms":0,"characters":0,"server_tool_use":{"web_search_requests":0,"web_fetch_requests":0}}'
    '{"prompt_tokens":0,"total_tokens":0,"completion_tokens":0,"num_cached_tokens":0,"prompt_cache_hit_tokens":0,"prompt_cache_miss_tokens":0}'
    '{"completion_time":0.0,"completion_tokens":0,"prompt_time":0.0,"prompt_tokens":0,"queue_time":0.0,"total_time":0.0,"total_tokens":0}'
    '{"billed_units":{"input_tokens":0,"output_tokens":0},"cached_tokens":0,"tokens":{"input_tokens":0,"output_tokens":0}}'
    '{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"cost":0.0,"is_byok":false,"prompt_tokens_details":{"text_tokens":0,"cached_tokens":0,"cache_write_tokens":0,"audio_tokens":0,"image_tokens":0,"video_tokens":0},"cost_details":{"upstream_inference_cost":0.0,"upstream_inference_prompt_cost":0.0,"upstream_inference_completions_cost":0.0},"completion_tokens_details":{"reasoning_tokens":0,"image_tokens":0,"audio_tokens":0}}'
    '{"cacheReadInputTokenCount":0,"cacheReadInputTokens":0,"cacheWriteInputTokenCount":0,"cacheWriteInputTokens":0,"inputTokens":0,"outputTokens":0,"serverToolUsage":{},"totalTokens":0}'
    '{"promptTokenCount":0,"candidatesTokenCount":0,"totalTokenCount":0,"cachedContentTokenCount":0,"toolUsePromptTokenCount":0,"promptTokensDetails":[{"modality":"TEXT","tokenCount":0}],"candidatesTokensDetails":[{"modality":"TEXT","tokenCount":0},{"modality":"IMAGE","tokenCount":0},{"modality":"AUDIO","tokenCount":0}],"thoughtsTokenCount":0,"serviceTier":"standard","trafficType":"ON_DEMAND"}'
    '{"candidatesTokenCount":0,"candidatesTokensDetails":[{"modality":"TEXT","tokenCount":0}],"promptTokenCount":0,"promptTokensDetails":[{"modality":"TEXT","tokenCount":0}],"thoughtsTokenCount":0,"totalTokenCount":0,"trafficType":"ON_DEMAND"}'
    '{"cache_creation":{"ephemeral_1h_input_tokens":0,"ephemeral_5m_input_tokens":0},"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"inference_geo":"not_available","input_tokens":0,"output_tokens":0,"output_tokens_details":{"thinking_tokens":0},"service_tier":"standard"}'
    '{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":0,"service_tier":"standard","inference_geo":"global"}'
    '{"input_tokens":0,"input_tokens_details":{"cache_write_tokens":0,"cached_tokens":0},"output_tokens":0,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":0}'
    '{"completion_tokens":0,"completion_tokens_details":{"accepted_prediction_tokens":0,"audio_tokens":0,"reasoning_tokens":0,"rejected_prediction_tokens":0},"prompt_tokens":0,"prompt_tokens_details":{"audio_tokens":0,"cached_tokens":0},"total_tokens":0}'
    '{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}'
)  # fmt: skip

_DICTIONARY = zstandard.ZstdCompressionDict(SHAPES.encode(), dict_type=zstandard.DICT_TYPE_RAWCONTENT)
_PARAMETERS = zstandard.ZstdCompressionParameters.from_level(
    LEVEL, source_size=200, dict_size=len(SHAPES), format=zstandard.FORMAT_ZSTD1_MAGICLESS, write_content_size=True
)
_DICTIONARY.precompute_compress(compression_params=_PARAMETERS)


LONGEST_REMEMBERED = 512


class _Own(threading.local):
    """A thread's contexts: they are not to be shared."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(compression_params=_PARAMETERS, dict_data=_DICTIONARY).compress
        self.decompress = zstandard.ZstdDecompressor(
            dict_data=_DICTIONARY, format=zstandard.FORMAT_ZSTD1_MAGICLESS
        ).decompress


_own = _Own()


def pack(sent: Mapping[str, Any] | None) -> bytes | None:
    """The object; None stays None."""
    if sent is None:
        return None
    text = _json(sent)
    return _packed_before(text) if len(text) <= LONGEST_REMEMBERED else _packed(text)


def _packed(text: bytes) -> bytes:
    packed = _own.compress(text)
    return PACKED + packed if len(packed) < len(text) else PLAIN + text


_packed_before = lru_cache(maxsize=4096)(_packed)
"""Of a call just stored it is asked again."""


def _json(sent: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(sent)
    except TypeError:
        return orjson.dumps(json_safe(sent), default=str)


def unpack(stored: bytes | memoryview | None) -> dict[str, Any] | None:
    if stored is None:
        return None
    data = bytes(stored)
    text = _own.decompress(data[1:], max_output_size=MAX_OUTPUT) if data[:1] == PACKED else data[1:]
    return orjson.loads(text)  # type: ignore[no-any-return]
