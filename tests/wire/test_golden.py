"""Every golden exchange is read as its file says, and can be shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm import dialects, render
from llm.parse import parse
from tests.wire.exchanges import fact, golden

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*/*.json"))


def name(file: Path) -> str:
    return f"{file.parent.name}/{file.stem}"


@pytest.mark.parametrize("file", FILES, ids=name)
def test_a_golden_exchange_is_read_as_it_says(file):
    exchange, said = golden(file)
    reading = parse(exchange)
    assert {key: fact(reading, key) for key in said["expect"]} == said["expect"]


@pytest.mark.parametrize("file", [file for file in FILES if "body" in json.loads(file.read_text())], ids=name)
def test_a_golden_stream_becomes_the_body_it_says(file):
    exchange, said = golden(file)
    folded = json.loads(parse(exchange).folded_response or b"{}")
    assert {key: folded.get(key) for key in said["body"]} == said["body"]


@pytest.mark.parametrize("file", FILES, ids=name)
def test_a_golden_exchange_can_be_shown(file):
    exchange, said = golden(file)
    reading = parse(exchange)
    shown = render.conversation(
        dialect=reading.dialect, request=exchange.request.data,
        response=reading.folded_response or exchange.response.data,
    )
    assert bool(shown.messages) == (said["request"] is not None)
    assert shown.reply or reading.error_message or not fact(reading, "usage.output_tokens")


ELSEWHERE = {"otlp_span"}
"""Dialects of another door, which have their own tests."""


def test_every_dialect_has_golden_files():
    assert {file.parent.name for file in FILES} | ELSEWHERE == {name for name, _ in dialects.every()} | ELSEWHERE
