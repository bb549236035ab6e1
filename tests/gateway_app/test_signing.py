"""Signatures are AWS's: its published examples, and what its own SDK signs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_app.signing import Keys, Request, Scope, scope_of, sign

EXAMPLE_KEYS = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
EXAMPLE_AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
EXAMPLE_SCOPE = Scope("us-east-1", "service")
HOST = "example.amazonaws.com"


@pytest.mark.parametrize(
    ("request_", "signature"),
    [
        (Request("GET", HOST, "/"), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (Request("POST", HOST, "/"), "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (Request("GET", HOST, "/", "Param2=value2&Param1=value1"),
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        (Request("GET", HOST, "/example/.."), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (Request("GET", HOST, "//"), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (Request("GET", HOST, "/./"), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ],
    ids=["get", "post", "query", "dots", "slashes", "dot"],
)  # fmt: skip
def test_awss_published_examples_are_signed_as_published(request_, signature):
    signed = sign(request_, EXAMPLE_KEYS, EXAMPLE_SCOPE, at=EXAMPLE_AT)
    assert signed == {
        "authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={signature}",
        "x-amz-date": "20150830T123600Z",
    }


def test_a_call_to_bedrock_is_signed_as_botocore_signs_it():
    request = Request(
        "POST", "bedrock-runtime.eu-west-1.amazonaws.com", "/model/anthropic.claude-v2%3A1/converse", "",
        {"content-type": "application/json", "x-amzn-bedrock-trace": "ENABLED", "accept": "*/*"}, b'{"messages":[]}',
    )  # fmt: skip
    keys = Keys("AKID", "se/cret+k", "IQoJ//token==")
    signed = sign(request, keys, Scope("eu-west-1", "bedrock"), at=datetime(2026, 11, 21, 7, 30, 5, tzinfo=UTC))
    assert signed["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKID/20261121/eu-west-1/bedrock/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amzn-bedrock-trace, "
        "Signature=96e4c7edaa9637013a25ac4852b3eb149d0054bceeb8a33317a05c1ca95a32b5"
    )
    assert signed["x-amz-security-token"] == "IQoJ//token=="


@given(st.text(max_size=40), st.binary(max_size=40))
def test_any_path_and_body_can_be_signed_and_the_body_counts(path, body):
    asked = Request("POST", HOST, f"/{path}", "", {"content-type": "a"}, body)
    one = sign(asked, EXAMPLE_KEYS, EXAMPLE_SCOPE, at=EXAMPLE_AT)
    other = sign(asked._replace(body=body + b"x"), EXAMPLE_KEYS, EXAMPLE_SCOPE, at=EXAMPLE_AT)
    assert one["authorization"] != other["authorization"]
    assert scope_of(one["authorization"]) == ("us-east-1", "service")


def test_keys_do_not_show_themselves():
    assert "secret" not in f"{Keys('AKID', 'secret', 'token')!r} {Keys('AKID', 'secret')}"


@pytest.mark.parametrize("text", ["", "Bearer x", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=a/b, x"])
def test_what_is_not_signed_names_no_region(text):
    assert scope_of(text) is None
