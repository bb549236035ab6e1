"""One keep-alive connection to a running product, with patience where it asks for some."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlsplit

LONGEST_WAIT_SECONDS = 30.0


class Stopped(Exception):
    """Whoever runs this wants it to end."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes


class Door:
    """POSTs to one origin. Not shared between threads. A set `stop` ends every wait with Stopped."""

    def __init__(self, url: str, stop: threading.Event, *, timeout: float = 60.0) -> None:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=timeout)
        self._prefix = parts.path.rstrip("/")
        self._stop = stop

    def __enter__(self) -> Door:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._connection.close()

    def get(self, path: str) -> Answer:
        """One GET. Raises OSError."""
        return self._exchange("GET", path, b"", {})

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The answer to one POST, tried again while nobody listens or is asked to wait. Raises Stopped."""
        pause = 0.2
        while True:
            wait = pause = min(pause * 2, LONGEST_WAIT_SECONDS)
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = self._exchange("POST", path, body, headers)
                if answer.status != 503:
                    return answer
                wait = _retry_after(answer) or pause
            if self._stop.wait(wait):
                raise Stopped

    def try_post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer | None:
        """The answer to one POST whatever it is; None where there was none."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self._exchange("POST", path, body, headers)
        return None

    def _exchange(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        try:
            self._connection.request(method, self._prefix + path, body, dict(headers))
            response = self._connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise


def _retry_after(answer: Answer) -> float | None:
    """Seconds the answer asks to wait."""
    told = answer.headers.get("retry-after", "")
    return min(float(told), LONGEST_WAIT_SECONDS) if told.isdecimal() else None
