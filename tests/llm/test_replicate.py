"""A prediction is billed where it was made, read wherever it is looked at, and its stream is its output."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from llm.parse import parse
from tests.wire.exchanges import body, exchange

API = "https://api.replicate.com/v1"
STREAM = "https://stream.replicate.com/v1/streams/abc"
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20)


def output(text: str) -> str:
    return "event: output\nid: 1\n" + "".join(f"data: {part}\n" for part in text.split("\n")) + "\n"


@given(st.lists(TEXT, min_size=1, max_size=6))
def test_pieces_of_output_are_the_output_even_where_they_look_like_json(texts):
    data = "".join(map(output, texts)) + "event: done\ndata: {}\n\n"
    reading = parse(exchange(provider="replicate", method="GET", url=STREAM, response=body(data.encode())))
    folded = json.loads(reading.folded_response or b"{}")
    assert folded["status"] == "succeeded"
    assert [piece.strip(" ") for piece in folded["output"]] == [text.strip(" ") for text in texts]
    assert reading.kind == "retrieve"


def test_numbers_and_braces_in_the_output_stay_text():
    data = "".join(map(output, ["1", "{}", '"x"', "[DONE"])) + "event: done\ndata: {}\n\n"
    folded = json.loads(parse(exchange(method="GET", url=STREAM, response=body(data.encode()))).folded_response or b"")
    assert folded["output"] == ["1", "{}", '"x"', "[DONE"]


def test_a_failed_stream_names_its_error():
    data = output("Hel") + 'event: error\ndata: {"detail": "boom"}\n\nevent: done\ndata: {"reason": "error"}\n\n'
    reading = parse(exchange(provider="replicate", method="GET", url=STREAM, response=body(data.encode())))
    assert (reading.finish_reason, reading.error_message) == ("failed", "boom")


def test_only_making_a_prediction_is_a_model_call():
    done = {"id": "p", "model": "meta/llama", "version": "v", "urls": {}, "input": {"prompt": "Hi"}, "output": ["a"],
            "status": "succeeded", "metrics": {"input_token_count": 3, "output_token_count": 1}}  # fmt: skip
    calls = {
        ("POST", f"{API}/predictions"): "llm", ("POST", f"{API}/models/meta/llama/predictions"): "llm",
        ("POST", f"{API}/deployments/me/mine/predictions"): "llm", ("GET", f"{API}/predictions/p"): "retrieve",
        ("POST", f"{API}/predictions/p/cancel"): "retrieve",
    }  # fmt: skip
    for (method, url), kind in calls.items():
        reading = parse(exchange(provider="replicate", method=method, url=url, response=body(done)))
        assert (reading.kind, reading.usage.input_tokens) == (kind, 3)


@given(st.lists(st.tuples(st.sampled_from(["output", "done", "error", "logs", "other"]),
                          TEXT | st.just("{}") | st.just('{"status": 1}')), max_size=5))  # fmt: skip
def test_any_events_are_survived(events):
    data = "".join(f"event: {name}\ndata: {text}\n\n" for name, text in events).encode()
    reading = parse(exchange(provider="replicate", method="GET", url=STREAM, response=body(data)))
    assert "unreadable" not in {problem.code for problem in reading.problems}
