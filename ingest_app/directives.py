"""What a client tells us about its call, in headers or a log's `meta`. Only this file knows `Helicone-*` names.

One entry of ENTRIES a header: its name, the field it sets, how its value is read. docs/headers.md has a heading
for each. A value that cannot be read sets nothing and is named in `problems`; other names are ignored.

What has a column of its own (session, prompt id) is not stored a second time as a property, as Helicone does;
the Helicone API adds those names back on the way out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, fields
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from uuid import UUID

import orjson

from ingest_app import rate_policy
from ingest_app.rate_policy import RatePolicy
from lib.frozen import dataclass
from llm.exchange import Attribution, Problem

MAX_ID = 500
"""Characters. In UTF-8 at most 2 KB, so that ids fit in an index (Postgres: 2.7 KB). As in requests_app/columns.py,
which would cut without a word what is longer."""
MAX_URL = 2048
MAX_PATH = 2000
MAX_PROPERTY_KEY = 200
MAX_PROPERTY_VALUE = 2000
MAX_PROPERTIES = 200
MAX_USD_PER_TOKEN = Decimal("0.01")
"""No model costs $10,000 a million tokens: such a number is a price per million, sent by mistake."""

MAX_FALLBACKS = 60_000
MAX_ATTEMPTS = 20
MAX_BACK_OFF_MS = 600_000
MAX_FACTOR = 100
TOKEN_LIMIT_WORDS = ("truncate", "middle-out", "fallback")
MAX_USD = 1_000_000

_TOO_MANY = Problem("too_many_properties", f"the first {MAX_PROPERTIES} were kept")
_NOT_IN_TEXT = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Directives:
    """A client's declarations, read. `problems` names those that could not be."""

    attribution: Attribution = field(default_factory=Attribution)
    omit_request: bool = False
    omit_response: bool = False
    stream_usage: bool | None = None
    """Ask the provider for a stream's token counts; None: as the organization has it."""
    target_url: str | None = None
    openai_api_base: str | None = None
    fallbacks: str = ""
    """Targets or models to try one after the other, as it was sent: JSON, and keys of providers in it."""
    retry_enabled: bool = False
    retry_num: int = 5
    """Calls in all, the first too."""
    retry_factor: float = 2.0
    retry_min_ms: int = 1_000
    retry_max_ms: int = 10_000
    route: str = ""
    """Name of a route of the organization."""
    token_limit: str = ""
    """What to do with a prompt longer than its model takes: `truncate`, `middle-out`, `fallback`."""
    increase_timeout: bool = False
    force_format: bool = False
    cache_enabled: bool = False
    cache_read: bool = False
    cache_save: bool = False
    cache_slots: int = 1
    """So many different answers of one request are kept (`Helicone-Cache-Bucket-Max-Size`)."""
    cache_seed: str = ""
    cache_control: str = ""
    """Changes nothing, as with Helicone: how long a reply is kept says the standard `Cache-Control`."""
    cache_ignored: tuple[str, ...] = ()
    """Keys of the body that do not tell one request from another."""
    rate_limit: RatePolicy | None = None
    session_max_cost_nano_usd: int | None = None
    session_max_calls: int | None = None
    session_max_depth: int | None = None
    session_max_repeats: int | None = None
    posthog_key: str = field(default="", repr=False)
    posthog_host: str = ""
    prompt_mode: str = ""
    moderations: bool = False
    security: bool | None = None
    prompt_security: bool = False
    """The older name of `security`, which wins."""
    security_advanced: bool = False
    security_reply: bool | None = None
    """Screen the reply too; None: as the organization has it."""
    problems: tuple[Problem, ...] = ()

    @property
    def has_target(self) -> bool:
        """Whether the client says whom to call; a list of models names none."""
        return bool(self.target_url or self.openai_api_base or "{" in self.fallbacks)

    @property
    def has_prompt(self) -> bool:
        """Whether the body's prompt tags are read."""
        return self.attribution.prompt_id is not None and self.prompt_mode != "deactivated"

    @property
    def is_screened(self) -> bool:
        return self.prompt_security if self.security is None else self.security


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read_whole(value: str) -> int:
        if not value.isdecimal() or not least <= int(value) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(value)

    return read_whole


def _factor(value: str) -> float:
    try:
        factor = float(value)
    except ValueError:
        factor = -1.0
    if not 0 < factor <= MAX_FACTOR:
        raise ValueError(f"must be a number above 0, up to {MAX_FACTOR}")
    return factor


def _token_limit(value: str) -> str:
    """An unknown word is off, as with Helicone, and named."""
    word = value.lower()
    if word not in TOKEN_LIMIT_WORDS:
        raise ValueError(f"must be {', '.join(TOKEN_LIMIT_WORDS[:-1])} or {TOKEN_LIMIT_WORDS[-1]}")
    return word


def _url(value: str) -> str:
    """A URL whole or not at all: cut, it would name another place."""
    if len(value) > MAX_URL:
        raise ValueError(f"longer than {MAX_URL} characters")
    return value


def _session_path(value: str) -> str:
    """A path starts with `/`; clients often leave it out."""
    return value if value.startswith("/") else f"/{value}"


def _uuid(value: str) -> str:
    """Any UUID but nil and max, which only stand for a forgotten value; written as RFC 9562 does."""
    try:
        identifier = UUID(value)
    except ValueError:
        raise ValueError("not a UUID, so a fresh one was made") from None
    if identifier.int in (0, (1 << 128) - 1):
        raise ValueError("the nil and max UUIDs name nothing, so a fresh one was made")
    return str(identifier)


def _is_true(value: str) -> bool:
    """Only the word `true`, as Helicone reads it; what is no boolean is named, since privacy may hang on it."""
    if value in {"true", "false"}:
        return value == "true"
    raise ValueError(f"must be true or false in lower case, not {value[:20]!r}")


def _is_true_in_any_case(value: str) -> bool:
    return _is_true(value.lower())


def _prompt_mode(value: str) -> str:
    if value not in ("production", "testing", "deactivated"):
        raise ValueError("must be production, testing or deactivated")
    return value


def _nano_usd(value: str) -> int:
    """A sum in USD, above 0."""
    try:
        usd = Decimal(value.removeprefix("$"))
    except InvalidOperation:
        raise ValueError("must be a number: USD") from None
    if not usd.is_finite() or not 0 < usd <= MAX_USD:
        raise ValueError(f"must be USD above 0, at most {MAX_USD}")
    return max(1, int(usd * 10**9))


def _count(value: str) -> int:
    """Where a larger number is meant to be refused, that is said elsewhere."""
    if not value.isdecimal() or int(value) < 1:
        raise ValueError("must be a whole number from 1")
    return int(value)


def _names(value: str) -> tuple[str, ...]:
    """`"a","b"`, as Helicone reads it, or `a,b`, as it is documented."""
    try:
        found = orjson.loads(f"[{value.strip().removeprefix('[').removesuffix(']')}]")
    except orjson.JSONDecodeError:
        found = [name.strip().strip("\"'") for name in value.split(",")]
    return tuple(str(name) for name in found if name != "")


def _nano_usd_per_token(value: str) -> float:
    """USD per token, 0 for free. A number that can only be a price per million tokens is refused."""
    try:
        price = Decimal(value)
    except InvalidOperation:
        raise ValueError("must be a number: USD per token") from None
    if not price.is_finite() or not 0 <= price < MAX_USD_PER_TOKEN:
        raise ValueError(f"must be USD per token (not per million), from 0 up to {MAX_USD_PER_TOKEN}")
    return float(price * 10**9)


@dataclass(frozen=True, slots=True)
class Entry:
    """A header we read. `sets` names a field of Attribution or Directives; `read` raises ValueError, saying why."""

    header: str
    sets: str
    read: Callable[[str], object]
    longest: int = MAX_ID
    """Characters; what is beyond is cut."""

    @property
    def name(self) -> str:
        return self.header.lower()


NO_DIRECTIVES = Directives()
RATE_LIMIT_HEADER = "Helicone-RateLimit-Policy"
SESSION_BOUNDS = tuple(f"Helicone-Session-Max-{what}" for what in ("Cost-Usd", "Calls", "Depth", "Repeats"))
ENTRIES = (
    Entry("Helicone-Request-Id", "client_request_id", _uuid),
    Entry("Helicone-User-Id", "end_user_id", str),
    Entry("Helicone-Session-Id", "session_id", str),
    Entry("Helicone-Session-Path", "session_path", _session_path, MAX_PATH),
    Entry("Helicone-Session-Name", "session_name", str),
    Entry("Helicone-Prompt-Id", "prompt_id", str),
    Entry("Helicone-Prompt-Version", "prompt_version", str),
    Entry("Helicone-Model-Override", "model_override", str),
    Entry("Helicone-Input-Token-Cost", "input_nano_usd_per_token", _nano_usd_per_token),
    Entry("Helicone-Output-Token-Cost", "output_nano_usd_per_token", _nano_usd_per_token),
    Entry("Helicone-Omit-Request", "omit_request", _is_true),
    Entry("Helicone-Omit-Response", "omit_response", _is_true),
    Entry("Helicone-Stream-Usage", "stream_usage", _is_true),
    Entry("Helicone-Target-URL", "target_url", _url, MAX_URL + 1),
    Entry("Helicone-OpenAI-Api-Base", "openai_api_base", _url, MAX_URL + 1),
    Entry("Helicone-Fallbacks", "fallbacks", str, MAX_FALLBACKS),
    Entry("Helicone-Route", "route", str),
    Entry("Helicone-Retry-Enabled", "retry_enabled", _is_true),
    Entry("Helicone-Retry-Num", "retry_num", _whole(1, MAX_ATTEMPTS), 9),
    Entry("Helicone-Retry-Factor", "retry_factor", _factor, 20),
    Entry("Helicone-Retry-Min-Timeout", "retry_min_ms", _whole(0, MAX_BACK_OFF_MS), 9),
    Entry("Helicone-Retry-Max-Timeout", "retry_max_ms", _whole(0, MAX_BACK_OFF_MS), 9),
    Entry("Helicone-Token-Limit-Exception-Handler", "token_limit", _token_limit),
    Entry("Helicone-Increase-Timeout", "increase_timeout", _is_true),
    Entry("Helicone-Stream-Force-Format", "force_format", _is_true),
    Entry("Helicone-Cache-Enabled", "cache_enabled", _is_true_in_any_case),
    Entry("Helicone-Cache-Read", "cache_read", _is_true_in_any_case),
    Entry("Helicone-Cache-Save", "cache_save", _is_true_in_any_case),
    Entry("Helicone-Cache-Bucket-Max-Size", "cache_slots", _count, 9),
    Entry("Helicone-Cache-Seed", "cache_seed", str),
    Entry("Helicone-Cache-Control", "cache_control", str),
    Entry("Helicone-Cache-Ignore-Keys", "cache_ignored", _names, MAX_PATH),
    Entry(RATE_LIMIT_HEADER, "rate_limit", rate_policy.read),
    Entry(SESSION_BOUNDS[0], "session_max_cost_nano_usd", _nano_usd),
    *(Entry(header, f"session_max_{header.rpartition('-')[2].lower()}", _count, 9) for header in SESSION_BOUNDS[1:]),
    Entry("Helicone-Posthog-Key", "posthog_key", str),
    Entry("Helicone-Posthog-Host", "posthog_host", _url, MAX_URL + 1),
    Entry("Helicone-Prompt-Mode", "prompt_mode", _prompt_mode),
    Entry("Helicone-Moderations-Enabled", "moderations", _is_true),
    Entry("Helicone-LLM-Security-Enabled", "security", _is_true_in_any_case),
    Entry("Helicone-Prompt-Security-Enabled", "prompt_security", _is_true_in_any_case),
    Entry("Helicone-LLM-Security-Advanced", "security_advanced", _is_true_in_any_case),
    Entry("Helicone-LLM-Security-Reply", "security_reply", _is_true_in_any_case),
)
PROPERTY_HEADER = "Helicone-Property-"
"""The rest of the name is the property's key.

Lower-case, wherever it comes from: HTTP header names have no case, Helicone stores what its proxy sees in lower
case and sends `meta` through the same headers, and one property must not become two by the door it came in at.
"""
STRIPE_CUSTOMER_HEADER = "x-stripe-customer-id"
PROPERTY_OF_HEADER = {STRIPE_CUSTOMER_HEADER: "stripe_customer_id"}
"""Headers with a name of their own that become a property."""

CREDENTIALS = frozenset({"helicone-fallbacks", "aws-access-key", "aws-secret-key", "aws-session-token"})
"""Headers that hold secrets (a fallback carries its provider's key), beside those whose name tells by its end."""
_CREDENTIAL_ENDINGS = (
    "authorization", "cookie", "-auth", "-key", "apikey", "token", "-jwt", "secret", "password", "-signature",
    "-credential",
)  # fmt: skip
CREDENTIAL_PARAMETERS = frozenset({
    "key", "api_key", "api-key", "apikey", "access_token", "token", "auth", "authorization", "secret", "client_secret",
    "password", "subscription-key", "sig", "signature", "x-amz-signature", "x-amz-credential", "x-amz-security-token",
    "x-goog-signature", "x-goog-credential",
})  # fmt: skip
"""Of a URL's query, in lower case: not kept with a request."""
_TARGETS = frozenset({"helicone-target-url", "helicone-openai-api-base"})

_PROPERTY_PREFIX = PROPERTY_HEADER.lower()
_UNDERSCORED_PREFIX = _PROPERTY_PREFIX.replace("-", "_")
_OTHER_SPELLINGS = ("helicone_", "x-helicone-")
"""litellm's, and those of Helicone's Rust gateway."""
_BEGINNINGS = ("helicone-", *_OTHER_SPELLINGS, *PROPERTY_OF_HEADER)
_BY_NAME = {entry.name: entry for entry in ENTRIES}
_ATTRIBUTION_FIELDS = frozenset(f.name for f in fields(Attribution))


def read(headers: Mapping[str, str]) -> Directives:
    """Directives from lower-case names and values; never raises.

    litellm's underscores (`helicone_session_id`) and the `x-` of Helicone's Rust gateway (`x-helicone-model-override`)
    mean the same; where both are sent, our own spelling wins.
    """
    ours = _ours(headers)
    if not ours:
        return NO_DIRECTIVES
    properties: dict[str, str] = {}
    found: dict[str, object] = {}
    problems: list[Problem] = []
    for name, value in ours:
        if entry := _BY_NAME.get(name):
            _keep(found, entry, value, problems)
        elif (key := _property_key(name)) is not None:
            _keep_property(properties, key, value, problems)
    return _directives(found, properties, problems)


def complaint(directives: Directives, *headers: str) -> str:
    """Why the first of those headers that could not be read could not; empty where all could, or were not sent."""
    said = (problem.detail for problem in directives.problems if problem.code == "directive_unreadable")
    starts = tuple(f"{header}: " for header in headers)
    return next((detail for detail in said if detail.startswith(starts)), "")


def without_credentials(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers (lower-case names) that may be kept with a request."""
    return {
        name: value for name, value in headers.items()
        if name.startswith(_PROPERTY_PREFIX) or not (is_credential(name) or tells_credentials(name, value))
    }  # fmt: skip


def tells_credentials(name: str, value: str) -> bool:
    """Whether the header names a target with a login or a query in it, where credentials stand."""
    return name.replace("_", "-") in _TARGETS and ("@" in value or "?" in value)


@lru_cache(maxsize=4096)
def is_credential(name: str) -> bool:
    """Whether the header of this lower-case name holds a secret."""
    dashed = name.replace("_", "-")
    return dashed in CREDENTIALS or dashed.endswith(_CREDENTIAL_ENDINGS)


def _ours(headers: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """Names of ours in their own spelling, those spelt otherwise first so that the others overwrite them."""
    ours = [header for header in headers.items() if header[0].startswith(_BEGINNINGS)]
    others = [header for header in ours if header[0].startswith(_OTHER_SPELLINGS)]
    if not others:
        return ours
    own = [header for header in ours if header not in others]
    return [*((_own_spelling(name), value) for name, value in others), *own]


def _own_spelling(name: str) -> str:
    """A property's key keeps its own underscores."""
    if name.startswith("x-"):
        return name[2:]
    if name.startswith(_UNDERSCORED_PREFIX):
        return _PROPERTY_PREFIX + name[len(_UNDERSCORED_PREFIX) :]
    return name.replace("_", "-")


def _property_key(name: str) -> str | None:
    if name.startswith(_PROPERTY_PREFIX):
        return name[len(_PROPERTY_PREFIX) :]
    return PROPERTY_OF_HEADER.get(name)


def is_named(header: str) -> bool:
    """Whether it is one of ours with a place of its own, and so no property."""
    return header.strip().lower() in _BY_NAME


def cleaned(value: str) -> str:
    """Without what Postgres cannot keep as text."""
    return value.strip() if value.isascii() and "\x00" not in value else _NOT_IN_TEXT.sub("", value).strip()


def _keep_property(properties: dict[str, str], key: str, value: str, problems: list[Problem]) -> None:
    key, value = cleaned(key), cleaned(value)
    if not key:
        return
    short = key[:MAX_PROPERTY_KEY]
    if len(properties) >= MAX_PROPERTIES and short not in properties:
        if problems[-1:] != [_TOO_MANY]:
            problems.append(_TOO_MANY)
        return
    properties[short] = value[:MAX_PROPERTY_VALUE]
    if len(key) > MAX_PROPERTY_KEY or len(value) > MAX_PROPERTY_VALUE:
        problems.append(Problem("property_cut", short))


def _keep(found: dict[str, object], entry: Entry, value: str, problems: list[Problem]) -> None:
    value = cleaned(value)
    if not value:
        return
    try:
        found[entry.sets] = entry.read(value[: entry.longest])
    except ValueError as reason:
        problems.append(Problem("directive_unreadable", f"{entry.header}: {reason}"))
        return
    if len(value) > entry.longest:
        problems.append(Problem("directive_cut", entry.header))


def _directives(found: dict[str, object], properties: dict[str, str], problems: list[Problem]) -> Directives:
    attributed = {name: value for name, value in found.items() if name in _ATTRIBUTION_FIELDS}
    steering = {name: value for name, value in found.items() if name not in _ATTRIBUTION_FIELDS}
    attribution = Attribution(**attributed, properties=properties)  # type: ignore[arg-type]
    return Directives(attribution, **steering, problems=tuple(problems))  # type: ignore[arg-type]
