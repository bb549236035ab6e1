"""Tags of Helicone's older prompts: out of what is sent, into template and inputs."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.prompt_tags import strip


def tagged(name: str, value: str) -> str:
    return f'<helicone-prompt-input key="{name}">{value}</helicone-prompt-input>'


def body(*texts: str, **more) -> bytes:
    messages = [{"role": "user", "content": text} for text in texts]
    return json.dumps({"model": "m", "messages": messages, **more}).encode()


def test_an_input_goes_out_as_its_value_and_is_kept_by_its_name():
    name, age = tagged("name", " Bob "), tagged("age", "7\n8")
    sent, prompt = strip(body(f"Hello {name}, you are {age}."))
    assert json.loads(sent)["messages"][0]["content"] == "Hello  Bob , you are 7\n8."
    assert prompt.inputs == {"name": "Bob", "age": "7\n8"}
    assert prompt.template["messages"][0]["content"] == (
        'Hello <helicone-prompt-input key="name" />, you are <helicone-prompt-input key="age" />.'
    )


def test_static_text_goes_out_without_its_tags_and_stays_in_the_template():
    sent, prompt = strip(body("<helicone-prompt-static>Be kind.</helicone-prompt-static> " + tagged("x", "1")))
    assert json.loads(sent)["messages"][0]["content"] == "Be kind. 1"
    assert "<helicone-prompt-static>" in prompt.template["messages"][0]["content"]


def test_messages_without_tags_are_inputs_by_their_place():
    sent, prompt = strip(body("earlier", tagged("q", "now"), "also"))
    assert [message["content"] for message in json.loads(sent)["messages"]] == ["earlier", "now", "also"]
    assert prompt.template["messages"][0] == "<helicone-auto-prompt-input idx=0 />"
    assert prompt.template["messages"][2] == "<helicone-auto-prompt-input idx=1 />"
    assert [one["content"] for one in prompt.auto_inputs] == ["earlier", "also"]
    assert prompt.template["model"] == "m"


def test_fields_of_newer_prompts_do_not_go_out():
    sent, prompt = strip(body("x", prompt_id="abc", version_id="1", environment="production", inputs={"a": 1}))
    assert json.loads(sent) == json.loads(body("x"))
    assert prompt is None
    kept = body("x", inputs="a text of an API's own")
    assert strip(kept).body == kept


@pytest.mark.parametrize("data", [b"", b"{}", b"not json helicone-prompt-", b'["helicone-prompt-"]', body("plain")])
def test_what_has_no_tags_is_sent_byte_for_byte(data):
    assert strip(data) == (data, None)


def test_tags_go_brackets_escaped_are_found():
    data = body(tagged("a", "b")).replace(b"<", b"\\u003c").replace(b">", b"\\u003e")
    sent, prompt = strip(data)
    assert json.loads(sent)["messages"][0]["content"] == "b"
    assert prompt.inputs == {"a": "b"}


def test_half_a_tag_stays_as_it_is():
    for text in ('<helicone-prompt-input key="a">b', "b</helicone-prompt-input>", "<helicone-prompt-input>b"):
        assert json.loads(strip(body(text)).body)["messages"][0]["content"] == text


@given(st.text(max_size=30).filter(lambda text: "helicone" not in text), st.text(max_size=30), st.text(max_size=30))
def test_what_is_sent_is_the_text_with_its_values(value, before, after):
    sent, prompt = strip(body(f"{before}{tagged('k', value)}{after}"))
    assert json.loads(sent)["messages"][0]["content"] == f"{before}{value}{after}"
    assert prompt.inputs == {"k": value.strip()}


def test_a_thousand_open_tags_take_no_longer():
    text = "</helicone-prompt-input>" + '<helicone-prompt-input key="a">' * 100_000
    started = time.process_time()
    strip(body(text))
    assert time.process_time() - started < 5
