"""Who sees bytes pass on their way: see `relay.Tap`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from gateway_app.capture import Capture


class Down:
    """Sees the answer pass."""

    def __init__(self, came: Callable[[bytes], None], settle: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.take = came
        self.settle = settle


class Up:
    """Sees the request's body pass."""

    def __init__(self, capture: Capture | None) -> None:
        self._capture = capture

    def take(self, chunk: bytes) -> None:
        if self._capture is not None:
            self._capture.request.take(chunk)

    async def settle(self) -> None:
        if self._capture is not None:
            await self._capture.settle()
