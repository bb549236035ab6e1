"""Calls to Bedrock are signed here with what the client sends beside them, and with nothing else."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest

from gateway_app import aws, regions, signing
from gateway_app.errors import AwsKeysMissing, RegionMissing
from gateway_app.routes import Whose, resolve, target_url
from gateway_app.signing import Keys, Request, Scope
from ingest_app.directives import Directives
from tests.gateway_app.stage import AUTH, Asked, chunk, json_answer, recording, run, staged
from tests.llm.test_bedrock import CONVERSED

CREDENTIALS = {"aws-access-key": "AKIDCLIENT", "aws-secret-key": "very/secret", "aws-session-token": "session-secret"}
SDKS_OWN = {
    "authorization": "AWS4-HMAC-SHA256 Credential=AKIDSDK/20260101/eu-west-3/bedrock/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=00",
    "x-amz-date": "20260101T000000Z", "x-amz-security-token": "theirs",
}  # fmt: skip
MODEL = "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
BODY = json.dumps({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}).encode()
REPLY = json.dumps({"output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
                    "stopReason": "end_turn", "usage": {"inputTokens": 3, "outputTokens": 2}}).encode()  # fmt: skip


def signature_of(asked: Asked, keys: Keys, region: str) -> str:
    """What AWS would compute for the request as it came."""
    method, path, _ = asked.line.split(" ")
    names = re.search("SignedHeaders=([^,]+)", asked.headers["authorization"])
    assert names is not None
    signed = {name: asked.headers[name] for name in names[1].split(";")}
    moment = datetime.strptime(asked.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    request = Request(method, signed.pop("host"), path, "", signed, asked.body)
    return signing.sign(request, keys, Scope(region, "bedrock"), at=moment)["authorization"]


def bedrock_at(port: int) -> dict[str, str]:
    return {"bedrock": f"http://127.0.0.1:{port}"}


def ask_bedrock(tmp_path, headers, path=f"/v1/gateway/bedrock{MODEL}", answer=None):
    """(answer, what the upstream saw, what was recorded)."""
    seen: list[Asked] = []
    found = {}

    async def work():
        async with staged(tmp_path, recording(seen, answer or json_answer(REPLY))) as stage:
            object.__setattr__(stage.gateway.policy, "provider_urls", bedrock_at(stage.upstream_port))
            given = {**AUTH, "content-type": "application/json", **headers}
            found["answer"] = await stage.ask(path=path, body=BODY, headers=given)
            found["exchanges"] = await stage.exchanges() if seen else []

    run(work())
    return found["answer"], seen, found["exchanges"]


@pytest.mark.parametrize("path", [
    f"/v1/gateway/bedrock/v1/eu-west-1{MODEL}", f"/bedrock/v1/eu-west-1{MODEL}", f"/aws/v1/eu-west-1{MODEL}",
])  # fmt: skip
def test_a_call_is_signed_with_the_clients_credentials(tmp_path, path):
    (status, _, body), (asked,), (exchange,) = ask_bedrock(tmp_path, {**CREDENTIALS, **SDKS_OWN}, path)
    assert (status, body, asked.body) == (200, REPLY, BODY)
    assert asked.line == f"POST {MODEL} HTTP/1.1"
    keys = Keys("AKIDCLIENT", "very/secret", "session-secret")
    assert asked.headers["authorization"] == signature_of(asked, keys, "eu-west-1")
    assert asked.headers["x-amz-security-token"] == "session-secret"
    assert not [name for name in asked.headers if name.startswith(("aws-", "helicone"))]
    assert "secret" not in f"{exchange.request_headers} {exchange.url} {exchange.request.data!r}"
    assert (exchange.provider, exchange.url.partition("/model/")[2]) == ("bedrock", MODEL.removeprefix("/model/"))


def test_the_region_may_stand_in_a_header_or_in_what_the_sdk_signed(tmp_path):
    _, (asked,), _ = ask_bedrock(tmp_path, {**CREDENTIALS, "aws-region": "us-gov-west-1"})
    assert "/us-gov-west-1/bedrock/aws4_request" in asked.headers["authorization"]
    _, (asked,), _ = ask_bedrock(tmp_path / "b", {**CREDENTIALS, **SDKS_OWN})
    assert "/eu-west-3/bedrock/aws4_request" in asked.headers["authorization"]


def test_a_bedrock_api_key_is_sent_on_and_nothing_signed(tmp_path):
    _, (asked,), (exchange,) = ask_bedrock(tmp_path, {"authorization": "Bearer ABSKxyz", "aws-region": "us-east-1"})
    assert asked.headers["authorization"] == "Bearer ABSKxyz"
    assert "x-amz-date" not in asked.headers
    assert "ABSK" not in str(exchange.request_headers)


@pytest.mark.parametrize(("headers", "said"), [
    ({}, "No AWS credentials"), (SDKS_OWN, "signed for this server's name"),
    ({"aws-access-key": "AKID"}, "'aws-secret-key' is missing"),
    ({"aws-secret-key": "s"}, "'aws-access-key' is missing"),
])  # fmt: skip
def test_missing_credentials_are_said_in_the_sdks_words(tmp_path, headers, said):
    (status, _, body), seen, _ = ask_bedrock(tmp_path, {"aws-region": "us-east-1", **headers})
    told = json.loads(body)
    assert (status, told["__type"], told["reason"]) == (401, "UnrecognizedClientException", "aws_credentials_missing")
    assert seen == []
    assert said in told["message"]
    assert "aws-secret-key" in told["message"]


def test_counts_in_headers_are_kept(tmp_path):
    answer = json_answer(REPLY, more="X-Amzn-Bedrock-Input-Token-Count: 3\r\n")
    _, _, (exchange,) = ask_bedrock(tmp_path, CREDENTIALS, f"/bedrock/v1/us-east-1{MODEL}", answer=answer)
    assert exchange.response_headers["x-amzn-bedrock-input-token-count"] == "3"


def test_a_stream_passes_untouched(tmp_path):
    head = (b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n")  # fmt: skip
    data = b"".join(map(chunk, CONVERSED)) + b"0\r\n\r\n"
    path = f"/bedrock/v1/us-east-1{MODEL}-stream"
    (status, headers, body), _, (exchange,) = ask_bedrock(tmp_path, CREDENTIALS, path, answer=head + data)
    assert (status, body) == (200, b"".join(CONVERSED))
    assert headers["content-type"] == "application/vnd.amazon.eventstream"
    assert exchange.response.data == body
    assert exchange.time_to_first_token_ms is not None


def test_a_call_signed_for_the_real_host_goes_there_as_it_is(tmp_path):
    seen: list[Asked] = []

    async def work():
        async with staged(tmp_path, recording(seen, json_answer(REPLY)), guard="allow") as stage:
            given = {**AUTH, **SDKS_OWN, "helicone-target-url": f"http://127.0.0.1:{stage.upstream_port}"}
            for path in (MODEL, f"/v1/gateway{MODEL}", f"/v1/gateway/custom{MODEL}"):
                assert (await stage.ask(path=path, body=BODY, headers=given))[0] == 200

    run(work())
    for asked in seen:
        assert asked.line == f"POST {MODEL} HTTP/1.1"
        assert {name: asked.headers[name] for name in SDKS_OWN} == SDKS_OWN


def told(path, headers, host=""):
    route = regions.settled(resolve(path, headers=headers, host=host), headers)
    return target_url(route, Directives(), {})[:2], route.path


def test_the_host_is_the_regions():
    at = "https://bedrock-runtime.us-west-2.amazonaws.com"
    assert told(f"/bedrock/v1/us-west-2{MODEL}", AUTH) == (("bedrock", at), MODEL)
    assert told(f"/v1/us-west-2{MODEL}", AUTH, host="bedrock.example.com") == (("bedrock", at), MODEL)
    assert told(MODEL, {**AUTH, "aws-region": "us-west-2"}) == (("bedrock", at), MODEL)
    assert told(f"/bedrock{MODEL}", {**AUTH, "aws-region": "cn-north-1"})[0][1].endswith("cn-north-1.amazonaws.com.cn")
    vertex = "/v1/projects/p/locations/europe-west4/publishers/google/models/gemini-2.5-flash:generateContent"
    for path in (f"/v1/gateway/vertex{vertex}", f"/vertex{vertex}", vertex):
        assert told(path, AUTH) == (("google-vertex", "https://europe-west4-aiplatform.googleapis.com"), vertex)
    anywhere = vertex.replace("europe-west4", "global")
    assert told(f"/vertex{anywhere}", AUTH) == (("google-vertex", "https://aiplatform.googleapis.com"), anywhere)


@pytest.mark.parametrize(
    "region", ["", "evil.example/", "x", "us-east-1.evil.example", "us-east-1\\", "../..", "@evil"]
)
def test_what_is_no_region_never_becomes_a_host(region):
    with pytest.raises(RegionMissing, match="aws-region"):
        told(f"/bedrock{MODEL}", {**AUTH, "aws-region": region})
    assert resolve(f"/bedrock{MODEL}", headers=AUTH).whose is Whose.GATEWAY


def test_a_half_of_the_credentials_is_none():
    from_nothing = {"authorization": "Bearer sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"}
    with pytest.raises(AwsKeysMissing):
        aws.keys_of(from_nothing, is_client_target=False)
    assert aws.keys_of({}, is_client_target=True) is None


@pytest.mark.parametrize(("host", "region"), [
    ("bedrock-runtime.eu-west-1.amazonaws.com", "eu-west-1"),
    ("runtime.sagemaker.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
    ("vpce-1.runtime.sagemaker.cn-north-1.vpce.amazonaws.com.cn", "cn-north-1"),
])  # fmt: skip
def test_a_host_of_awss_tells_its_region(host, region):
    assert aws.region_of({}, route_region="", host=host) == region


def test_a_host_that_tells_no_region_is_asked_for_one():
    with pytest.raises(RegionMissing):
        aws.region_of({}, route_region="", host="bedrock.internal.example.com")


def test_an_endpoint_of_sagemaker_is_signed_as_its_service_wants_it(tmp_path):
    seen: list[Asked] = []

    async def work():
        async with staged(tmp_path, recording(seen, json_answer(b'[{"generated_text": "Hello"}]'))) as stage:
            at = {"sagemaker": f"http://127.0.0.1:{stage.upstream_port}"}
            object.__setattr__(stage.gateway.policy, "provider_urls", at)
            given = {**AUTH, "content-type": "application/json", **CREDENTIALS}
            path = "/v1/gateway/sagemaker/v1/eu-west-1/endpoints/my-llama/invocations"
            await stage.ask(path=path, body=b'{"inputs": "Hi"}', headers=given)
            (exchange,) = await stage.exchanges()
            assert exchange.provider == "sagemaker"

    run(work())
    (asked,) = seen
    assert asked.line == "POST /endpoints/my-llama/invocations HTTP/1.1"
    assert "/eu-west-1/sagemaker/aws4_request" in asked.headers["authorization"]
