"""What clients declare, in headers or meta."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_app import directives
from ingest_app.directives import MAX_ID, MAX_PROPERTIES, MAX_PROPERTY_VALUE, read, without_credentials
from ingest_app.problems import CODES

UUID7 = "01936b3e-7c1a-7abc-8def-0123456789ab"


def codes(asked: directives.Directives) -> list[str]:
    return [problem.code for problem in asked.problems]


def test_who_and_what_a_call_belongs_to():
    asked = read({
        "helicone-user-id": "u1", "helicone-session-id": "s1", "helicone-session-path": "/a/b",
        "helicone-session-name": "Trip", "helicone-prompt-id": "p1", "helicone-prompt-version": "3",
        "helicone-model-override": "gpt-x", "helicone-property-plan": "Free", "helicone-auth": "Bearer sk-helicone-x",
        "content-type": "application/json",
    })  # fmt: skip
    said = asked.attribution
    assert (said.end_user_id, said.session_id, said.session_path, said.session_name) == ("u1", "s1", "/a/b", "Trip")
    assert (said.prompt_id, said.prompt_version, said.model_override) == ("p1", "3", "gpt-x")
    assert said.properties == {"plan": "Free"}
    assert asked.problems == ()


def test_session_prompt_and_user_are_not_stored_again_as_properties():
    asked = read({"helicone-session-id": "s1", "helicone-prompt-id": "p", "helicone-user-id": "u"})
    assert asked.attribution.properties == {}


@pytest.mark.parametrize("sent", [UUID7, "7d444840-9dc0-11d1-b245-5ffdce74fad2", UUID7.upper(), UUID7.replace("-", "")])
def test_a_client_may_choose_any_uuid(sent):
    asked = read({"helicone-request-id": sent})
    assert asked.attribution.client_request_id == str(directives.UUID(sent))


@pytest.mark.parametrize("sent", ["my-id", "123", "0" * 32, "f" * 32, UUID7[:-1]])
def test_what_is_no_uuid_is_named_and_left_out(sent):
    asked = read({"helicone-request-id": sent})
    assert asked.attribution.client_request_id is None
    assert codes(asked) == ["directive_unreadable"]


def test_a_session_path_starts_with_a_slash():
    assert read({"helicone-session-path": "outline/one"}).attribution.session_path == "/outline/one"
    assert read({"helicone-session-path": "/"}).attribution.session_path == "/"


@pytest.mark.parametrize(("sent", "is_omitted", "found"), [
    ("true", True, []), ("false", False, []),
    ("True", False, ["directive_unreadable"]), ("1", False, ["directive_unreadable"]),
])  # fmt: skip
def test_only_the_word_true_omits(sent, is_omitted, found):
    asked = read({"helicone-omit-request": sent, "helicone-omit-response": sent})
    assert (asked.omit_request, asked.omit_response) == (is_omitted, is_omitted)
    assert codes(asked) == found * 2


@pytest.mark.parametrize(
    ("sent", "nano_usd"), [("0.0000025", 2500.0), ("2.5e-6", 2500.0), ("0", 0.0), ("0.0000000375", 37.5)]
)
def test_token_prices_are_usd_per_token(sent, nano_usd):
    said = read({"helicone-input-token-cost": sent, "helicone-output-token-cost": sent}).attribution
    assert (said.input_nano_usd_per_token, said.output_nano_usd_per_token) == (nano_usd, nano_usd)


@pytest.mark.parametrize("sent", ["2.50", "0.01", "-0.000001", "free", "nan", "inf", "1e999999999"])
def test_a_price_per_million_or_none_at_all_is_refused(sent):
    asked = read({"helicone-input-token-cost": sent})
    assert asked.attribution.input_nano_usd_per_token is None
    assert codes(asked) == ["directive_unreadable"]


def test_what_the_rust_gateway_reads_means_the_same_and_our_own_spelling_wins():
    asked = read({
        "x-helicone-model-override": "gpt-x", "x-helicone-omit-request": "true", "x-helicone-property-a_b": "c",
        "x-helicone-user-id": "theirs", "helicone-user-id": "ours", "x-helicone-unheard-of": "1",
    })  # fmt: skip
    said = asked.attribution
    assert (said.model_override, asked.omit_request, said.end_user_id) == ("gpt-x", True, "ours")
    assert said.properties == {"a_b": "c"}


def test_where_nothing_is_ours_nothing_is_declared():
    assert read({"content-type": "application/json", "x-request-id": "1"}) == directives.Directives()
    assert read({"helicone_session_id": "s"}).attribution.session_id == "s"


def test_underscores_mean_the_same_and_dashes_win():
    said = read({
        "helicone-session-id": "dashed", "helicone_session_id": "underscored", "helicone_user_id": "u",
        "helicone_property_user_tier": "gold",
    }).attribution  # fmt: skip
    assert (said.session_id, said.end_user_id, said.properties) == ("dashed", "u", {"user_tier": "gold"})


def test_where_to():
    asked = read({
        "helicone-target-url": "https://llm.example.com", "helicone-openai-api-base": "https://x.openai.azure.com",
        "helicone-fallbacks": "[]",
    })  # fmt: skip
    assert (asked.target_url, asked.openai_api_base) == ("https://llm.example.com", "https://x.openai.azure.com")
    assert asked.fallbacks == "[]"


def test_a_url_too_long_is_no_url():
    asked = read({"helicone-target-url": "https://a.example/" + "x" * 3000})
    assert asked.target_url is None
    assert codes(asked) == ["directive_unreadable"]


def test_what_is_too_long_is_cut_and_named():
    asked = read(
        {"helicone-user-id": "u" * 600, "helicone-property-long": "v" * 9000, "helicone-property-" + "k" * 300: "v"}
    )
    assert asked.attribution.end_user_id == "u" * MAX_ID
    assert asked.attribution.properties == {"long": "v" * MAX_PROPERTY_VALUE, "k" * 200: "v"}
    assert sorted(codes(asked)) == ["directive_cut", "property_cut", "property_cut"]


def test_a_request_holds_so_many_properties():
    asked = read({f"helicone-property-{n}": "v" for n in range(MAX_PROPERTIES + 50)})
    assert len(asked.attribution.properties) == MAX_PROPERTIES
    assert codes(asked) == ["too_many_properties"]


def test_an_empty_property_is_kept_an_empty_name_is_not():
    assert read({"helicone-property-a": "", "helicone-property-": "x"}).attribution.properties == {"a": ""}


def test_an_empty_value_is_not_told():
    assert read({"helicone-user-id": " ", "helicone-omit-request": ""}) == directives.Directives()


NAMES = st.sampled_from(
    [entry.name for entry in directives.ENTRIES] + ["helicone-property-x", "helicone_property_y", "helicone-"]
)


@given(st.dictionaries(st.one_of(NAMES, st.text()), st.text(alphabet=st.characters()), max_size=30))
def test_any_headers_are_read_into_what_postgres_can_keep(headers):
    asked = read(headers)
    said = asked.attribution
    kept = [said.end_user_id, said.session_id, said.session_path, said.session_name, said.model_override]
    for text in [*filter(None, kept), *said.properties, *said.properties.values()]:
        assert "\x00" not in text
        assert len(text.encode()) <= 4 * MAX_PROPERTY_VALUE
    assert set(codes(asked)) <= CODES.keys()


def test_credentials_are_not_kept():
    headers = {
        "authorization": "x", "helicone-auth": "x", "x-api-key": "x", "api-key": "x", "x-goog-api-key": "x",
        "cookie": "x", "set-cookie": "x", "helicone-jwt": "x", "helicone-fallbacks": "x", "aws-session-token": "x",
        "helicone_auth": "x",
        "helicone-posthog-key": "x", "helicone-property-api-key": "name", "helicone-user-id": "u", "user-agent": "a",
    }  # fmt: skip
    assert without_credentials(headers).keys() == {"helicone-property-api-key", "helicone-user-id", "user-agent"}
