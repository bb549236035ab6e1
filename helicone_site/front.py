"""What anybody may send before we know who it is: uvicorn's HTTP, with bounds it does not have."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway_app.connection import MAX_NAME_BYTES

MAX_HEAD_BYTES = 512 * 1024
"""Above any read of the event loop (256 KB), so that a head is counted only where it takes several."""


class Bounded(HttpToolsProtocol):
    """A head that does not end is refused; what stands behind a body is no header, whatever it calls itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_in_head = False
        self._head_bytes = 0

    def data_received(self, data: bytes) -> None:
        was_in_head = self._is_in_head
        super().data_received(data)
        if was_in_head and self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.send_400_response(f"The headers are longer than {MAX_HEAD_BYTES} bytes.")

    def on_message_begin(self) -> None:
        self._is_in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) > MAX_NAME_BYTES:
            raise ValueError("a header's name is too long")
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()
