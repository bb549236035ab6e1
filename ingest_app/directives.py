"""What a client tells us about its call, in headers or a log's `meta`. The only file that knows `Helicone-*` names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from llm.exchange import Attribution, Problem


@dataclass(frozen=True, slots=True)
class Directives:
    """A client's declarations, read. `problems` names those that could not be."""

    attribution: Attribution = field(default_factory=Attribution)
    omit_request: bool = False
    omit_response: bool = False
    target_url: str | None = None
    openai_api_base: str | None = None
    has_fallbacks: bool = False
    problems: tuple[Problem, ...] = ()


def read(headers: Mapping[str, str]) -> Directives:
    """Directives from lower-case names and values; never raises."""
    raise NotImplementedError
