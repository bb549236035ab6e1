"""How much of what is being sent to us is held at once, whoever sends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

MOST_HELD = 256 * 2**20
"""Bytes of bodies; read, they may take several times as much."""


class NoRoom(Exception):
    """What was to be taken is more than is left just now."""


class Room:
    """Bytes shared by all who send. Belongs to one event loop."""

    def __init__(self) -> None:
        self.left = MOST_HELD

    @contextmanager
    def share(self) -> Iterator[Share]:
        """One sender's part of it, given back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.left += share.held


class Share:
    __slots__ = ("_room", "held")

    def __init__(self, room: Room) -> None:
        self._room, self.held = room, 0

    def take(self, size: int) -> None:
        """Holds so many bytes more. Raises NoRoom; then nothing was taken."""
        if size > self._room.left:
            raise NoRoom
        self._room.left -= size
        self.held += size
