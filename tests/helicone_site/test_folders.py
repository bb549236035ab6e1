"""lib/folders: folders nobody else may look into."""

from __future__ import annotations

import os
import stat

import pytest

from lib import folders


def _mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_one_is_ours_alone_whatever_the_umask(tmp_path):
    old = os.umask(0)
    try:
        assert _mode(folders.make_private(tmp_path / "a" / "b")) == 0o700
    finally:
        os.umask(old)


def test_ours_that_was_open_is_closed(tmp_path):
    tmp_path.chmod(0o755)
    assert _mode(folders.make_private(tmp_path)) == 0o700


def test_a_file_in_its_place_is_said(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(folders.NotPrivate, match="should be a folder"):
        folders.make_private(tmp_path / "a")


def test_a_link_laid_in_a_shared_folder_is_refused(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (tmp_path / "mine").mkdir()
    (shared / "run").symlink_to(tmp_path / "mine")
    with pytest.raises(folders.NotPrivate, match="is a link"):
        folders.make_private(shared / "run")


def test_a_link_of_ones_own_is_followed(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    folders.make_private(tmp_path / "data")
    assert _mode(tmp_path / "disk") == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_somebody_elses_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 12345, -1)
    with pytest.raises(folders.NotPrivate, match="belongs to user 12345"):
        folders.make_private(tmp_path / "theirs")
