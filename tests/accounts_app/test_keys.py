"""Where a key may stand, which of several speaks, and what is left for the provider."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_app.keys import KEY, hash_key, looks_like_key, mint, present

A = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
B = "pk-helicone-eu-aaaaaaa-bbbbbbb-ccccccc-ddddddd"


def test_a_minted_key_has_the_shape_and_no_two_are_the_same():
    keys = {mint() for _ in range(50)}
    assert len(keys) == 50
    assert all(KEY.fullmatch(key) and key == key.lower() and "-eu-" not in key for key in keys)


def test_a_key_is_kept_as_helicone_keeps_it():
    assert hash_key("k") == hashlib.sha256(b"Bearer k").hexdigest()


@pytest.mark.parametrize(
    ("headers", "path_key", "key", "left"),
    [
        ({"helicone-auth": f"Bearer {A}", "authorization": "Bearer sk-x"}, None, A, None),
        ({"helicone-auth": f"bearer {A}"}, B, A, None),
        ({"helicone-auth": A}, None, A, None),
        ({"authorization": "Bearer sk-x"}, B, B, None),
        ({"authorization": f"Bearer sk-x, Bearer {A}"}, None, A, {"authorization": "Bearer sk-x"}),
        ({"authorization": f"Bearer {B},Bearer sk-x"}, None, B, {"authorization": "Bearer sk-x"}),
        ({"authorization": f"Bearer {A}"}, None, A, {"authorization": None}),
        ({"x-api-key": A}, None, A, {"x-api-key": None}),
        ({"x-api-key": A, "helicone-auth": f"Bearer {B}"}, None, B, {"x-api-key": None}),
        ({"x-api-key": "sk-ant"}, None, None, None),
        ({}, None, None, None),
    ],
)
def test_the_key_is_found_by_precedence_and_never_left_for_the_provider(headers, path_key, key, left):
    presented = present(headers, path_key)
    assert (presented.key, presented.credentials) == (key, left)


@given(st.dictionaries(st.sampled_from(["authorization", "x-api-key", "api-key", "helicone-auth"]),
                       st.lists(st.sampled_from([A, B, f"Bearer {A}", "Bearer sk-x", "", "basic zz"]), max_size=3)
                       .map(", ".join)))  # fmt: skip
def test_no_mixture_of_headers_lets_a_key_of_ours_through(headers):
    left = {**headers, **(present(headers).credentials or {})}
    left.pop("helicone-auth", None)
    assert not any("k-helicone-" in (value or "") for value in left.values())


def test_what_looks_like_a_key():
    assert looks_like_key(A)
    assert looks_like_key("sk-aaaaaaa-bbbbbbb-ccccccc-ddddddd")
    assert not looks_like_key("sk-proj-abcdef")
    assert not looks_like_key(A + "x")
