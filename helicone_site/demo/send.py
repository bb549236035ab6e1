"""Posting steps to the log doors, a few dozen at once."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from helicone_site.demo import wire
from helicone_site.demo.door import Door
from helicone_site.demo.step import Step
from helicone_site.demo.tracing import PATH, Trace

AT_ONCE = 24
log = logging.getLogger("helicone_site.demo")


class KeyRefused(Exception):
    """The product does not know the key; nothing more is sent."""


def send(steps: Iterable[Step], url: str, key: str, *, stop: threading.Event, at_once: int = AT_ONCE) -> Counter[int]:
    """How many were answered with which status. Raises KeyRefused, and Stopped once `stop` is set."""
    waiting = list(steps)
    shares = [waiting[start::at_once] for start in range(at_once)]
    with ThreadPoolExecutor(at_once, "demo") as pool:
        answered = pool.map(lambda share: _send_share(share, url, key, stop), shares)
        try:
            return sum(answered, Counter())
        except BaseException:
            stop.set()
            raise


def send_traces(traces: Iterable[Trace], url: str, key: str, *, stop: threading.Event) -> Counter[int]:
    """How many were answered with which status, as `send`."""
    answered: Counter[int] = Counter()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with Door(url, stop) as door:
        for trace in traces:
            answer = door.post(PATH, trace.export(), headers)
            if answer.status == 401:
                raise KeyRefused(answer.body.decode(errors="replace")[:300])
            answered[answer.status] += 1
    return answered


def _send_share(steps: Sequence[Step], url: str, key: str, stop: threading.Event) -> Counter[int]:
    """Every n-th step by one connection, oldest first, so that all shares move through time together."""
    answered: Counter[int] = Counter()
    with Door(url, stop) as door:
        for step in steps:
            answered[post(step, door, key)] += 1
    return answered


def post(step: Step, door: Door, key: str) -> int:
    """Posts one step; its status. Raises KeyRefused and Stopped."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    answer = door.post(wire.door(step), wire.posting(step), headers)
    if answer.status == 401:
        raise KeyRefused(answer.body.decode(errors="replace")[:300])
    if answer.status != 200:
        log.warning("refused status=%s step=%s answer=%r", answer.status, step.id, answer.body[:200])
    return answer.status
