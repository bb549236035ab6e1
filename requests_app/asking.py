"""What the address of the requests page asks: filter, range, columns, place; and the addresses beside it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.http import QueryDict
from django.urls import reverse
from django.utils import timezone

from lib import periods
from lib.clock import now
from lib.periods import PRESETS, BadPeriod, Period
from llm.exchange import MODEL_KINDS
from requests_app import filter_text, filter_url, filters
from requests_app.filter_url import parameter
from requests_app.filters import EQUAL, EVERYTHING, UNEQUAL, FilterError, Leaf, Node, Or, entry_of, join, leaf, leaves
from requests_app.queries import Cursor, Question, read_cursor

PAGE_KEYS = frozenset({
    "range", "from", "to", "open", "tab", "columns", "size", "older", "newer", "live", "seen", "since", "top",
    "add_key", "add_name", "add_operator", "add_value", "add_text", "draft", "part", "term", "bodies",
    "after", "after_id", "csrfmiddlewaretoken",
})  # fmt: skip
"""What is the page's own; every other key of an address is a filter."""
PLACE = {"older": None, "newer": None, "open": None, "tab": None, "seen": None, "since": None, "top": None,
         "after": None, "after_id": None}  # fmt: skip
"""Changes that lead to the newest page of the same list."""
ADDING = ("add_key", "add_name", "add_operator", "add_value", "add_text", "draft")
"""What the filter bar's two forms say. It becomes conditions of the address."""
SIZES = (25, 50, 100, 250)
DEFAULT_SIZE = 50
ALL_KINDS_FOR = frozenset({"kind", "id", "trace", "session", "q"})
"""Whoever asks by these means rows of any kind; else the list is of calls to models."""
CALLS: Node = Or(tuple(Leaf("kind", EQUAL, kind) for kind in sorted(MODEL_KINDS)))

OPERATOR_WORDS = {
    "=": "is", "!=": "is not", ">": ">", ">=": "≥", "<": "<", "<=": "≤", "~": "contains", "!~": "does not contain",
    "like": "is like", "ilike": "is like",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """One address, read. Where `complaint` is not empty there is nothing to list."""

    question: Question
    tree: Node
    period: Period
    columns: tuple[str, ...]
    size: int
    older: Cursor | None
    newer: Cursor | None
    is_live: bool
    complaint: str
    parameters: QueryDict
    home: str
    """Path of the page that was asked."""
    page_keys: Collection[str] = PAGE_KEYS

    def link(self, _url_name: str = "", **changes: str | None) -> str:
        """This address, or that page's, with some parameters set or, by None, taken away."""
        query = self.parameters.copy()
        for key, value in changes.items():
            query.pop(key, None)
            if value is not None:
                query[key] = value
        return address(reverse(_url_name) if _url_name else self.home, query)

    def without(self, parameter: str, text: str) -> str:
        """This address, on its newest page, without one condition."""
        query = self.parameters.copy()
        query.setlist(parameter, [value for value in query.getlist(parameter) if value != text])
        for key in PLACE:
            query.pop(key, None)
        return address(self.home, query)

    def cleared(self) -> str:
        """This address, on its newest page, without any condition: range, columns and size stay."""
        query = self.parameters.copy()
        for key in self.parameters:
            if key in PLACE or key == "find" or key not in self.page_keys:
                query.pop(key, None)
        return address(self.home, query)


def address(path: str, query: QueryDict) -> str:
    text = query.urlencode(safe="/:<>=*!~@")
    return f"{path}?{text}" if text else path


def read(
    organization_id: int, query: QueryDict, *, home: str = "", page_keys: Collection[str] = PAGE_KEYS,
    default_range: str = periods.DEFAULT,
) -> Asked:  # fmt: skip
    """What an address asks. `home` is its page's path (else the requests page), `page_keys` what is no filter there."""
    tree: Node = EVERYTHING
    period, complaint = Period(None, None), ""
    try:
        period = periods.read(query, now=now(), zone=timezone.get_current_timezone(), default=default_range)
        tree = filter_url.parse(query, reserved=page_keys)
    except (BadPeriod, FilterError) as error:
        complaint = str(error)
    older, newer = read_cursor(query.get("older", "")), read_cursor(query.get("newer", ""))
    is_first = not older and not newer
    return Asked(
        question=Question(organization_id, _calls_only(tree), period.since, period.until),
        tree=tree,
        period=period,
        columns=_columns(query),
        size=_size(query.get("size", "")),
        older=older,
        newer=None if older else newer,
        is_live=is_first and period.is_live and query.get("live") != "0",
        complaint=complaint,
        parameters=query,
        home=home or reverse("requests"),
        page_keys=page_keys,
    )


def _calls_only(tree: Node) -> Node:
    asks_by = {one.key for one in leaves(tree)}
    return tree if asks_by & ALL_KINDS_FOR else join("and", (tree, CALLS))


def left_out(asked: Asked) -> Question | None:
    """What the list leaves out because it calls no model; None where it leaves out nothing."""
    if asked.question.filter == asked.tree:
        return None
    steps = tuple(Leaf("kind", UNEQUAL, kind) for kind in sorted(MODEL_KINDS))
    return replace(asked.question, filter=join("and", (asked.tree, *steps)))


def _size(text: str) -> int:
    return int(text) if text in {str(size) for size in SIZES} else DEFAULT_SIZE


# --- columns --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Column:
    key: str
    words: str
    is_number: bool = False
    is_narrow: bool = False
    """Stays on a small screen."""

    @property
    def look(self) -> str:
        """Its class."""
        return "property" if self.key.startswith(PROPERTY) else self.key


COLUMNS: Mapping[str, Column] = {
    column.key: column
    for column in (
        Column("time", "Time", is_narrow=True),
        Column("model", "Model", is_narrow=True),
        Column("provider", "Provider"),
        Column("talk", "Prompt → reply"),
        Column("user", "User"),
        Column("session", "Session"),
        Column("tokens", "In / out", is_number=True),
        Column("cached_tokens", "Cached in", is_number=True),
        Column("reasoning_tokens", "Reasoning", is_number=True),
        Column("cost", "Cost", is_number=True, is_narrow=True),
        Column("ttft", "First token", is_number=True),
        Column("speed", "Tokens/s", is_number=True),
        Column("duration", "Duration", is_number=True),
        Column("finish", "Finish"),
        Column("kind", "Kind"),
        Column("country", "Country"),
        Column("prompt", "Prompt id"),
    )
}
DEFAULT_COLUMNS = ("time", "model", "talk", "tokens", "cost", "duration")
PROPERTY = "property."


def _columns(query: QueryDict) -> tuple[str, ...]:
    """Keys of the columns asked for, in our order; properties last."""
    asked = [key for text in query.getlist("columns") for key in text.split(",") if key]
    known = tuple(key for key in COLUMNS if key in asked)
    named = tuple(dict.fromkeys(key for key in asked if key.startswith(PROPERTY) and key != PROPERTY))
    return (*known, *named) if known else (*DEFAULT_COLUMNS, *named)


def shown_columns(asked: Asked) -> list[Column]:
    return [COLUMNS.get(key) or Column(key, key.removeprefix(PROPERTY)) for key in asked.columns]


# --- chips and choices ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chip:
    """One condition of the filter bar, and the address without it."""

    words: str
    operator: str
    value: str
    without: str
    edit: str = ""
    """Of one in the text form: the address where it stands in the input again."""


def chips(asked: Asked) -> list[Chip]:
    if asked.complaint:
        return []
    tree = filter_url.flat(asked.parameters, reserved=asked.page_keys)
    texts = [text for text in asked.parameters.getlist(filter_url.TEXT) if text]
    return [
        *(_chip(asked, one) for one in leaves(tree) if one.key != "q"),
        *(_text_chip(asked, text) for text in texts),
    ]


def _text_chip(asked: Asked, text: str) -> Chip:
    without = asked.without(filter_url.TEXT, text)
    draft = QueryDict(mutable=True)
    draft["draft"] = text
    return Chip("filter", "", text, without, f"{without}{'&' if '?' in without else '?'}{draft.urlencode()}")


def _chip(asked: Asked, one: Leaf) -> Chip:
    entry = entry_of(one.key)
    words = one.name or entry.words.lower()
    without = asked.without(filter_url.parameter(one), filter_url.text_of(one))
    if one.value is None:
        return Chip(words, "is not known" if one.operator == EQUAL else "is known", "", without)
    if entry.kind == "boolean":
        is_so = one.value == (one.operator == EQUAL)
        return Chip(words, "yes" if is_so else "no", "", without)
    value = f"${one.value}" if entry.kind == "money" else filter_url.plain(one.value)
    unit = f" {entry.unit}" if entry.unit and entry.kind != "money" else ""
    return Chip(words, OPERATOR_WORDS[one.operator], f"{value}{unit}" if value else "empty", without)


def said(asked: Asked, query: QueryDict) -> str:
    """The address with what the filter bar's forms say; empty where they say nothing. Raises FilterError."""
    if query.get("add_key"):
        return added(asked, query)
    return typed(asked, query.get("add_text", "")) if "add_text" in query else ""


def typed(asked: Asked, text: str) -> str:
    """The address with a filter in the text form, as conditions of its own where the flat form can say it.

    What is typed holds beside all that is there: a second value of one key would be an alternative to the first.
    Raises FilterError.
    """
    tree = filter_text.parse(text)
    filters.compile(tree)
    kept = _kept(asked)
    taken = {*kept, *asked.page_keys}
    is_apart = any(parameter(one) in taken and (one.operator == EQUAL or one.key == "q") for one in leaves(tree))
    for key, value in [(filter_url.TEXT, filter_text.dump(tree))] if is_apart else filter_url.dump(tree):
        kept.appendlist(key, value)
    return replace(asked, parameters=kept).link()


def _kept(asked: Asked) -> QueryDict:
    kept = asked.parameters.copy()
    for used in (*PLACE, *ADDING):
        kept.pop(used, None)
    return kept


def added(asked: Asked, query: QueryDict) -> str:
    """The address with the condition the filter form says. Raises FilterError for one that cannot be."""
    key, name = query.get("add_key", ""), query.get("add_name", "").strip()
    operator, text = query.get("add_operator", EQUAL), query.get("add_value", "").strip()
    entry = entry_of(key)
    if operator in ("known", "unknown"):
        one = leaf(key, "!=" if operator == "known" else EQUAL, None, name=name if entry.is_map else "")
    else:
        one = leaf(key, operator, text, name=name if entry.is_map else "")
    kept = _kept(asked)
    kept.appendlist(filter_url.parameter(one), filter_url.text_of(one))
    return replace(asked, parameters=kept).link()


def ranges(asked: Asked) -> list[tuple[str, str, bool]]:
    """Words, address and whether it is this one, for each preset."""
    away: dict[str, Any] = {**PLACE, "from": None, "to": None}
    return [
        (words, asked.link(**{**away, "range": key}), asked.period.preset == key)
        for key, (words, _) in PRESETS.items()
    ]  # fmt: skip
