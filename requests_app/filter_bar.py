"""What `_filter_bar.html` and `_range.html` need: one filter bar and one range picker for every page."""

from __future__ import annotations

from typing import Any

from requests_app import asking
from requests_app.asking import Asked
from requests_app.filters import Entry, catalogue, entry_of


def context(asked: Asked, *, complaint: str = "") -> dict[str, Any]:
    """What the two templates need beside `asked`."""
    away: dict[str, Any] = dict(asking.PLACE)
    return {
        "asked": asked, "chips": asking.chips(asked), "complaint": complaint or asked.complaint,
        "choices": [entry for entry in catalogue().values() if entry.is_offered],
        "q": asked.parameters.get("q", ""), "entry": entry_of("model"), "operators": operators(entry_of("model")),
        "hidden": [(k, v) for k, vs in asked.parameters.lists() for v in vs if k not in asking.PLACE],
        "bar": {
            "ranges": asking.ranges(asked), "cleared": asked.cleared(), "no_words": asked.link(**{**away, "q": None}),
        },
    }  # fmt: skip


def operators(entry: Entry) -> list[tuple[str, str]]:
    """What can be chosen between key and value."""
    plain = [operator for operator in entry.operators if not operator.isalpha()]
    words = [(operator, asking.OPERATOR_WORDS[operator]) for operator in plain]
    return [*words, ("known", "is known"), ("unknown", "is not known")]
