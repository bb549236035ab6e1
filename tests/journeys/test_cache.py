"""The cache as the official SDKs meet it, over two `edge` processes that know of each other by Redis only."""

from __future__ import annotations

import itertools
import sys
import time
import urllib.request

import anthropic
import openai
import pytest

from tests.journeys.stack import ROOT, STOP_SECONDS, free_port, start, until
from tests.journeys.test_openai_client import ASKED, said

TTL_SECONDS = 5


@pytest.fixture(scope="module")
def edges(stack, tmp_path_factory):
    """Addresses of two: the stack's own, and one with a folder and a line of its own, on the same servers."""
    folder = tmp_path_factory.mktemp("edge")
    port = free_port()
    own = {**stack.environment, "DATA_DIR": str(folder / "data"), "PORT": str(port)}
    url = f"http://127.0.0.1:{port}"
    started = [
        start([sys.executable, str(ROOT / "manage.py"), name], own, folder / f"{name}.log") for name in ("edge", "line")
    ]
    try:
        until(lambda: is_up(url), what="the second edge")
        yield stack.url, url
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(STOP_SECONDS)


def is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/healthcheck", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def chats(stack, edges):
    yield from clients(openai.OpenAI, "sk-of-the-provider", "/v1", stack, edges)


@pytest.fixture
def claudes(stack, edges):
    yield from clients(anthropic.Anthropic, "sk-ant-of-the-provider", "/v1/gateway/anthropic", stack, edges)


def clients(kind, api_key, path, stack, edges):
    """One for each edge."""
    told = {"Helicone-Auth": f"Bearer {stack.key}"}
    made = [kind(base_url=f"{url}{path}", api_key=api_key, max_retries=0, default_headers=told) for url in edges]
    yield made
    for client in made:
        client.close()


def cached(journey: str, **more: str) -> dict[str, str]:
    """Headers; the journey's name is the seed, so that no other test's replies are met."""
    return said(journey, **{"Helicone-Cache-Enabled": "true", "Helicone-Cache-Seed": journey, **more})


def chat(client, headers):
    """What the cache said, and the reply."""
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=ASKED, extra_headers=headers)
    return raw.headers["helicone-cache"], raw.parse().model_dump()


def chat_stream(client, headers):
    with client.chat.completions.with_streaming_response.create(
        model="gpt-4o-mini", messages=ASKED, extra_headers=headers, stream=True,
        stream_options={"include_usage": True},
    ) as raw:  # fmt: skip
        assert raw.headers["content-type"].startswith("text/event-stream")
        return raw.headers["helicone-cache"], {"chunks": [chunk.model_dump() for chunk in raw.parse()]}


def message(client, headers):
    raw = client.messages.with_raw_response.create(
        model="claude-haiku-4-5", max_tokens=300, messages=[{"role": "user", "content": "Where is it?"}],
        extra_headers=headers,
    )  # fmt: skip
    return raw.headers["helicone-cache"], raw.parse().model_dump()


def message_stream(client, headers):
    with client.messages.stream(
        model="claude-haiku-4-5", max_tokens=300, messages=[{"role": "user", "content": "Where is it?"}],
        extra_headers=headers,
    ) as stream:  # fmt: skip
        return stream.response.headers["helicone-cache"], stream.get_final_message().model_dump()


@pytest.mark.parametrize("ask", [chat, chat_stream, message, message_stream])
def test_a_client_misses_at_one_edge_and_hits_at_the_other(stack, chats, claudes, journey, ask):
    clients = chats if ask in (chat, chat_stream) else claudes
    first = ask(clients[0], cached(journey))
    second = ask(clients[1], cached(journey))
    assert (first[0], second[0]) == ("MISS", "HIT")
    assert first[1] == second[1]
    paid, free = stack.rows(journey, 2)
    assert (free["cost"], free["cache_reference_id"]) == (0, paid["request_id"])


@pytest.mark.parametrize("ask", [chat, message_stream])
def test_of_a_bucket_of_three_all_are_filled_before_one_answers(chats, claudes, journey, ask):
    clients = chats if ask is chat else claudes
    headers = cached(journey, **{"Helicone-Cache-Bucket-Max-Size": "3"})
    said_of = []
    for client in itertools.islice(itertools.cycle(clients), 60):
        said_of.append(ask(client, headers)[0])
        if said_of.count("HIT") == 5:
            break
    misses = said_of.count("MISS")
    assert misses >= 3
    assert said_of == ["MISS"] * misses + ["HIT"] * 5


@pytest.mark.parametrize("ask", [chat, message])
def test_a_reply_kept_for_five_seconds_is_forgotten_after_them(chats, claudes, journey, ask):
    clients = chats if ask is chat else claudes
    for attempt in range(20):  # a machine may take five seconds for two calls
        seed = {"Helicone-Cache-Seed": f"{journey}-{attempt}", "Cache-Control": f"max-age={TTL_SECONDS}"}
        headers, begun = cached(journey, **seed), time.monotonic()
        assert ask(clients[0], headers)[0] == "MISS"
        if ask(clients[1], headers)[0] == "HIT":
            break
        assert time.monotonic() - begun > TTL_SECONDS
    else:
        pytest.fail("the reply was never kept")
    until(lambda: ask(clients[1], headers)[0] == "MISS", what="the reply to be forgotten")
    assert time.monotonic() - begun >= TTL_SECONDS


def test_keys_left_out_of_the_question_and_reading_without_saving(chats, journey):
    client = chats[0]

    def ask(user, **more):
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-4o-mini", messages=ASKED, user=user, extra_headers=said(journey, **more)
        )
        return raw.headers.get("helicone-cache", "")

    told = {"Helicone-Cache-Seed": journey, "Helicone-Cache-Ignore-Keys": "user"}
    assert ask("ada", **told, **{"Helicone-Cache-Read": "true"}) == "MISS"
    assert ask("ada", **told, **{"Helicone-Cache-Read": "true"}) == "MISS"
    assert ask("ada", **told, **{"Helicone-Cache-Save": "true", "Helicone-Cache-Control": "max-age=60"}) == ""
    until(lambda: ask("bob", **told, **{"Helicone-Cache-Read": "true"}) == "HIT", what="the reply to be kept")
