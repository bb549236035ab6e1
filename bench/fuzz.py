"""Reading spoiled exchanges for as long as one likes: nothing may raise, nothing may take long.

    python -m bench.fuzz [--seconds 600] [--seed 1]

Seeds are the golden files and, where it is present (CORPUS_DIR), recorded traffic. Each is spoiled at random: bytes
changed, cut out, doubled; JSON values swapped for others; two replies spliced; an exchange sent to another's address.
Prints what was tried, by dialect, the slowest reading, and every exchange that tripped the reader (kept as JSON).
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from llm import render
from llm.exchange import Body, Exchange
from llm.parse import parse
from tests.wire.exchanges import golden, of_record, recorded

GOLDEN: Final = Path(__file__).parent.parent / "tests" / "wire"
LARGEST: Final = 200_000
"""Bytes of a seed; larger ones take the time of many."""
ODD: Final[tuple[Any, ...]] = (None, True, -1, 0, 2**70, 1.5, "", "\x00", "data: [DONE]", [], {}, [[]], [None],
                               {"": None}, "9" * 400)
SPLICES: Final = (b"\x00", b"\xff\xfe", b"\r\n\r\n", b"data: ", b"event: error\n", b"{", b"}", b"[", b'"', b"\\ud800",
                  b"[DONE]", b"null", b"<html>", b"--b\r\n", b"\x1f\x8b", b"1e999")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "helicone_site.settings")
    found = run(random.Random(given.seed), seconds=given.seconds)
    sys.exit(1 if found else 0)


def seeds() -> list[Exchange]:
    exchanges = [golden(file)[0] for file in sorted(GOLDEN.glob("*/*.json"))]
    corpus = Path(settings.CORPUS_DIR) / "open.jsonl.gz"
    if corpus.exists():
        exchanges += [of_record(record) for record in recorded(corpus)]
    return [each for each in exchanges if len(each.request.data) + len(each.response.data) < LARGEST]


def run(chance: random.Random, *, seconds: float) -> list[dict[str, Any]]:
    """Spoil and read until the time is up; what tripped the reader."""
    known, dialects, tripped = seeds(), Counter[str](), []
    slowest, slow, tried, until = 0.0, "", 0, time.monotonic() + seconds
    while time.monotonic() < until:
        exchange = spoiled(chance, known)
        started = time.process_time()
        dialect, trouble = read(exchange)
        if (taken := time.process_time() - started) > slowest:
            slowest, slow = taken, f"{dialect}, {len(exchange.request.data):,} + {len(exchange.response.data):,} bytes"
        dialects[dialect or "(none)"] += 1
        tried += 1
        if trouble:
            tripped.append({"trouble": trouble, "url": exchange.url, "request": exchange.request.data.hex(),
                            "response": exchange.response.data.hex()})
            print(json.dumps(tripped[-1]))
    print(f"{tried:,} spoiled exchanges of {len(known):,} seeds, {len(tripped)} tripped, "
          f"slowest {slowest * 1000:.0f} ms ({slow})")
    print(", ".join(f"{name} {number:,}" for name, number in dialects.most_common()))
    return tripped


def read(exchange: Exchange) -> tuple[str, str]:
    """(dialect, what went wrong) of reading, folding, showing, and reading the folded body once more."""
    reading = parse(exchange)
    trouble = next((problem.detail for problem in reading.problems if problem.code == "unreadable"), "")
    response = reading.folded_response or exchange.response.data
    try:
        render.shown(dialect=reading.dialect, request=exchange.request.data, response=response)
    except Exception as error:
        trouble = trouble or f"shown: {type(error).__name__}: {error}"
    again = parse(replace(exchange, response=Body(response)))
    return reading.dialect, trouble or next((p.detail for p in again.problems if p.code == "unreadable"), "")


# --- spoiling ---------------------------------------------------------------------------------------------------------


def spoiled(chance: random.Random, known: list[Exchange]) -> Exchange:
    exchange, other = chance.choice(known), chance.choice(known)
    request, response = exchange.request, exchange.response
    for _ in range(chance.randint(1, 4)):
        spoil = chance.choice(SPOILERS)
        if chance.random() < 0.7:
            response = replace(response, data=spoil(chance, response.data, other.response.data))
        else:
            request = replace(request, data=spoil(chance, request.data, other.request.data))
    url = other.url if chance.random() < 0.2 else exchange.url
    return replace(exchange, request=request, response=response, url=url)


def _changed(chance: random.Random, data: bytes, other: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        if changed:
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _cut(chance: random.Random, data: bytes, other: bytes) -> bytes:
    start, end = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
    return chance.choice((data[:start], data[end:], data[:start] + data[end:]))


def _doubled(chance: random.Random, data: bytes, other: bytes) -> bytes:
    start, end = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
    return data[:end] + data[start:]


def _spliced(chance: random.Random, data: bytes, other: bytes) -> bytes:
    place, piece = chance.randint(0, len(data)), chance.choice((*SPLICES, other[: chance.randint(0, len(other))]))
    return data[:place] + piece + data[place:]


def _swapped(chance: random.Random, data: bytes, other: bytes) -> bytes:
    """JSON values, of the body or of one of its events, swapped for others."""
    lines = data.split(b"\n")
    place = chance.randrange(len(lines))
    for start, text in ((b"", data), (b"data: ", lines[place].removeprefix(b"data: "))):
        try:
            value = _with_swap(chance, json.loads(text))
        except (ValueError, RecursionError):
            continue
        said = start + json.dumps(value).encode()
        return said if text is data else b"\n".join([*lines[:place], said, *lines[place + 1 :]])
    return data


def _with_swap(chance: random.Random, value: Any) -> Any:
    value = copy.deepcopy(value)
    place = value
    while isinstance(place, dict | list) and place:
        key = chance.choice(list(place)) if isinstance(place, dict) else chance.randrange(len(place))
        if chance.random() < 0.3 or not isinstance(place[key], dict | list) or not place[key]:
            place[key] = copy.deepcopy(chance.choice(ODD))
            break
        place = place[key]
    return value


Spoiler = Callable[[random.Random, bytes, bytes], bytes]
SPOILERS: Final[tuple[Spoiler, ...]] = (_changed, _cut, _doubled, _spliced, _swapped, _swapped, _swapped)


if __name__ == "__main__":
    main()
