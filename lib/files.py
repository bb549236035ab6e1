"""Files that hold secrets: private from their first byte, whole or not there."""

from __future__ import annotations

import os
from pathlib import Path


def write_once(path: Path, text: str) -> None:
    """A new 0600 file. Raises FileExistsError where one is; of two writers one wins with its whole text."""
    draft = _draft(path, text)
    try:
        os.link(draft, path)
    finally:
        draft.unlink()


def replace(path: Path, text: str) -> None:
    """The 0600 file with this text, in one step: a reader sees the old one or the new one."""
    _draft(path, text).replace(path)


def _draft(path: Path, text: str) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return draft
