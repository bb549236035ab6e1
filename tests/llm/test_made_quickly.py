"""Frozen dataclasses by a quicker way, and ids whose randomness is fetched for many at once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_app.directives import Directives
from lib import clock
from lib.clock import now, uuid7
from lib.quick import maker
from llm.exchange import Attribution, Body

words = st.text(max_size=5)


@given(st.builds(Attribution, words, words, properties=st.dictionaries(words, words)))
def test_what_is_made_quickly_is_what_its_class_makes(one):
    told = {each.name: getattr(one, each.name) for each in fields(one)}
    made = maker(Attribution)(**told)
    assert (made, type(made), repr(made)) == (one, Attribution, repr(one))
    assert replace(made, session_id="s") == replace(one, session_id="s")


def test_it_is_as_frozen_and_each_has_defaults_of_its_own():
    made, other = maker(Directives)(), maker(Directives)()
    assert made == Directives()
    assert made.attribution is not other.attribution
    with pytest.raises(FrozenInstanceError):
        made.omit_request = True
    with pytest.raises(TypeError):
        maker(Body)(b"", colour="red")


def test_no_two_ids_are_the_same_whoever_mints_them():
    moment = now()
    with ThreadPoolExecutor(8) as threads:
        made = [one for many in threads.map(lambda _: [uuid7(moment) for _ in range(3000)], range(8)) for one in many]
    assert len(set(made)) == len(made)


def test_a_fork_takes_no_randomness_along():
    uuid7(now())
    assert clock._randomness._left
    child = os.fork()
    if not child:
        os._exit(len(clock._randomness._left))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
