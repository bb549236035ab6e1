"""SDKs that write spans: one module each, found by being here, asked in order of `ORDER` (lowest first).

What scalar facts are called stands in `llm/semconv.py`; a module here says only what a table cannot.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache, lru_cache
from typing import Any, Final, Protocol, cast

from llm.exchange import Usage
from llm.spans.span import Span

_SHARED: Final = frozenset({"facts", "failures", "messages", "reading", "shape", "showing", "span", "tokens", "wire"})


class SpanDialect(Protocol):
    """The functions of a module; each answers None for what this span does not tell in its way."""

    __name__: str
    ORDER: int
    MARKS: frozenset[str]
    """First words of names (`Span.heads`), one of which its spans have; empty: any span may be its."""

    def kind(self, span: Span) -> str | None:
        """What the step is (docs/metrics.md names the kinds)."""

    def asked(self, span: Span) -> Any:
        """What went in: messages, JSON, or text."""

    def answered(self, span: Span) -> Any:
        """What came out."""

    def usage(self, span: Span) -> Usage | None:
        """Token counts where they stand otherwise than under the names of `llm.semconv`."""

    def bodies(self, span: Span) -> tuple[Any, Any] | None:
        """The provider's own (request, reply) as JSON values, where the SDK packs them whole (`llm/spans/wire.py`)."""


def of(span: Span) -> tuple[SpanDialect, ...]:
    """Those that may have written it, in their order."""
    return _marked(span.heads)


@lru_cache(maxsize=512)
def _marked(heads: frozenset[str]) -> tuple[SpanDialect, ...]:
    return tuple(dialect for dialect in every() if not dialect.MARKS or not dialect.MARKS.isdisjoint(heads))


@cache
def every() -> tuple[SpanDialect, ...]:
    names = (info.name for info in pkgutil.iter_modules(__path__) if info.name not in _SHARED)
    found = (cast(SpanDialect, importlib.import_module(f"{__name__}.{name}")) for name in names)
    return tuple(sorted(found, key=lambda dialect: (dialect.ORDER, dialect.__name__)))
