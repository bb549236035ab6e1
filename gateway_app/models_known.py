"""Which models the price table knows: who has them, and how many tokens they take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

import orjson

from accounts_app.snapshot import Rows, Snapshot
from llm import providers
from llm.pricing import BadPrice, matcher
from llm.providers import Provider

ORDER: Final = {"helicone": 2, "anthropic": 3, "openai": 3, "google": 5, "openrouter": 10}
"""Of several that have a model the lower number is asked first; 4 for all others. Helicone's own order."""
PART: Final = "models"
"""Of the snapshot."""


class Models:
    """By price list, in the table's own order: the first that matches a name is meant."""

    def __init__(self, rows: Rows) -> None:
        self._by_list: defaultdict[str, list[tuple[str, int | None]]] = defaultdict(list)
        for row in rows:
            self._by_list[row["provider"]].append((row["match"], row["context_window"]))

    def find(self, provider: Provider, model: str) -> tuple[bool, int | None]:
        """(whether the provider is known to have it, tokens it takes or None for unknown)."""
        name = model.lower().rpartition("/")[2] if provider.slug not in ("openrouter",) else model.lower()
        for price_list in provider.prices:
            for match, window in self._by_list.get(price_list, ()):
                if _predicate(match)(name):
                    return True, window
        return False, None


@lru_cache(maxsize=8192)
def _predicate(match: str) -> Callable[[str], bool]:
    try:
        return matcher(orjson.loads(match))
    except (BadPrice, orjson.JSONDecodeError):
        return lambda _: False


def _of(snapshot: Snapshot | None) -> Models:
    found: Any = getattr(snapshot, "parts", {}).get(PART)
    return found if isinstance(found, Models) else Models(())


def offering(snapshot: Snapshot | None, model: str, slugs: Sequence[str]) -> tuple[Provider, ...]:
    """Those of the providers that are known to have the model, in the order they are asked."""
    models = _of(snapshot)
    having = [one for slug in slugs if (one := providers.by_slug(slug)) is not None and models.find(one, model)[0]]
    return tuple(sorted(having, key=lambda provider: (ORDER.get(provider.slug, 4), provider.slug)))


def context_window(snapshot: Snapshot | None, provider: str, model: str) -> int | None:
    """Tokens the model takes, prompt and reply; None where nobody told. Of an unknown provider the makers are asked."""
    described = providers.by_slug(provider)
    asked = [described] if described is not None and described.prices else map(providers.by_slug, providers.MAKERS)
    found = (_of(snapshot).find(one, model)[1] for one in asked if one is not None)
    return next((window for window in found if window is not None), None)
