"""A provider's usage object comes back as it was sent, in little room, for ever."""

from __future__ import annotations

import orjson
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from requests_app import queries, usage_packing
from requests_app.usage_packing import pack, unpack
from tests.requests_app.factories import make_request

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4), max_leaves=20,
)  # fmt: skip
USAGE = {
    "prompt_tokens": 1412, "completion_tokens": 317, "total_tokens": 1729,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0,
                                  "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
}  # fmt: skip


@given(st.dictionaries(st.text(), values, max_size=6))
def test_whatever_was_sent_comes_back(sent):
    assert unpack(pack(sent)) == sent


def test_no_usage_is_no_usage_and_an_empty_one_is_empty():
    assert unpack(pack(None)) is None and unpack(pack({})) == {}


def test_what_was_packed_once_is_read_for_ever():
    kept = bytes.fromhex("016004001501007831343132333137313732393130323405009283a548828548c022e36f1ff1670304")
    assert unpack(kept) == USAGE
    assert unpack(b"\x00" + orjson.dumps(USAGE)) == USAGE


def test_a_common_usage_takes_a_fifth_of_its_room():
    assert len(pack(USAGE)) * 5 < len(orjson.dumps(USAGE))


def test_what_json_has_no_word_for_is_text():
    assert unpack(pack({"n": 1 + 2j, "list": (1, 2)})) == {"n": "(1+2j)", "list": [1, 2]}


def test_a_row_has_it_when_it_is_read(db):
    row = make_request(1, usage=USAGE)
    assert queries.one(1, str(row.id)).usage == USAGE
    with connection.cursor() as cursor:
        cursor.execute("SELECT length(usage) FROM llm_request")
        assert cursor.fetchone() == (len(usage_packing.pack(USAGE)),)
