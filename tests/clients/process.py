"""A client as a process, and what it answers."""

from __future__ import annotations

import contextlib
import json
import selectors
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.journeys.stack import Stack

ROOT = Path(__file__).resolve().parent.parent.parent
ANSWER_SECONDS = 120.0
"""Generous: the first answer waits for the client's imports."""


class ClientFailed(AssertionError):
    """A call raised in the client: `kind` is the exception's name."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message


class Client:
    """One client package, called by name: `client("chat", model=...)` gives what its `calls.py` returns."""

    def __init__(self, command: list[str], stack: Stack, log: Path, **environment: str) -> None:
        self._log = log
        told = {"PRODUCT_URL": stack.url, "PRODUCT_KEY": stack.key, "FAKE_PROVIDER_URL": stack.provider.url}
        kept = {name: value for name, value in stack.environment.items() if name in {"PATH", "HOME", "TMPDIR"}}
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**kept, "PYTHONDONTWRITEBYTECODE": "1", **told, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )

    def __call__(self, call: str, **arguments: Any) -> Any:
        """Raises ClientFailed for what the client raised."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: what it said last is told below
            self._process.stdin.write(json.dumps({"call": call, "arguments": arguments}).encode() + b"\n")
            self._process.stdin.flush()
        answer = json.loads(self._line(call))
        if "error" in answer:
            raise ClientFailed(answer["error"], answer["message"])
        return answer["result"]

    def _line(self, call: str) -> bytes:
        """One line of answer; it is all that was written, so that nothing stays in a buffer unseen."""
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline() if selector.select(ANSWER_SECONDS) else b""
        assert line, f"no answer to {call}:\n{self._log.read_text()[-4000:]}"
        return line

    def stop(self) -> None:
        """Lets it end by itself first: what an SDK still has to send, it sends then."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
