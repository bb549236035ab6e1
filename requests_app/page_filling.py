"""The order in which rows of very different sizes fill Postgres's pages.

Rows are appended to a page until one does not fit. Bodies are a fifth of a page on average and up to a whole one, so in
the order they come each page stays empty by half a row, a twelfth of the table.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from typing import TypeVar

ROOM = 8192 - 24
"""Bytes of a page behind its head."""
POINTER = 4
Row = TypeVar("Row")


def ordered(rows: Sequence[Row], size: Callable[[Row], int]) -> list[Row]:
    """The same rows, those of one page beside each other: each, largest first, in the fullest page that takes it.

    `size` is of the tuple, in bytes, header and all. The first row of a page fits into none before it, so appending
    them in this order begins pages where this begins them. What needs more than a page is cut by Postgres and comes
    last.
    """
    pages: list[list[Row]] = []
    rooms: list[tuple[int, int]] = []
    larger: list[Row] = []
    for taken, place in sorted(((_taken(size(row)), place) for place, row in enumerate(rows)), reverse=True):
        if taken > ROOM:
            larger.append(rows[place])
            continue
        at = bisect_left(rooms, (taken, 0))
        room, page = rooms.pop(at) if at < len(rooms) else (ROOM, len(pages))
        if page == len(pages):
            pages.append([])
        pages[page].append(rows[place])
        insort(rooms, (room - taken, page))
    return [row for page in pages for row in page] + larger


def _taken(size: int) -> int:
    return (size + 7) // 8 * 8 + POINTER
