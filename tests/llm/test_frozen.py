"""lib/frozen.py does what the standard library's dataclasses do."""

from __future__ import annotations

import dataclasses

import pytest

from lib import frozen
from llm.call import Call
from llm.exchange import Usage


@frozen.dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Theirs:
    x: int
    y: int = 0


def test_it_is_compared_and_hashed_by_value() -> None:
    assert Point(1, 2) == Point(1, 2) != Point(2, 1)
    assert len({Point(1, 2), Point(1, 2), Point(2, 1)}) == 2


@pytest.mark.parametrize("kind", [Point, Theirs])
def test_replacing_leaves_the_old_one_as_it_is(kind: type[Point] | type[Theirs]) -> None:
    old = kind(1, 2)
    assert frozen.replace(old, y=3) == kind(1, 3)
    assert old == kind(1, 2)


def test_replacing_a_field_there_is_not_is_an_error() -> None:
    with pytest.raises(AttributeError):
        frozen.replace(Point(1, 2), z=3)  # type: ignore[call-arg]


def test_what_a_class_works_out_for_itself_is_worked_out_anew() -> None:
    call = frozen.replace(Call(response={"a": 1}), response={"b": 2})
    assert call.sample == {"b": 2}


def test_every_field_is_carried_over() -> None:
    full = Usage(**{field.name: place for place, field in enumerate(dataclasses.fields(Usage))})  # type: ignore[arg-type]
    assert frozen.replace(full, input_tokens=99) == dataclasses.replace(full, input_tokens=99)
