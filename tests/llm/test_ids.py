"""Ids, whose randomness is fetched for many at once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from lib import clock
from lib.clock import now, uuid7


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
