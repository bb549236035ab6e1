"""What `_filter_bar.html` and `_range.html` need: one filter bar and one range picker for every page."""

from __future__ import annotations

from typing import Any

from accounts_app.models import Role
from accounts_app.permissions import OrganizationRequest, is_at_least
from requests_app import asking, saved
from requests_app.asking import Asked
from requests_app.filters import Entry, catalogue, entry_of


def context(request: OrganizationRequest, asked: Asked, page: str, *, complaint: str = "") -> dict[str, Any]:
    """What the templates need beside `asked`. `page` is the URL name views are saved for; empty: none are."""
    away: dict[str, Any] = dict(asking.PLACE)
    unsaid = {*asking.PLACE, *asking.ADDING}
    return {
        "asked": asked, "chips": asking.chips(asked), "complaint": complaint or asked.complaint,
        "choices": [entry for entry in catalogue().values() if entry.is_offered],
        "q": asked.parameters.get("q", ""), "entry": entry_of("model"), "operators": operators(entry_of("model")),
        "hidden": [(k, v) for k, vs in asked.parameters.lists() for v in vs if k not in unsaid],
        "typed": asked.parameters.get("add_text", "") or asked.parameters.get("draft", ""),
        "saved": saved.offered(request.membership, page, asked), "saved_page": page,
        "may_share": is_at_least(request.membership.role, Role.MEMBER),
        "bar": {
            "ranges": asking.ranges(asked), "cleared": asked.cleared(), "no_words": asked.link(**{**away, "q": None}),
            "here": asked.link(**away).partition("?")[2],
        },
    }  # fmt: skip


def operators(entry: Entry) -> list[tuple[str, str]]:
    """What can be chosen between key and value."""
    plain = [operator for operator in entry.operators if not operator.isalpha()]
    words = [(operator, asking.OPERATOR_WORDS[operator]) for operator in plain]
    return [*words, ("known", "is known"), ("unknown", "is not known")]
