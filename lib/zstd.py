"""Bytes at rest: zstd frames, made with a dictionary or without.

A dictionary is in zstd's own format (RFC 8878 §5): a number, which frames made with it carry, statistics, and text.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence
from functools import cached_property

import zstandard

LEVEL, THOROUGH = 3, 12
"""The second saves a sixth and takes nine times as long: for who has the time."""
MAX_OUTPUT = 1 << 30
LONGEST_WITH_DICTIONARY = 1 << 18
"""A longer body has its own repetitions; setting a dictionary up for it costs more than it saves."""
LARGEST_DICTIONARY = 128_000
MAGIC = b"\x28\xb5\x2f\xfd"
"""What every frame begins with, so it is not kept. The byte after it cannot be its first one: it has bit 3 clear."""
_STATISTICS = 16_384
_END_OF_STATISTICS = struct.pack("<III", 1, 4, 8)
"""The three offsets every dictionary's head ends with; its text follows."""


class TooLittle(ValueError):
    """The samples are too few or too small to make a dictionary of."""


class Codec:
    """Makes and reads frames. Any number of threads may share one; each gets contexts of its own."""

    def __init__(self, dictionary: bytes | None = None) -> None:
        self._dictionary = dictionary
        self._own = threading.local()
        self._made: dict[int, zstandard.ZstdCompressionDict] = {}
        self._making = threading.Lock()

    def compress(self, data: bytes, level: int = LEVEL) -> bytes:
        """A frame without its first four bytes."""
        if len(data) > LONGEST_WITH_DICTIONARY and (self._dictionary is not None or level != LEVEL):
            return PLAIN.compress(data)
        try:
            compressor = getattr(self._own, f"level_{level}")
        except AttributeError:
            compressor = zstandard.ZstdCompressor(level=level, dict_data=self._digested(level))
            setattr(self._own, f"level_{level}", compressor)
        return compressor.compress(data)[len(MAGIC) :]  # type: ignore[no-any-return]

    def decompress(self, data: bytes) -> bytes:
        """Of a frame with its first four bytes or without. Raises zstandard.ZstdError for what is none, or was made
        with another dictionary."""
        try:
            decompressor = self._own.decompressor
        except AttributeError:
            decompressor = self._own.decompressor = zstandard.ZstdDecompressor(dict_data=self._read_only)
        frame = data if data.startswith(MAGIC) else MAGIC + data
        return decompressor.decompress(frame, max_output_size=MAX_OUTPUT)  # type: ignore[no-any-return]

    @cached_property
    def _read_only(self) -> zstandard.ZstdCompressionDict | None:
        return None if self._dictionary is None else zstandard.ZstdCompressionDict(self._dictionary)

    def _digested(self, level: int) -> zstandard.ZstdCompressionDict | None:
        """Ready to compress with: five times the memory, so only where something is compressed. One for all threads."""
        if self._dictionary is None:
            return None
        with self._making:
            if level not in self._made:
                self._made[level] = zstandard.ZstdCompressionDict(self._dictionary)
                self._made[level].precompute_compress(level=level)
        return self._made[level]


PLAIN = Codec()


def compress(data: bytes) -> bytes:
    return PLAIN.compress(data)


def decompress(data: bytes) -> bytes:
    return PLAIN.decompress(data)


def dictionary(text: bytes, *, number: int, samples: Sequence[bytes]) -> bytes:
    """A dictionary of exactly this text; the most useful should stand last. Raises TooLittle.

    Of the samples it takes how often which byte and which length occurs, and none of what they say: zstd's trainer
    writes those statistics before the text it would choose, and that text is put away here.
    """
    try:
        trained = zstandard.train_dictionary(_STATISTICS, list(samples), k=1024, d=8, level=LEVEL).as_bytes()
    except zstandard.ZstdError as error:
        raise TooLittle(str(error)) from error
    head = trained[: trained.index(_END_OF_STATISTICS) + len(_END_OF_STATISTICS)]
    made = head[:4] + struct.pack("<I", number) + head[8:] + text[-LARGEST_DICTIONARY:]
    try:
        Codec(made).compress(text[:100])
    except zstandard.ZstdError as error:
        raise TooLittle(str(error)) from error
    return made
