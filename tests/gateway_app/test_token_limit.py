"""Prompts longer than their model takes."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_app import models_known, token_limit
from gateway_app.models_known import Models
from gateway_app.token_limit import Slot, fitted, longest_that_fits
from llm import providers
from tests.gateway_app.stage import AUTH, json_answer, recording, run, staged

ROWS: list[dict[str, Any]] = [
    {"provider": "openai", "match": '{"equals": "small"}', "context_window": 100},
    {"provider": "openai", "match": '{"equals": "large"}', "context_window": 1_000},
    {"provider": "openai", "match": '{"equals": "untold"}', "context_window": None},
    {"provider": "openai", "match": "broken", "context_window": 5},
]
SNAPSHOT = SimpleNamespace(parts={models_known.PART: Models(ROWS)})
OPENAI = providers.by_slug("openai")


def fit(rule, **body):
    found = fitted(json.dumps(body).encode(), rule, own=OPENAI, snapshot=SNAPSHOT)
    return found, json.loads(found.body)


def chat(*texts):
    return [{"role": "user", "content": text} for text in texts]


@given(st.lists(st.integers(0, 200), max_size=8), st.integers(0, 900))
def test_the_longest_lose_first_and_no_more_than_they_must(lengths, room):
    most = longest_that_fits(lengths, room)
    cut = [min(length, most) for length in lengths]
    assert sum(cut) <= room or sum(cut) == 0
    if cut != lengths:
        assert sum(min(length, most + 1) for length in lengths) > room


@given(st.lists(st.text(max_size=300), min_size=1, max_size=5), st.integers(0, 500), st.sampled_from(
    ["truncate", "middle-out"]
))
def test_what_was_shortened_fits(texts, room, rule):
    holder = dict(enumerate(texts))
    slots = [Slot(holder, key) for key in holder]
    token_limit.shorten(slots, room, rule)
    assert sum(len(slot.text) for slot in slots) <= room


def test_a_prompt_that_fits_passes_byte_for_byte():
    body = b'{"model":"small",  "messages":[{"role":"user","content":"Hi   there"}]}'
    assert fitted(body, "truncate", own=OPENAI, snapshot=SNAPSHOT) == (body, "within", ())


def test_truncate_tidies_and_cuts_ends_middle_out_keeps_both():
    found, body = fit("truncate", model="small", messages=chat("Be brief.", "start" + "x" * 900 + "end"))
    assert found.state == "shortened"
    assert body["messages"][0]["content"] == "Be brief."
    assert body["messages"][1]["content"].startswith("start")
    assert not body["messages"][1]["content"].endswith("end")
    assert "truncate" in found.notes[0].detail
    _, body = fit("truncate", model="small", messages=chat("a" + " " * 2000 + "b"))
    assert body["messages"][0]["content"] == "a b"
    _, body = fit("middle-out", model="small", messages=chat("start" + "x" * 900 + "end"))
    text = body["messages"][0]["content"]
    assert (text[:5], text[-3:], len(text)) == ("start", "end", 360)


def test_the_output_asked_for_and_the_tools_leave_less_room():
    _, body = fit("truncate", model="small", messages=chat("x" * 900), max_tokens=60)
    assert len(body["messages"][0]["content"]) == 160
    tools = [{"type": "function", "function": {"name": "f" * 60}}]
    _, body = fit("truncate", model="small", messages=chat("x" * 900), tools=tools)
    assert len(body["messages"][0]["content"]) == 360 - len(json.dumps(tools, separators=(",", ":")))
    assert body["tools"] == tools


@pytest.mark.parametrize("body", [
    {"input": "x" * 900}, {"input": [{"role": "user", "content": [{"type": "input_text", "text": "x" * 900}]}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": letter * 500} for letter in "xy"]}]},
    {"system": [{"type": "text", "text": "x" * 900}], "messages": []}, {"instructions": "x" * 900, "input": "y"},
])  # fmt: skip
def test_every_form_of_a_prompt_is_shortened(body):
    found, told = fit("middle-out", model="small", **body)
    assert found.state == "shortened"
    slots = list(token_limit._slots(told))
    assert sum(len(slot.text) for slot in slots) <= 360


def test_fallback_asks_the_second_model_where_the_first_takes_too_little():
    found, body = fit("fallback", model="small,large", messages=chat("x" * 900))
    assert (found.state, body["model"]) == ("fallback", "large")
    found, body = fit("fallback", model="small/openai, large", messages=chat("x"))
    assert (found.state, body["model"]) == ("within", "small/openai")
    assert fit("fallback", model="small", messages=chat("x" * 900))[0].state == "within"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"model":7}', b'{"model":"untold"}', b'{"model":"other"}',
                                  b'{"model":"!google"}', b'{"model":","}'])  # fmt: skip
def test_what_is_not_known_is_left_alone_and_named(body):
    for rule in ("truncate", "middle-out", "fallback"):
        found = fitted(body, rule, own=OPENAI, snapshot=SNAPSHOT)
        assert (found.body, found.state, found.notes[0].code) == (body, "unknown", "token_limit_unknown")


def test_through_edge_the_client_is_told(tmp_path):
    seen: list = []

    async def work():
        async with staged(tmp_path, recording(seen, json_answer())) as stage:
            stage.keys.current = SNAPSHOT
            headers = {**AUTH, "helicone-token-limit-exception-handler": "Middle-Out"}
            body = json.dumps({"model": "small", "messages": chat("x" * 900)}).encode()
            _, told, _ = await stage.ask(body=body, headers=headers)
            (exchange,) = await stage.exchanges()
            _, unknown, _ = await stage.ask(body=b'{"model":"other"}', headers=headers)
        assert (told["helicone-token-limit"], unknown["helicone-token-limit"]) == ("shortened", "unknown")
        assert len(seen[0].body) < 500
        assert exchange.request.data == seen[0].body
        assert [problem.code for problem in exchange.problems] == ["prompt_shortened"]

    run(work())
