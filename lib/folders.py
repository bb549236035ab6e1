"""Folders nobody else may look into."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class NotPrivate(Exception):
    """A folder that should be ours alone belongs to somebody else."""


def make_private(path: Path) -> Path:
    """The folder, 0700 and ours; made with its parents if missing.

    One that is there already is taken only from ourselves: in a shared folder such as /tmp anybody could have put it
    there first. Raises NotPrivate.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        _verify(path)
    path.chmod(0o700)
    return path


def _verify(path: Path) -> None:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode) and path.parent.stat().st_mode & stat.S_ISVTX:
        raise NotPrivate(f"{path} is a link in a folder everybody may write to; remove it and start again.")
    if not path.is_dir():
        raise NotPrivate(f"{path} should be a folder; remove what is there and start again.")
    if path.stat().st_uid != os.geteuid():
        raise NotPrivate(
            f"{path} belongs to user {path.stat().st_uid}, not to you ({os.geteuid()}). Start as that user, "
            f"or give it to yourself: chown -R {os.geteuid()} {path}"
        )
