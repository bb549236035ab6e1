"""Where a call may go: provider addresses, targets a client names, and the guard against calling inwards.

A name is resolved once, every address checked, and the connection made to a checked address, so that what was checked
is what is called.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from gateway_app.errors import TargetInvalid, TargetRefused
from ingest_app.directives import CREDENTIAL_PARAMETERS
from lib.frozen import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

METADATA_ADDRESSES: frozenset[Address] = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254", "169.254.169.253", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::253",
        "fd00:ec2::23", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd20:ce::254",
    )
)  # fmt: skip
"""Where clouds answer anybody inside with credentials: never called, whatever the settings say."""
METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog", "metadata", "instance-data"})
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_CREDENTIAL = re.compile("(?:" + "|".join(map(re.escape, sorted(CREDENTIAL_PARAMETERS))) + ")=")
DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Scheme, host and port of an upstream, or the path of a unix socket. Key of the connection pool."""

    scheme: Literal["http", "https", "unix"]
    host: str
    port: int
    is_guarded: bool = False
    """Named by a client: its addresses are checked against the private ranges."""

    @property
    def authority(self) -> str:
        """As a Host header says it: without the port where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if DEFAULT_PORTS.get(self.scheme) == self.port else f"{host}:{self.port}"

    @property
    def text(self) -> str:
        return f"{self.scheme}://{self.authority}"


class Target(NamedTuple):
    """An origin and the path every call to it starts with (empty or `/openai`)."""

    origin: Origin
    path: str = ""

    def path_for(self, path: str) -> str:
        """`path` under the target's own, without saying their common part twice: `/openai/v1` and `/v1/x` make
        `/openai/v1/x`, and so do `/openai/v1` and `/openai/v1/x`."""
        if not self.path:
            return path
        parts = self.path.split("/")[1:]
        for skipped in range(len(parts)):
            shared = "/" + "/".join(parts[skipped:])
            if path == shared or path.startswith((shared + "/", shared + "?")):
                return "".join(f"/{part}" for part in parts[:skipped]) + path
        return self.path + path


@lru_cache(maxsize=1024)
def read_target(url: str, *, is_guarded: bool, keeps_path: bool) -> Target:
    """The target an http(s) URL names. Raises TargetInvalid, TargetRefused for a metadata name."""
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").rstrip("."), parts.port
        host = host.encode("idna").decode() if not host.isascii() else host
    except ValueError:  # UnicodeError among them
        host, port = "", None
    scheme = parts.scheme if host else ""
    if not host or scheme not in DEFAULT_PORTS or any(c.isspace() or c in "\\%" for c in host):
        raise TargetInvalid(f"The target {url[:200]!r} is not a URL such as https://api.example.com.")
    if host in METADATA_NAMES:
        raise TargetRefused(f"The target {host} is a cloud metadata service, which is never called.")
    origin = Origin(
        "https" if scheme == "https" else "http", host,
        port if port is not None else DEFAULT_PORTS[scheme], is_guarded,
    )  # fmt: skip
    return Target(origin, parts.path.rstrip("/") if keeps_path else "")


def without_credentials(query: str) -> str:
    """The query string without parameters that are credentials."""
    if not query or ("%" not in query and not _CREDENTIAL.search(query.lower())):
        return query
    pairs = parse_qsl(query, keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if name.lower() not in CREDENTIAL_PARAMETERS]
    return query if kept == pairs else urlencode(kept)


@dataclass(frozen=True, slots=True)
class Guard:
    """Which private addresses a client may name: none, all, or those of some networks."""

    allows_all: bool = False
    networks: tuple[Network, ...] = ()

    @classmethod
    def read(cls, setting: str) -> Guard:
        """`deny`, `allow`, or CIDRs joined by commas. Raises ValueError for anything else."""
        words = [word.strip() for word in setting.split(",") if word.strip()]
        if [word.lower() for word in words] in ([], ["deny"]):
            return cls()
        if [word.lower() for word in words] == ["allow"]:
            return cls(allows_all=True)
        try:
            return cls(networks=tuple(ipaddress.ip_network(word, strict=False) for word in words))
        except ValueError as error:
            hint = "GATEWAY_PRIVATE_TARGETS must be deny, allow or networks like 10.0.0.0/8"
            raise ValueError(f"{hint}: {error}") from None

    def check(self, origin: Origin, addresses: Sequence[str]) -> list[str]:
        """The addresses that may be called. Raises TargetRefused when there is none."""
        refused = [text for text in addresses if not self._may_call(text, is_guarded=origin.is_guarded)]
        allowed = [text for text in addresses if text not in refused]
        if refused and not allowed:
            raise TargetRefused(_refusal(origin, refused[0]))
        return allowed

    def _may_call(self, text: str, *, is_guarded: bool) -> bool:
        meant = inner_addresses(ipaddress.ip_address(text.partition("%")[0]))
        if any(address in METADATA_ADDRESSES for address in meant):
            return False
        return not is_guarded or all((address.is_global and not _is_special(address)) or self._is_listed(address)
                                     for address in meant)

    def _is_listed(self, address: Address) -> bool:
        return self.allows_all or any(
            address.version == network.version and address in network for network in self.networks
        )


def _refusal(origin: Origin, address: str) -> str:
    if any(inner in METADATA_ADDRESSES for inner in inner_addresses(ipaddress.ip_address(address.partition("%")[0]))):
        return f"The target {origin.host} is a cloud metadata service ({address}), which is never called."
    return (
        f"The target {origin.host} is at {address}, an address inside this network. An operator can allow it with the "
        f"setting GATEWAY_PRIVATE_TARGETS (now it does not)."
    )


def _is_special(address: Address) -> bool:
    """Global by the registry, and still no provider: multicast, reserved, unspecified."""
    return address.is_multicast or address.is_reserved or address.is_unspecified


def inner_addresses(address: Address) -> tuple[Address, ...]:
    """The addresses really reached: an IPv6 form that carries an IPv4 one (mapped, 6to4, Teredo, NAT64) stands for it.

    Of one that only tunnels, both are judged.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    last = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        return (last,)
    if address in LOCAL_NAT64:
        return (address, last)
    carried = [address.sixtofour] if address.sixtofour else list(address.teredo or ())
    return (address, *carried)


def provider_urls(environment: Mapping[str, str]) -> dict[str, str]:
    """`PROVIDER_URL_<SLUG>` of the environment by slug (`-` is written `_`). Raises TargetInvalid for a bad one."""
    prefix = "PROVIDER_URL_"
    named = {
        name.removeprefix(prefix).lower().replace("_", "-"): value
        for name, value in environment.items()
        if name.startswith(prefix) and value
    }
    for url in named.values():
        read_target(url, is_guarded=False, keeps_path=True)
    return named
