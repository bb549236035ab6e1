"""The fake provider speaks to the real `openai` package as OpenAI does."""

from __future__ import annotations

import json
import math

import openai
import pytest
from pydantic import BaseModel

ASKED = [{"role": "user", "content": "Where is my order? I want a refund."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
            "required": ["city"],
        },
    },
}


class Verdict(BaseModel):
    label: str
    score: int


def test_a_chat_reply_adds_up(openai_client):
    reply = openai_client.chat.completions.create(model="gpt-4o-mini", messages=ASKED)
    assert reply.model == "gpt-4o-mini-2024-07-18"
    assert reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_the_same_request_gets_the_same_reply_and_another_one_another(openai_client):
    ask = openai_client.chat.completions.create
    one, same = (ask(model="gpt-4o-mini", messages=ASKED, n=3) for _ in range(2))
    assert one.choices == same.choices
    assert one.id == same.id
    assert ask(model="gpt-4o-mini", messages=ASKED, seed=2).id != one.id


def test_a_stream_says_what_the_whole_reply_says(openai_client):
    with openai_client.chat.completions.stream(
        model="gpt-4o-mini", messages=ASKED, stream_options={"include_usage": True}
    ) as stream:
        folded = stream.get_final_completion()
    assert folded.choices[0].message.content
    assert folded.usage.total_tokens > folded.usage.completion_tokens > 0


def test_a_stream_counts_tokens_only_when_asked(openai_client):
    chunks = list(openai_client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, stream=True))
    assert all(chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_on_offer_is_called_with_arguments_its_schema_allows(openai_client, streamed):
    if streamed:
        with openai_client.chat.completions.stream(model="gpt-4o", messages=ASKED, tools=[WEATHER]) as stream:
            reply = stream.get_final_completion()
    else:
        reply = openai_client.chat.completions.create(model="gpt-4o", messages=ASKED, tools=[WEATHER])
    call = reply.choices[0].message.tool_calls[0]
    arguments = json.loads(call.function.arguments)
    assert reply.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "get_weather"
    assert arguments["unit"] in {"C", "F"}
    assert isinstance(arguments["city"], str)


def test_after_a_tool_result_the_model_speaks(openai_client):
    messages = [
        *ASKED,
        {
            "role": "assistant",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    ]
    reply = openai_client.chat.completions.create(model="gpt-4o", messages=messages, tools=[WEATHER])
    assert reply.choices[0].message.content
    assert reply.choices[0].message.tool_calls is None


def test_structured_output_parses_into_its_model(openai_client):
    reply = openai_client.chat.completions.parse(model="gpt-4o", messages=ASKED, response_format=Verdict)
    assert isinstance(reply.choices[0].message.parsed, Verdict)


def test_a_reasoning_model_counts_its_reasoning_inside_the_output(openai_client):
    usage = openai_client.chat.completions.create(model="o3-mini", messages=ASKED).usage
    assert 0 < usage.completion_tokens_details.reasoning_tokens < usage.completion_tokens


def test_a_long_conversation_reads_the_prompt_cache(openai_client):
    messages = [
        {"role": "system", "content": "Be brief. " * 800},
        *ASKED,
        {"role": "assistant", "content": "Hm."},
        *ASKED,
    ]
    usage = openai_client.chat.completions.create(model="gpt-4o", messages=messages).usage
    assert usage.prompt_tokens_details.cached_tokens % 128 == 0
    assert 1024 <= usage.prompt_tokens_details.cached_tokens < usage.prompt_tokens


def test_max_tokens_cuts_the_reply(openai_client):
    reply = openai_client.chat.completions.create(model="gpt-4o", messages=ASKED, max_completion_tokens=3)
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage.completion_tokens <= 3


def test_a_response_and_its_stream_agree(openai_client):
    whole = openai_client.responses.create(
        model="gpt-5-mini", input="Why does the test fail?", instructions="Be brief."
    )
    with openai_client.responses.stream(
        model="gpt-5-mini", input="Why does the test fail?", instructions="Be brief."
    ) as stream:
        events = list(stream)
        streamed = stream.get_final_response()
    assert whole.output_text
    assert whole.usage.total_tokens == whole.usage.input_tokens + whole.usage.output_tokens
    assert streamed.status == whole.status == "completed"
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == streamed.output_text
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert streamed.usage.output_tokens_details.reasoning_tokens > 0


def test_a_response_calls_a_function(openai_client):
    tool = {"type": "function", "strict": True, **WEATHER["function"]}
    with openai_client.responses.stream(model="gpt-4.1", input="Weather?", tools=[tool]) as stream:
        reply = stream.get_final_response()
    [call] = [item for item in reply.output if item.type == "function_call"]
    assert call.name == "get_weather"
    assert "city" in json.loads(call.arguments)


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings_are_unit_vectors_in_either_encoding(provider_url, encoding):
    with openai.OpenAI(base_url=f"{provider_url}/v1", api_key="sk-test") as client:
        reply = client.with_raw_response.embeddings.create(
            model="text-embedding-3-small", input=["one", "two"], encoding_format=encoding
        )
    assert isinstance(json.loads(reply.text)["data"][0]["embedding"], str if encoding == "base64" else list)
    if encoding == "float":
        vectors = [data.embedding for data in reply.parse().data]
        assert vectors[0] != vectors[1]
        assert math.isclose(math.hypot(*vectors[0]), 1, rel_tol=1e-6)


def test_default_embeddings_decode(openai_client):
    reply = openai_client.embeddings.create(model="text-embedding-3-small", input="hello", dimensions=256)
    assert len(reply.data[0].embedding) == 256
    assert reply.usage.prompt_tokens == reply.usage.total_tokens == 2


def test_models_are_listed(openai_client):
    assert "gpt-4o-mini" in {model.id for model in openai_client.models.list()}


@pytest.mark.parametrize(
    ("status", "raised"),
    [
        (400, openai.BadRequestError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_an_error_comes_when_asked_for_by_header_or_model(openai_client, status, raised):
    for model, headers in (("gpt-4o", {"x-fake-status": str(status)}), (f"fail-{status}", {})):
        with pytest.raises(raised) as caught:
            openai_client.chat.completions.create(model=model, messages=ASKED, extra_headers=headers)
        assert caught.value.status_code == status
        assert caught.value.body["message"]


def test_a_broken_stream_breaks(openai_client):
    stream = openai_client.chat.completions.create(
        model="gpt-4o", messages=ASKED, stream=True, extra_headers={"x-fake-break-after": "2"}
    )
    with pytest.raises(openai.APIConnectionError):
        list(stream)


def test_a_request_without_messages_is_refused_by_name(openai_client):
    with pytest.raises(openai.BadRequestError, match="messages"):
        openai_client.chat.completions.create(model="gpt-4o", messages=[])


def test_a_key_is_asked_for(provider_url):
    with (
        openai.OpenAI(base_url=f"{provider_url}/v1", api_key="x", default_headers={"Authorization": ""}) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.chat.completions.create(model="gpt-4o", messages=ASKED)
