"""From the real `openai` package through the gateway into the requests list."""

from __future__ import annotations

import openai
import pytest

from tests.journeys import check
from tests.journeys.stack import until

ASKED = [{"role": "user", "content": "Where is order FW-20481? I would like a refund."}]
LONG = [
    {"role": "system", "content": "Be kind and brief. " * 400},
    *ASKED,
    {"role": "assistant", "content": "Hm."},
    *ASKED,
]


def said(journey: str, **more: str) -> dict[str, str]:
    """Headers that say whose call this is."""
    return {
        "Helicone-User-Id": "ada@example.org",
        "Helicone-Session-Id": f"session-{journey}",
        "Helicone-Session-Path": "/chat/answer",
        "Helicone-Session-Name": "Journey",
        "Helicone-Property-Journey": journey,
        "Helicone-Property-Environment": "test",
        **more,
    }


def attributed(row, journey):
    check.attribution(
        row,
        user="ada@example.org",
        session=f"session-{journey}",
        path="/chat/answer",
        properties={"journey": journey, "environment": "test"},
    )


@pytest.fixture(params=["/v1/gateway/oai/v1", "/oai/v1", "/v1"])
def client(stack, request):
    """The three forms of base URL people put where OpenAI's stood."""
    with openai.OpenAI(
        base_url=stack.url + request.param,
        api_key="sk-of-the-provider",
        default_headers={"Helicone-Auth": f"Bearer {stack.key}"},
        max_retries=0,
    ) as made:
        yield made


@pytest.fixture
def long_form(stack):
    with openai.OpenAI(
        base_url=f"{stack.url}/v1/gateway/oai/v1",
        api_key="sk-of-the-provider",
        default_headers={"Helicone-Auth": f"Bearer {stack.key}"},
        max_retries=0,
    ) as made:
        yield made


def test_a_chat_is_visible_with_its_tokens_cost_and_owner(stack, client, journey):
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-4o-mini", messages=LONG, extra_headers=said(journey)
    )
    row = stack.row(journey)
    check.openai_chat_row(row, raw.parse(), requested="gpt-4o-mini")
    attributed(row, journey)
    assert raw.headers["helicone-id"] == row["request_id"]
    assert raw.headers["helicone-status"] == "success"


def test_its_bodies_are_kept_as_they_passed(stack, long_form, journey):
    reply = long_form.chat.completions.create(model="gpt-4o-mini", messages=ASKED, extra_headers=said(journey))
    whole = stack.whole(stack.row(journey)["request_id"])
    assert whole["request_body"]["messages"] == ASKED
    assert whole["response_body"]["choices"][0]["message"]["content"] == reply.choices[0].message.content


def test_a_stream_is_visible_as_the_reply_it_was(stack, client, journey):
    with client.chat.completions.stream(
        model="gpt-4.1-mini", messages=ASKED, stream_options={"include_usage": True}, extra_headers=said(journey)
    ) as stream:
        folded = stream.get_final_completion()
    row = stack.row(journey)
    check.openai_chat_row(row, folded, requested="gpt-4.1-mini")
    attributed(row, journey)
    assert row["time_to_first_token"] is not None
    body = stack.whole(row["request_id"])["response_body"]
    assert folded.choices[0].message.content in str(body)


def test_a_reasoning_models_tool_call_is_visible(stack, long_form, journey):
    tool = {"type": "function", "function": {"name": "find_order", "parameters": {"properties": {"id": {}}}}}
    reply = long_form.chat.completions.create(
        model="gpt-5-mini", messages=ASKED, tools=[tool], extra_headers=said(journey)
    )
    row = stack.row(journey)
    check.openai_chat_row(row, reply, requested="gpt-5-mini")
    assert row["reasoning_tokens"] > 0


def test_a_response_is_visible_streamed_and_not(stack, client, journey):
    options = {"model": "gpt-5-mini", "input": "Why is the sky blue?", "extra_headers": said(journey)}
    whole = client.responses.create(**options)
    with client.responses.stream(**options) as stream:
        streamed = stream.get_final_response()
    for row, reply in zip(stack.rows(journey, 2), (whole, streamed), strict=True):
        assert row["provider"] == "OPENAI"
        assert row["prompt_tokens"] == reply.usage.input_tokens
        assert row["completion_tokens"] + row["reasoning_tokens"] == reply.usage.output_tokens
        cost = check.price(
            "openai", "gpt-5-mini", input_tokens=reply.usage.input_tokens, output_tokens=reply.usage.output_tokens
        )
        assert row["cost"] == pytest.approx(float(cost), rel=1e-6)
        attributed(row, journey)


@pytest.mark.parametrize("encoding", ["base64", "float"])
def test_embeddings_are_visible(stack, client, journey, encoding):
    reply = client.embeddings.create(
        model="text-embedding-3-small", input=["one", "two"], encoding_format=encoding, extra_headers=said(journey)
    )
    row = stack.row(journey)
    assert row["request_model"] == "text-embedding-3-small"
    assert row["prompt_tokens"] == reply.usage.prompt_tokens
    assert row["cost"] == pytest.approx(reply.usage.prompt_tokens * 0.02e-6, rel=1e-6)
    attributed(row, journey)


def test_the_providers_error_reaches_the_client_and_the_list(stack, client, journey):
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(
            model="gpt-4o-mini", messages=ASKED, extra_headers=said(journey, **{"x-fake-status": "429"})
        )
    assert caught.value.body["type"] == "rate_limit_error"
    assert caught.value.response.headers["retry-after"] == "1"
    row = stack.row(journey)
    assert row["response_status"] == 429
    assert not row["cost"]


def test_retries_of_the_sdk_are_requests_of_their_own(stack, journey):
    with (
        openai.OpenAI(
            base_url=f"{stack.url}/v1",
            api_key="sk-of-the-provider",
            default_headers={"Helicone-Auth": f"Bearer {stack.key}"},
            max_retries=1,
        ) as client,
        pytest.raises(openai.InternalServerError),
    ):
        client.chat.completions.create(model="fail-500", messages=ASKED, extra_headers=said(journey))
    assert [row["response_status"] for row in stack.rows(journey, 2)] == [500, 500]


def test_nothing_of_ours_reaches_the_provider(stack, client, journey):
    marked = [{"role": "user", "content": f"mark {journey}"}]
    client.chat.completions.create(model="gpt-4o-mini", messages=marked, extra_headers=said(journey))
    stack.row(journey)
    got = stack.provider.seen()[-1]["headers"]
    assert got["authorization"] == "Bearer sk-of-the-provider"
    assert [name for name in got if name.startswith("helicone-")] == []
    assert stack.key not in str(got)


def test_a_wrong_key_is_told_what_to_send(stack, journey):
    with (
        openai.OpenAI(
            base_url=f"{stack.url}/v1/gateway/oai/v1",
            api_key="sk-of-the-provider",
            default_headers={"Helicone-Auth": "Bearer sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"},
            max_retries=0,
        ) as client,
        pytest.raises(openai.AuthenticationError, match="Helicone-Auth"),
    ):
        client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, extra_headers=said(journey))


def test_a_client_that_leaves_ends_the_call_upstream(stack, long_form, journey):
    stream = long_form.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": f"leave {journey}"}],
        stream=True,
        extra_headers=said(journey, **{"x-fake-chunk-delay-ms": "300"}),
    )
    next(iter(stream))
    stream.close()
    assert stack.row(journey)["response_status"] == -3
    until(
        lambda: any(note["ended"] == "client left" for note in stack.provider.seen()),
        what="the provider to see the call end",
    )


def test_a_stream_the_provider_breaks_is_told_to_the_client_and_kept(stack, long_form, journey):
    stream = long_form.chat.completions.create(
        model="gpt-4o-mini",
        messages=ASKED,
        stream=True,
        extra_headers=said(journey, **{"x-fake-break-after": "3"}),
    )
    with pytest.raises(openai.APIError):
        list(stream)
    assert stack.row(journey)["request_model"] == "gpt-4o-mini"


def test_a_session_gathers_its_calls(stack, long_form, journey):
    for path in ("/plan", "/plan/search", "/answer"):
        headers = said(journey, **{"Helicone-Session-Path": path})
        long_form.chat.completions.create(model="gpt-4o-mini", messages=ASKED, extra_headers=headers)
    rows = stack.rows(journey, 3)
    body = {
        "search": f"session-{journey}",
        "timeFilter": {"startTimeUnixMs": 0, "endTimeUnixMs": 2**45},
        "timezoneDifference": 0,
        "filter": "all",
    }
    _, answer = until(lambda: _session(stack, body), what="the session in the list")
    [session] = answer["data"]
    assert session["session_id"] == f"session-{journey}"
    assert session["total_requests"] == 3
    assert float(session["total_cost"]) == pytest.approx(sum(row["cost"] for row in rows), rel=1e-6)


def _session(stack, body):
    status, answer = stack.post("/v1/session/query", body)
    assert status in {200, 201}, answer
    return (status, answer) if answer["data"] and answer["data"][0]["total_requests"] == 3 else None
