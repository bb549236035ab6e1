"""From the real `anthropic` package through the gateway into the requests list."""

from __future__ import annotations

import anthropic
import pytest

from tests.journeys import check
from tests.journeys.test_openai_client import attributed, said

MODEL = "claude-haiku-4-5"
ASKED = [{"role": "user", "content": "Where is my parcel?"}]
SYSTEM = [{"type": "text", "text": "Be kind. " * 900, "cache_control": {"type": "ephemeral"}}]
TOOL = {"name": "find_order", "input_schema": {"type": "object", "properties": {"order_id": {"type": "string"}}}}


@pytest.fixture(params=["header", "path"])
def client(stack, request):
    """Our key in a header, or in the path for clients that cannot set one."""
    in_path = request.param == "path"
    with anthropic.Anthropic(
        base_url=f"{stack.url}/{stack.key}/v1/gateway/anthropic" if in_path else f"{stack.url}/v1/gateway/anthropic",
        api_key="sk-ant-of-the-provider",
        default_headers={} if in_path else {"Helicone-Auth": f"Bearer {stack.key}"},
        max_retries=0,
    ) as made:
        yield made


def ask(client, journey, **options):
    return client.messages.create(
        **{"model": MODEL, "max_tokens": 500, "messages": ASKED, "extra_headers": said(journey), **options}
    )


def test_a_message_is_visible_with_its_tokens_cost_and_owner(stack, client, journey):
    message = ask(client, journey)
    row = stack.row(journey)
    check.anthropic_row(row, message, requested=MODEL)
    attributed(row, journey)


def test_a_stream_is_visible_as_the_message_it_was(stack, client, journey):
    with client.messages.stream(model=MODEL, max_tokens=500, messages=ASKED, extra_headers=said(journey)) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    row = stack.row(journey)
    check.anthropic_row(row, message, requested=MODEL)
    assert row["time_to_first_token"] is not None
    assert text in str(stack.whole(row["request_id"])["response_body"])


def test_cache_writes_and_reads_are_counted_and_priced(stack, client, journey):
    later = [*ASKED, {"role": "assistant", "content": "Hm."}, *ASKED]
    written = ask(client, journey, system=SYSTEM)
    read = ask(client, journey, system=SYSTEM, messages=later)
    rows = stack.rows(journey, 2)
    assert rows[0]["prompt_cache_write_tokens"] == rows[1]["prompt_cache_read_tokens"] > 1000
    for row, message in zip(rows, (written, read), strict=True):
        check.anthropic_row(row, message, requested=MODEL)


def test_a_tool_call_and_thinking_are_visible(stack, client, journey):
    message = ask(client, journey, tools=[TOOL], max_tokens=3000, thinking={"type": "enabled", "budget_tokens": 1024})
    row = stack.row(journey)
    check.anthropic_row(row, message, requested=MODEL)
    assert row["reasoning_tokens"] == message.usage.output_tokens_details.thinking_tokens
    assert "find_order" in str(stack.whole(row["request_id"])["response_body"])


def test_overload_reaches_the_client_in_anthropics_words(stack, client, journey):
    with pytest.raises(anthropic.InternalServerError) as caught:
        ask(client, journey, extra_headers=said(journey, **{"x-fake-status": "529"}))
    assert caught.value.body["error"]["type"] == "overloaded_error"
    assert stack.row(journey)["response_status"] == 529


def test_counting_tokens_costs_nothing(stack, client, journey):
    counted = client.messages.count_tokens(model=MODEL, messages=ASKED, extra_headers=said(journey))
    row = stack.row(journey)
    assert counted.input_tokens > 0
    assert not row["cost"]
