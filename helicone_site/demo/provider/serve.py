"""The fake provider inside another process, on a thread of its own."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit

import uvicorn

from helicone_site.demo.provider.app import app

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def serve_if_nobody_does(url: str) -> bool:
    """Whether a fake provider now answers at a loopback URL: ours, or whoever was there already."""
    parts = urlsplit(url)
    if parts.hostname not in LOOPBACK or parts.port is None:
        return False
    try:
        listening = socket.create_server((parts.hostname, parts.port))
    except OSError:
        return True
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))
    threading.Thread(target=server.run, args=([listening],), name="fake-provider", daemon=True).start()
    return True
