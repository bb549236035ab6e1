"""In whose words a refusal is told: what each vendor's SDK makes its own exceptions of."""

from __future__ import annotations

import json

import pytest

from gateway_app import errors, request_head, routes
from gateway_app.errors import BudgetExceeded, ThreatDetected

GEMINI, CONVERSE = "/models/gemini-2.5-flash:streamGenerateContent", "/model/amazon.nova-lite-v1%3A0/converse-stream"
BUDGET = BudgetExceeded("Used up.", retry_after_seconds=9, details={"budget": "Team", "limit_usd": 0.5})


def said_by(error: errors.GatewayError, shape: errors.Shape):
    return json.loads(errors.body(error, shape))


@pytest.mark.parametrize(
    ("path", "headers", "shape"),
    [
        ("/v1/gateway/oai/v1/chat/completions", {}, "openai"),
        ("/v1/gateway/google/v1beta/openai/chat/completions", {}, "openai"),
        ("/v1/gateway/google/v1beta/openai/models", {}, "openai"),
        ("/v1/gateway/vertex/v1/projects/p/locations/l/endpoints/openapi/chat/completions", {}, "openai"),
        (f"/v1/gateway/google/v1beta{GEMINI}", {}, "google"),
        ("/gemini/v1beta/models", {}, "google"),
        ("/v1/projects/p/locations/l/publishers/google" + GEMINI, {}, "google"),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/claude:rawPredict", {}, "anthropic"),
        ("/v1/gateway/anthropic/v1/models", {}, "anthropic"),
        ("/v1/messages", {}, "anthropic"),
        ("/v1/complete", {"anthropic-version": "2023-06-01"}, "anthropic"),
        (f"/v1/gateway/bedrock/v1/us-east-1{CONVERSE}", {}, "aws"),
    ],
)
def test_a_refusal_is_in_the_words_of_the_api_that_is_spoken(path, headers, shape):
    assert request_head.shape(routes.resolve(path, headers=headers), headers) == shape


@pytest.mark.parametrize(
    ("path", "shape"),
    [(f"/v1/gateway/v1beta{GEMINI}", "google"), (f"/v1/gateway{CONVERSE}", "aws"), ("/v1/gateway/v1/x", "openai")],
)
def test_and_so_it_is_where_the_client_names_its_target(path, shape):
    assert request_head.shape(routes.resolve(path, headers={}, has_target=True), {}) == shape


def test_google_is_told_a_status_and_what_stopped_the_call_in_its_own_list():
    told = said_by(BUDGET, "google")
    assert told["message"] == "Used up."
    assert (told["error"]["code"], told["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert told["error"]["details"] == [{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "budget_exceeded", "domain": "helicone",
        "metadata": {"budget": "Team", "limit_usd": "0.5"},
    }]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (BUDGET, "ServiceQuotaExceededException"),
        (errors.SessionStopped("Enough."), "ServiceQuotaExceededException"),
        (errors.RateLimited("Wait."), "ThrottlingException"),
        (errors.TargetRefused("No."), "AccessDeniedException"),
        (errors.RegionMissing("Where?"), "ValidationException"),
        (errors.Broken("Oh."), "InternalServerException"),
    ],
)
def test_aws_clients_are_told_an_exception_they_have(error, name):
    told = said_by(error, "aws")
    assert (told["__type"], told["reason"], told["message"]) == (name, error.code, error.message)


@pytest.mark.parametrize("shape", ["openai", "anthropic", "google", "aws"])
def test_a_blocked_call_keeps_helicones_body_in_every_shape(shape):
    told = said_by(ThreatDetected.of("http://x/requests/1", is_reply=False), shape)
    assert told["success"] is False
    assert told["error"]["message"] == "Prompt threat detected. Your request cannot be processed."
    if shape != "google":
        assert told["error"]["code"] == "PROMPT_THREAT_DETECTED"
    else:
        assert (told["error"]["code"], told["error"]["status"]) == (400, "INVALID_ARGUMENT")
        assert told["error"]["details"][0]["reason"] == "PROMPT_THREAT_DETECTED"


@pytest.mark.parametrize("shape", ["openai", "anthropic", "google", "aws"])
def test_every_refusal_can_be_written_in_every_shape(shape):
    told = said_by(errors.AllFailed("All.", [{"source": "a", "type": "request_failed", "message": "m"}], status=418),
                   shape)  # fmt: skip
    assert told["success"] is False
    assert "request_failed" in json.dumps(told)
