"""helicone_site/places: where the sockets of a data directory lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from helicone_site import places


def longest_socket(data_dir: Path) -> int:
    return len(os.fsencode(places.run_folder(data_dir))) + places.LONGEST_SOCKET_NAME


def test_a_short_data_directory_holds_its_sockets_itself():
    assert places.run_folder(Path("/srv/helicone")) == Path("/srv/helicone/run")


@pytest.mark.parametrize("length", range(40, 240, 7))
def test_a_socket_s_path_always_fits(length):
    assert longest_socket(Path("/" + "x" * length)) <= places.LONGEST_SOCKET_PATH


def test_letters_of_several_bytes_are_counted_as_bytes():
    assert longest_socket(Path("/" + "ü" * 60)) <= places.LONGEST_SOCKET_PATH


@pytest.mark.parametrize("letter", [",", "%", "#", "?"])
def test_a_letter_that_means_something_in_an_address_moves_the_sockets_out(letter):
    assert letter not in str(places.run_folder(Path(f"/srv/a{letter}b")))


def test_two_data_directories_never_share_a_folder():
    long = "/" + "x" * 200
    assert places.run_folder(Path(long + "a")) != places.run_folder(Path(long + "b"))
