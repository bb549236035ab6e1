"""Bodies at rest: zstd frames, with an optional dictionary named by its version."""

from __future__ import annotations

from collections.abc import Mapping

import zstandard

LEVEL = 3
MAX_OUTPUT = 1 << 30

_compressor = zstandard.ZstdCompressor(level=LEVEL)
_decompressor = zstandard.ZstdDecompressor()


def compress(data: bytes) -> bytes:
    return _compressor.compress(data)


def decompress(data: bytes, *, dict_version: int = 0, dictionaries: Mapping[int, bytes] | None = None) -> bytes:
    """What `compress` took. `dict_version` 0 means no dictionary. Raises KeyError for an unknown version."""
    if dict_version == 0:
        return _decompressor.decompress(data, max_output_size=MAX_OUTPUT)
    dictionary = zstandard.ZstdCompressionDict((dictionaries or {})[dict_version])
    return zstandard.ZstdDecompressor(dict_data=dictionary).decompress(data, max_output_size=MAX_OUTPUT)
