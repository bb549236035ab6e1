"""Requests as real Helicone clients sent them: each is taken, and says what its answer key says."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from accounts_app.keys import Speaker, unprefixed
from llm.parse import parse
from tests.ingest_app.postings import KnownKeys, logged

FILE = Path(settings.CORPUS_DIR) / "helicone_clients.jsonl"
MAX_BYTES = 64 * 2**20


@functools.cache
def posts() -> dict[str, dict[str, Any]]:
    if not FILE.is_file():
        return {}
    rows = (json.loads(line) for line in FILE.read_text().splitlines())
    return {row["id"]: row for row in rows if row["path"].endswith("/log")}


pytestmark = pytest.mark.skipif(not posts(), reason="the corpus of recorded clients is not here")
IDS = sorted(posts()) or ["none"]
NO_KEY: dict[str, Any] = {"truth": {"model": None}}


def taken(row: dict[str, Any]):
    headers = {name.lower().replace("-", "_"): value for name, value in row["headers"].items()}
    speaker = Speaker(7, 70, "recorded", "rw")
    keys = KnownKeys(speakers={unprefixed(headers["authorization"]): speaker})
    return logged(row["body"].encode(), path=row["path"], keys=keys, key=None, max_bytes=MAX_BYTES, **headers)


@pytest.mark.parametrize("name", IDS)
def test_who_it_was_and_in_which_session(name):
    row = posts()[name]
    truth, said = row["truth"], taken(row).attribution
    assert (said.session_id, said.end_user_id) == (truth["session_id"], truth["user_id"])
    assert said.session_path == truth.get("session_path")
    # The key was cut one letter too far when it was recorded: Helicone-Property-Env stands there as "nv".
    assert {key[1:]: value for key, value in said.properties.items()} == truth["properties"]


@pytest.mark.parametrize("name", [name for name in IDS if posts().get(name, NO_KEY)["truth"]["model"]] or ["none"])
def test_model_and_tokens_are_those_of_its_key(name):
    row = posts()[name]
    truth, reading = row["truth"], parse(taken(row))
    assert (reading.response_model or reading.request_model) == (_asked_of_litellm(row) or truth["model"])
    usage = reading.usage
    sent = truth["prompt_tokens"]
    if row["path"].startswith("/anthropic"):  # whose own count leaves out what was read from the cache
        sent += truth["cache_read_tokens"]
    assert (usage.input_tokens, usage.output_tokens) == (sent, truth["completion_tokens"])
    if row["client"] != "litellm-callback":  # which forgets them
        told = (usage.cache_read_tokens or 0, usage.reasoning_tokens or 0)
        assert told == (truth["cache_read_tokens"] or 0, truth["reasoning_tokens"] or 0)


def _asked_of_litellm(row: dict[str, Any]) -> str | None:
    """litellm's callback puts the model that was asked for in place of the one that answered."""
    if row["client"] != "litellm-callback":
        return None
    return str(json.loads(row["body"])["providerResponse"]["json"]["model"])


STEPS = {"tool": ("tool", "tool:weather"), "vector_db": ("retriever", "vector_db")}


@pytest.mark.parametrize("name", [name for name in IDS if posts().get(name, {}).get("variant") in STEPS] or ["none"])
def test_a_step_that_calls_no_model_is_one(name):
    row = posts()[name]
    reading = parse(taken(row))
    assert (reading.kind, reading.request_model) == STEPS[row["variant"]]
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (None, None)


@pytest.mark.parametrize(
    "name", [name for name in IDS if posts().get(name, NO_KEY)["truth"].get("finish_reason")] or ["none"]
)
def test_why_it_ended_is_as_its_key_says(name):
    row = posts()[name]
    finish = parse(taken(row)).finish_reason
    wanted = row["truth"]["finish_reason"]
    if row["client"] == "litellm-callback":  # which says Anthropic's reasons in OpenAI's words
        wanted = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length"}.get(wanted, wanted)
    assert finish == wanted


@pytest.mark.skipif(IDS == ["none"], reason="the corpus of recorded clients is not here")
def test_calls_the_key_could_not_link_to_their_exchange_say_what_their_bytes_say():
    """docs/decisions/0007: their key is empty, their bodies tell counts."""
    told = {name: parse(taken(posts()[name])).usage for name in ("hel-039", "hel-066", "hel-080")}
    assert (told["hel-039"].input_tokens, told["hel-039"].output_tokens) == (3, 4)
    assert (told["hel-066"].input_tokens, told["hel-066"].output_tokens) == (None, None)
    sent = json.loads(posts()["hel-080"]["body"])["providerResponse"]["json"]["usage"]
    assert told["hel-080"].input_tokens == sent["prompt_tokens"] > 0
