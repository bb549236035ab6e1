"""Where a call may go."""

from __future__ import annotations

import asyncio
import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway_app import upstream
from gateway_app.errors import TargetInvalid, TargetRefused, Unreachable
from gateway_app.targets import (
    METADATA_ADDRESSES,
    Guard,
    Origin,
    Target,
    provider_urls,
    read_target,
    without_credentials,
)

NAMED = Origin("https", "x.example", 443, is_guarded=True)
OPERATORS = Origin("https", "x.example", 443)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1", "0.0.0.0", "224.0.0.1",
     "255.255.255.255", "198.18.0.1", "192.0.2.1", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1",
     "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::7f00:1", "2001:db8::1",
     "fe80::1%eth0"],
)  # fmt: skip
def test_an_inside_address_is_refused_and_the_setting_is_named(address):
    with pytest.raises(TargetRefused, match="GATEWAY_PRIVATE_TARGETS"):
        Guard.read("deny").check(NAMED, [address])
    assert Guard.read("allow").check(NAMED, [address]) == [address]
    assert Guard.read("deny").check(OPERATORS, [address]) == [address]


@pytest.mark.parametrize("address", [*sorted(str(address) for address in METADATA_ADDRESSES), "::ffff:169.254.169.254"])
def test_a_metadata_address_is_refused_whatever_the_setting(address):
    for origin in (NAMED, OPERATORS):
        for setting in ("allow", "0.0.0.0/0,::/0"):
            with pytest.raises(TargetRefused, match="metadata"):
                Guard.read(setting).check(origin, [address])


def test_metadata_names_are_refused_before_they_are_resolved():
    for name in ("metadata.google.internal", "METADATA.google.internal.", "metadata"):
        with pytest.raises(TargetRefused, match="metadata"):
            read_target(f"http://{name}/x", is_guarded=True, keeps_path=False)


@given(st.ip_addresses())
@example(ipaddress.ip_address("64:ff9b:1::100:0"))
def test_what_is_let_through_is_outside(address):
    try:
        Guard().check(NAMED, [str(address)])
    except TargetRefused:
        return
    assert address.is_global
    assert not any(
        address in ipaddress.ip_network(net)
        for net in ("10.0.0.0/8", "fc00::/7", "127.0.0.0/8")
        if address.version == ipaddress.ip_network(net).version
    )


def test_listed_networks_are_allowed_and_no_others():
    guard = Guard.read("10.0.0.0/8, fd00::/8")
    assert guard.check(NAMED, ["10.9.9.9"]) == ["10.9.9.9"]
    assert guard.check(NAMED, ["::ffff:10.9.9.9"]) == ["::ffff:10.9.9.9"]
    with pytest.raises(TargetRefused):
        guard.check(NAMED, ["192.168.0.1"])
    assert guard.check(NAMED, ["192.168.0.1", "1.1.1.1"]) == ["1.1.1.1"]
    with pytest.raises(ValueError, match="GATEWAY_PRIVATE_TARGETS"):
        Guard.read("sometimes")


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]"])
def test_a_name_is_judged_by_what_it_resolves_to(host):
    async def work():
        origin = read_target(f"http://{host}:9/", is_guarded=True, keeps_path=False).origin
        async with upstream.running(Guard(), silence_seconds=5) as pool:
            with pytest.raises((TargetRefused, Unreachable)) as raised:
                await pool.acquire(origin)
        assert raised.type is TargetRefused

    asyncio.run(work())


@pytest.mark.parametrize("url", ["", "example.com", "ftp://x.y", "http://", "https://a b", "http://[::1", "http://x:99999",
                                 "http://a\\b", "file:///etc/passwd", "https://%31"])  # fmt: skip
def test_what_is_no_url_is_refused(url):
    with pytest.raises(TargetInvalid):
        read_target(url, is_guarded=True, keeps_path=False)


def test_of_a_clients_target_only_the_origin_is_used():
    target = read_target("https://user:pw@API.Example.com:8443/v1/x?y", is_guarded=True, keeps_path=False)
    assert target == Target(Origin("https", "api.example.com", 8443, True), "")
    assert target.origin.authority == "api.example.com:8443"


@pytest.mark.parametrize(
    ("base", "path", "sent"),
    [
        ("", "/v1/x", "/v1/x"), ("/v1", "/v1/x", "/v1/x"), ("/v1", "/x", "/v1/x"),
        ("/openai/v1", "/v1/x", "/openai/v1/x"),
        ("/openai/v1", "/openai/v1/x", "/openai/v1/x"), ("/proxy", "/v1/x", "/proxy/v1/x"),
        ("/v1", "/v10/x", "/v1/v10/x"),
        ("/a/v1", "/v1", "/a/v1"),
    ],
)  # fmt: skip
def test_an_operators_path_is_said_once(base, path, sent):
    assert Target(OPERATORS, base).path_for(path) == sent


def test_provider_urls_are_read_from_the_environment():
    found = {"PROVIDER_URL_OPENAI": "http://a/v1", "PROVIDER_URL_GOOGLE_VERTEX": "https://b", "X": "y"}
    assert provider_urls(found) == {
        "openai": "http://a/v1", "google-vertex": "https://b",
    }  # fmt: skip
    with pytest.raises(TargetInvalid):
        provider_urls({"PROVIDER_URL_OPENAI": "nowhere"})


def test_credentials_in_a_query_are_left_out():
    assert without_credentials("alt=sse&key=abc&Access_Token=x") == "alt=sse"
    assert without_credentials("a=%20b&c") == "a=%20b&c"
