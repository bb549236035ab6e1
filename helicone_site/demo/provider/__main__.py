"""python -m helicone_site.demo.provider --port 8586"""

from __future__ import annotations

import argparse
import socket
import sys

import uvicorn

from helicone_site.demo.provider.app import app


def main() -> None:
    """Serve until told to stop; says on its first line where it listens."""
    arguments = _arguments()
    listening = None if arguments.socket else _listen(arguments.host, arguments.port)
    where = f"unix:{arguments.socket}" if listening is None else f"http://{arguments.host}:{listening.getsockname()[1]}"
    sys.stdout.write(f"fake provider at {where}\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        app,
        uds=arguments.socket,
        log_level=arguments.log_level,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(config).run(sockets=[listening] if listening else None)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m helicone_site.demo.provider", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8586, help="0 takes a free one")
    parser.add_argument("--socket", help="listen on this unix socket instead")
    parser.add_argument("--log-level", default="warning")
    return parser.parse_args()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=1024)


if __name__ == "__main__":
    main()
