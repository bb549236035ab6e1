"""The fake provider speaks to the real `anthropic` package as Anthropic does."""

from __future__ import annotations

import anthropic
import pytest

ASKED = [{"role": "user", "content": "Where is my parcel?"}]
TOOL = {
    "name": "find_order",
    "input_schema": {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]},
}


def ask(client, **options):
    return client.messages.create(**{"model": "claude-haiku-4-5", "max_tokens": 400, "messages": ASKED, **options})


def streamed(client, **options):
    with client.messages.stream(
        **{"model": "claude-haiku-4-5", "max_tokens": 400, "messages": ASKED, **options}
    ) as stream:
        text = "".join(stream.text_stream)
        return text, stream.get_final_message()


def folded_stream(client, **options):
    return streamed(client, **options)[1]


def test_a_message_and_its_stream_have_the_same_shape(anthropic_client):
    whole = ask(anthropic_client)
    text, folded = streamed(anthropic_client)
    assert whole.content[0].text
    assert folded.content[0].text == text != ""
    assert whole.stop_reason == folded.stop_reason == "end_turn"
    assert whole.model == folded.model == "claude-haiku-4-5-20251001"
    assert whole.usage.input_tokens == folded.usage.input_tokens > 0
    assert folded.usage.output_tokens > 0


@pytest.mark.parametrize("speak", [ask, folded_stream])
def test_a_tool_on_offer_is_used(anthropic_client, speak):
    message = speak(anthropic_client, tools=[TOOL])
    [use] = [block for block in message.content if block.type == "tool_use"]
    assert message.stop_reason == "tool_use"
    assert use.name == "find_order"
    assert isinstance(use.input["order_id"], str)


def test_after_a_tool_result_the_model_speaks(anthropic_client):
    messages = [
        *ASKED,
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "find_order", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "on its way"}]},
    ]
    assert ask(anthropic_client, messages=messages, tools=[TOOL]).content[0].type == "text"


def test_thinking_comes_first_and_is_counted_in_the_output(anthropic_client):
    _, message = streamed(anthropic_client, thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2048)
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].signature
    assert 0 < message.usage.output_tokens_details.thinking_tokens < message.usage.output_tokens


def test_a_marked_prompt_is_written_to_the_cache_then_read(anthropic_client):
    system = [{"type": "text", "text": "Be kind. " * 1000, "cache_control": {"type": "ephemeral"}}]
    first = ask(anthropic_client, system=system).usage
    later = ask(
        anthropic_client, system=system, messages=[*ASKED, {"role": "assistant", "content": "Hm."}, *ASKED]
    ).usage
    assert first.cache_creation_input_tokens == first.cache_creation.ephemeral_5m_input_tokens > 1000
    assert later.cache_read_input_tokens == first.cache_creation_input_tokens
    assert first.cache_read_input_tokens == later.cache_creation_input_tokens == 0
    assert 0 < first.input_tokens < 100


def test_counting_tokens_agrees_with_the_message(anthropic_client):
    counted = anthropic_client.messages.count_tokens(model="claude-haiku-4-5", messages=ASKED)
    assert counted.input_tokens == ask(anthropic_client).usage.input_tokens


def test_models_are_listed(anthropic_client):
    assert "claude-haiku-4-5" in {model.id for model in anthropic_client.models.list()}


@pytest.mark.parametrize(
    ("status", "raised", "kind"),
    [
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (529, anthropic.InternalServerError, "overloaded_error"),
    ],
)
def test_an_error_comes_when_asked_for(anthropic_client, status, raised, kind):
    with pytest.raises(raised) as caught:
        ask(anthropic_client, extra_headers={"x-fake-status": str(status)})
    assert caught.value.status_code == status
    assert caught.value.body["error"]["type"] == kind


def test_max_tokens_is_asked_for_by_name(provider_url, anthropic_client):
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        anthropic_client.post("/v1/messages", body={"model": "m", "messages": ASKED}, cast_to=object)
