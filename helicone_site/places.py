"""Where things lie on this machine. Plain paths, no Django: `up`, `edge` and settings agree by this file."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from lib import env

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text("DATA_DIR") or BASE_DIR / ".data").expanduser().absolute()
SPOOL_DIR = Path(env.text("SPOOL_DIR") or DATA_DIR / "spool")
SNAPSHOT_FILE = DATA_DIR / "snapshot.json"
FIRST_LOGIN_FILE = DATA_DIR / "first-login.json"

LONGEST_SOCKET_NAME = len("/postgres/.s.PGSQL.5432.lock")
LONGEST_SOCKET_PATH = 100
"""A unix socket's path ends at 108 bytes on Linux, 104 on macOS."""


def run_folder(data_dir: Path) -> Path:
    """The folder of sockets for a data directory: inside it, or a short private one where its path is too long.

    Or where it has a letter that is more than a letter to libpq (a comma) or in a URL.
    """
    inside = data_dir / "run"
    if len(os.fsencode(inside)) + LONGEST_SOCKET_NAME <= LONGEST_SOCKET_PATH and not set(",%#?") & set(str(inside)):
        return inside
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"helicone-{os.getuid()}-{digest}"


RUN_DIR = run_folder(DATA_DIR)
POSTGRES_SOCKETS = RUN_DIR / "postgres"
VALKEY_SOCKET = RUN_DIR / "valkey.sock"
WEB_SOCKET = RUN_DIR / "web.sock"
