"""What can be asked: metrics and dimensions, each one entry with its words, its unit and its SQL.

    Measure     a number that adds up, in SQL over a tier of `usage`, over the ground and over `facet_day`
    Metric      what a reader asks for: a measure, a ratio of two, a percentile, or a count of different names
    Dimension   what an answer is grouped by

In SQL, `r` is a row of a tier or of `llm_request` (a tier's columns have the ground's names), `f` a row of a facet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Literal

from requests_app import long_names
from requests_app.filters import TOTAL_TOKENS, UNCACHED_INPUT, UNDATED_MODEL, UNREASONED_OUTPUT, undated

Unit = Literal["", "nano-USD", "ms", "share", "per minute", "per second", "time"]
Number = int | float | datetime


class Rest(Enum):
    """The value that stands for all values not named: beyond the limit asked for, or beyond what is kept by day."""

    OTHER = "other"


OTHER = Rest.OTHER
Value = str | int | bool | None | Rest
"""Of a dimension; None is "absent": the request told none."""


@dataclass(frozen=True, slots=True)
class Measure:
    key: str
    usage: str
    ground: str
    facet: str
    is_calls_only: bool = False
    """Told by other kinds too, as an agent's sum over its calls, but counted only on kinds that call a model."""


def _tokens(key: str) -> Measure:
    return Measure(key, f"r.{key}", f"coalesce(r.{key}, 0)", f"f.{key}", is_calls_only=True)


def _told(part: str) -> str:
    return f"coalesce((r.usage_parts ->> '{part}')::bigint, 0)"


def _saved(key: str, ground: str) -> Measure:
    return Measure(key, f"r.{key}", ground, f"f.{key}", is_calls_only=True)


_FAILED = "r.status NOT BETWEEN 200 AND 399"
MEASURES: Mapping[str, Measure] = {
    measure.key: measure
    for measure in (
        Measure("requests", "r.requests", "1", "f.requests"),
        Measure("errors", f"(CASE WHEN {_FAILED} THEN r.requests ELSE 0 END)", f"({_FAILED})::int", "f.errors"),
        Measure("cache_hits", "(CASE WHEN r.cached THEN r.requests ELSE 0 END)", "r.cached::int",
                "f.cache_hits"),
        Measure("priced", "r.priced", "(r.cost_nano_usd IS NOT NULL)::int", "f.priced", is_calls_only=True),
        Measure(
            "cost", "r.cost_nano_usd", "coalesce(r.cost_nano_usd, 0)", "f.cost_nano_usd", is_calls_only=True
        ),
        _tokens("input_tokens"),
        _tokens("output_tokens"),
        _tokens("cache_read_tokens"),
        _tokens("cache_write_tokens"),
        _tokens("reasoning_tokens"),
        _tokens("input_audio_tokens"),
        _tokens("output_audio_tokens"),
        Measure("duration_ms", "r.duration_ms", "coalesce(r.duration_ms, 0)", "f.duration_ms"),
        Measure("durations", "r.durations", "(r.duration_ms IS NOT NULL)::int", "f.durations"),
        Measure("ttft_ms", "r.ttft_ms", "coalesce(r.time_to_first_token_ms, 0)", "f.ttft_ms"),
        Measure("ttfts", "r.ttfts", "(r.time_to_first_token_ms IS NOT NULL)::int", "f.ttfts"),
        _saved("saved_nano_usd", _told("saved_nano_usd")),
        _saved("saved_priced", "((r.usage_parts ->> 'saved_nano_usd') IS NOT NULL)::int"),
        _saved("saved_ms", _told("saved_ms")),
        _saved("saved_tokens", f"({_told('saved_input_tokens')} + {_told('saved_output_tokens')})"),
    )
}  # fmt: skip

HISTOGRAMS: Mapping[str, str] = {
    "duration_hist": "r.duration_ms", "ttft_hist": "r.time_to_first_token_ms",
    "input_tokens_hist": "r.input_tokens", "output_tokens_hist": "r.output_tokens",
    "total_tokens_hist": TOTAL_TOKENS, "uncached_input_tokens_hist": UNCACHED_INPUT,
    "visible_output_tokens_hist": UNREASONED_OUTPUT,
}  # fmt: skip
"""What percentiles are taken of, over one request."""
TIER_HISTOGRAMS = frozenset({"duration_hist", "ttft_hist"})
"""Those the tiers keep; the others are made from the ground."""
NAMES: Mapping[str, tuple[str, str]] = {
    "users": (long_names.in_sql("r.end_user_id"), "user"), "sessions": ("r.session_id", ""),
}  # fmt: skip
"""What can be counted without repetition: over the ground, and the facet that lists it."""
SECONDS = "seconds"
"""How long the stretch an answer is about lasted: a denominator that is no measure."""


@dataclass(frozen=True, slots=True)
class Metric:
    """`plus` and `minus` are summed to a numerator, `over` and `less` to a denominator; see the makers below."""

    key: str
    words: str
    unit: Unit = ""
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    over: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    scale: int = 1
    known_by: str = ""
    """The measure without which the sum is not 0 but unknown."""
    histogram: str = ""
    quantile: float = 0.0
    names: str = ""
    edge: Literal["", "first", "last", "days"] = ""
    note: str = ""

    @property
    def is_additive(self) -> bool:
        """Whether the groups of any dimension add up to the total."""
        return bool(self.plus) and not self.over

    @property
    def measures(self) -> tuple[str, ...]:
        """Keys of the measures it is made of; `requests` says whether there was anything at all."""
        used = (*self.plus, *self.minus, *self.over, *self.less, *((self.known_by,) if self.known_by else ()))
        return tuple(key for key in dict.fromkeys(("requests", *used)) if key != SECONDS)


def _percentiles(key: str, words: str, unit: Unit) -> tuple[Metric, ...]:
    return tuple(
        Metric(f"{key}_p{part}", f"{words} p{part}", unit, histogram=f"{key}_hist", quantile=part / 100,
               note="nearest rank, within 1 %")
        for part in (50, 75, 90, 95, 99)
    )  # fmt: skip


_ALL_METRICS = (
    Metric("requests", "Requests", plus=("requests",)),
    Metric("errors", "Errors", plus=("errors",), note="any status but 2xx and 3xx"),
    Metric("error_rate", "Error rate", "share", plus=("errors",), over=("requests",)),
    Metric("successes", "Successes", plus=("requests",), minus=("errors",)),
    Metric("cost", "Cost", "nano-USD", plus=("cost",), known_by="priced", note="of the requests whose price is known"),
    Metric("priced", "Requests with a known cost", plus=("priced",)),
    Metric("cost_per_request", "Cost per request", "nano-USD", plus=("cost",), over=("priced",),
           note="over the requests whose price is known"),
    Metric("input_tokens", "Input tokens", plus=("input_tokens",), note="cache reads and writes included"),
    Metric("output_tokens", "Output tokens", plus=("output_tokens",), note="reasoning included"),
    Metric("total_tokens", "Tokens", plus=("input_tokens", "output_tokens")),
    Metric("cache_read_tokens", "Cached input tokens", plus=("cache_read_tokens",)),
    Metric("cache_write_tokens", "Cache write tokens", plus=("cache_write_tokens",)),
    Metric("reasoning_tokens", "Reasoning tokens", plus=("reasoning_tokens",)),
    Metric("input_audio_tokens", "Audio input tokens", plus=("input_audio_tokens",)),
    Metric("output_audio_tokens", "Audio output tokens", plus=("output_audio_tokens",)),
    Metric("uncached_input_tokens", "Uncached input tokens", plus=("input_tokens",),
           minus=("cache_read_tokens", "cache_write_tokens"), note="Helicone's `prompt_tokens`"),
    Metric("visible_output_tokens", "Output without reasoning", plus=("output_tokens",),
           minus=("reasoning_tokens",), note="Helicone's `completion_tokens`"),
    Metric("input_tokens_per_request", "Input tokens per request", plus=("input_tokens",), over=("requests",)),
    Metric("output_tokens_per_request", "Output tokens per request", plus=("output_tokens",), over=("requests",)),
    Metric("tokens_per_request", "Tokens per request", plus=("input_tokens", "output_tokens"), over=("requests",)),
    Metric("duration_avg", "Duration, average", "ms", plus=("duration_ms",), over=("durations",)),
    *_percentiles("duration", "Duration", "ms"),
    Metric("ttft_avg", "Time to first token, average", "ms", plus=("ttft_ms",), over=("ttfts",)),
    *_percentiles("ttft", "Time to first token", "ms"),
    Metric("tokens_per_second", "Tokens per second", "per second", plus=("output_tokens",), over=("duration_ms",),
           less=("ttft_ms",), scale=1000, note="output tokens over the time after the first one"),
    *_percentiles("input_tokens", "Input tokens", ""),
    *_percentiles("output_tokens", "Output tokens", ""),
    *_percentiles("total_tokens", "Tokens", ""),
    *_percentiles("uncached_input_tokens", "Uncached input tokens", ""),
    *_percentiles("visible_output_tokens", "Output without reasoning", ""),
    Metric("requests_per_minute", "Requests per minute", "per minute", plus=("requests",), over=(SECONDS,), scale=60),
    Metric("tokens_per_minute", "Tokens per minute", "per minute", plus=("input_tokens", "output_tokens"),
           over=(SECONDS,), scale=60),
    Metric("cache_hits", "Cache hits", plus=("cache_hits",), note="answered from the gateway's cache"),
    Metric("cache_hit_rate", "Cache hit rate", "share", plus=("cache_hits",), over=("requests",)),
    Metric("saved_cost", "Saved by the cache", "nano-USD", plus=("saved_nano_usd",), known_by="saved_priced",
           note="what the hits would have cost, of those whose price is known"),
    Metric("saved_priced", "Cache hits whose cost is known", plus=("saved_priced",)),
    Metric("saved_ms", "Time saved by the cache", "ms", plus=("saved_ms",),
           note="what the calls would have taken longer"),
    Metric("saved_tokens", "Tokens saved by the cache", plus=("saved_tokens",), note="input and output"),
    Metric("users", "Active users", names="users", note="different users; requests that name none add none"),
    Metric("sessions", "Sessions", names="sessions", note="different sessions with a request"),
    Metric("first_at", "First seen", "time", edge="first", note="the day only, where counts by day answer"),
    Metric("last_at", "Last seen", "time", edge="last", note="the day only, where counts by day answer"),
    Metric("active_days", "Active days", edge="days", note="UTC days with a request"),
)  # fmt: skip
METRICS: Mapping[str, Metric] = {metric.key: metric for metric in _ALL_METRICS}


@dataclass(frozen=True, slots=True)
class Dimension:
    """`usage` and `ground` are SQL text over `r`, NULL for absent; `facet` is the `dim` that lists its values."""

    key: str
    words: str
    ground: str
    usage: str = ""
    facet: str = ""
    filter: str = ""
    """The entry of the filter grammar that narrows to one of its values."""
    name: str = ""
    """Of the property, for `property.<key>`."""
    kind: Literal["text", "number", "boolean"] = "text"


TIME = "time"
PROPERTY = "property."


def _named(column: str) -> str:
    """As counts name it, so that answers from counts and from single requests are one."""
    return f"nullif({long_names.in_sql(column)}, '')"


_ALL_DIMENSIONS = (
    Dimension(TIME, "Time", "", "", filter="at"),
    Dimension("provider", "Provider", "nullif(r.provider, '')", "nullif(r.provider, '')", filter="provider"),
    Dimension("model", "Model", _named("r.model"), "nullif(r.model, '')", filter="model"),
    Dimension("undated_model", "Model of any date", f"nullif({undated(long_names.in_sql('r.model'))}, '')",
              f"nullif({UNDATED_MODEL}, '')", filter="undated_model"),
    Dimension("status", "Status", "r.status::text", "r.status::text", filter="status", kind="number"),
    Dimension("cached", "Answered from cache", "r.cached::text", "r.cached::text", filter="cached", kind="boolean"),
    Dimension("kind", "Kind", "r.kind", "r.kind", filter="kind"),
    Dimension("user", "User", _named("r.end_user_id"), facet="user", filter="user"),
    Dimension("key", "API key", "r.api_key_id::text", facet="key"),
    Dimension("session_name", "Session name", _named("r.session_name"), facet="session", filter="session_name"),
    Dimension("prompt", "Prompt", _named("r.prompt_id"), facet="prompt", filter="prompt"),
    Dimension("country", "Country", "nullif(r.country_code, '')", facet="country", filter="country"),
)  # fmt: skip
DIMENSIONS: Mapping[str, Dimension] = {dimension.key: dimension for dimension in _ALL_DIMENSIONS}


class Unknown(ValueError):
    """There is no such metric or dimension; the message says which there are."""


def metric(key: str) -> Metric:
    if key not in METRICS:
        raise Unknown(f"There is no metric {key!r}. There are: {', '.join(METRICS)}.")
    return METRICS[key]


def dimension(key: str) -> Dimension:
    """The dimension of that key; `property.<key>` is made on the spot, in lower case as properties are kept."""
    if key.startswith(PROPERTY) and len(key) > len(PROPERTY) and "\x00" not in key:
        name = key.removeprefix(PROPERTY).lower()
        value = long_names.in_sql("(r.properties ->> %s)")
        return Dimension(key, name, value, facet=f"p:{name}", filter="property", name=name)
    if key not in DIMENSIONS:
        known = ", ".join((*DIMENSIONS, "property.<key>"))
        raise Unknown(f"There is no dimension {key!r}. There are: {known}.")
    return DIMENSIONS[key]
