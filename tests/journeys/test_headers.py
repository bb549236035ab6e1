"""Headers the other journeys do not send, from the real `openai` package into the request's row."""

from __future__ import annotations

import openai
import pytest

from tests.journeys.test_openai_client import ASKED, said


@pytest.fixture
def client(stack):
    with openai.OpenAI(
        base_url=f"{stack.url}/v1", api_key="sk-of-the-provider", max_retries=0,
        default_headers={"Helicone-Auth": f"Bearer {stack.key}"},
    ) as made:  # fmt: skip
        yield made


def chat(client, headers, **more):
    return client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, extra_headers=headers, **more)


def test_prompt_model_prices_and_customer_stand_on_the_row(stack, client, journey):
    headers = said(journey, **{
        "Helicone-Prompt-Id": "greeting", "Helicone-Prompt-Version": "3", "Helicone-Model-Override": "house-model",
        "Helicone-Input-Token-Cost": "0.001", "Helicone-Output-Token-Cost": "0.002",
        "x-stripe-customer-id": "cus_17",
    })  # fmt: skip
    answer = chat(client, headers)
    row = stack.row(journey)
    assert (row["prompt_id"], row["prompt_version"], row["model"]) == ("greeting", "3", "house-model")
    assert row["request_properties"]["stripe_customer_id"] == "cus_17"
    usage = answer.usage
    assert row["cost"] == pytest.approx(usage.prompt_tokens * 0.001 + usage.completion_tokens * 0.002)


@pytest.mark.parametrize("side", ["request", "response"])
def test_an_omitted_body_is_counted_and_not_kept(stack, client, journey, side):
    header = {"request": "Helicone-Omit-Request", "response": "Helicone-Omit-Response"}[side]
    chat(client, said(journey, **{header: "true"}))
    row = stack.row(journey)
    assert row["total_tokens"] > 0
    whole = stack.whole(row["request_id"])
    other = {"request": "response", "response": "request"}[side]
    assert "content" not in str(whole[f"{side}_body"])
    assert "content" in str(whole[f"{other}_body"])


def test_a_stream_is_asked_for_its_token_counts(stack, client, journey):
    chunks = list(chat(client, said(journey, **{"Helicone-Stream-Usage": "true"}), stream=True))
    assert chunks[-1].usage.total_tokens > 0
    assert stack.row(journey)["total_tokens"] == chunks[-1].usage.total_tokens


@pytest.mark.parametrize("header", ["Helicone-Target-URL", "Helicone-OpenAI-Api-Base"])
def test_a_target_inside_the_network_is_refused_and_says_why(stack, client, journey, header):
    with pytest.raises(openai.PermissionDeniedError) as told:
        chat(client, said(journey, **{header: "http://127.0.0.2:1"}))
    assert told.value.code == "target_refused"


def test_a_call_carries_its_callers_trace_to_the_provider(stack, client, journey):
    parent = f"00-{journey}-00f067aa0ba902b7-01"
    chat(client, said(journey, traceparent=parent))
    stack.row(journey)
    assert parent in str(stack.provider.seen())
