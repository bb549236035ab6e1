"""The flat form of a filter, as addresses carry it, to our tree and back.

    ?model=gpt-4o&model=gpt-4o-mini     one of these           ?user=*     is known
    &status=>=400&status=<500           both                   ?user=!*    is not known
    &property.env=!=prod                a property's value     ?model===x  equals "=x"
    &q=refund order                     words and ids
    &filter=user:a OR status:>=400      the text form, for what is nested

Operators stand before the value: `=` (or nothing), `!=`, `>`, `>=`, `<`, `<=`, `~` contains, `!~`, `like:`, `ilike:`.
django-filter carries the conditions; the tree and its compiler are ours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from django import forms
from django.http import QueryDict
from django_filters import Filter, FilterSet  # type: ignore[import-untyped]

from requests_app import filter_text
from requests_app.filter_words import KNOWN as KNOWN
from requests_app.filter_words import NOT_KNOWN as NOT_KNOWN
from requests_app.filter_words import PREFIXES as PREFIXES
from requests_app.filter_words import plain as plain
from requests_app.filters import (
    EQUAL,
    EVERYTHING,
    UNEQUAL,
    And,
    FilterError,
    Leaf,
    Node,
    Or,
    catalogue,
    entry_of,
    join,
    leaf,
    leaves,
)
from requests_app.models import LLMRequest

TEXT = "filter"
"""The key whose value is a whole filter in the text form."""


class _ConditionsField(forms.Field):
    """Every value one key was given, as one node."""

    widget = forms.MultipleHiddenInput

    def __init__(self, *, key: str, name: str, **options: Any) -> None:
        super().__init__(**options)
        self.key, self.name = key, name

    def clean(self, value: Any) -> Node:
        try:
            return _node([condition(self.key, text, name=self.name) for text in value or () if text])
        except FilterError as error:
            raise forms.ValidationError(error.message) from None


class _ConditionsFilter(Filter):  # type: ignore[misc]
    """Narrows a tree, where django-filter's own narrow a queryset."""

    field_class = _ConditionsField

    def filter(self, qs: Any, value: Any) -> Any:
        return join("and", (qs, value))


class RequestFilters(FilterSet):  # type: ignore[misc]
    """A query string as a tree: `tree`, once `is_valid()`. Keys in `reserved` belong to the page."""

    def __init__(self, data: QueryDict, *, reserved: Collection[str] = ()) -> None:
        super().__init__(data, LLMRequest.objects.none())
        self.unknown: list[str] = []
        for full in data:
            key, _, name = full.partition(".")
            if full in reserved:
                continue
            if not is_condition(full):
                self.unknown.append(full)
                continue
            self.filters[full] = _ConditionsFilter(label=entry_of(key).words, key=key, name=name)

    @property
    def tree(self) -> Node:
        """Raises FilterError with every complaint in one message."""
        complaints = [f"There is no filter {key!r}." for key in self.unknown]
        for key, errors in self.form.errors.items():
            complaints += [f"{key}: {error}" for error in errors]
        if complaints:
            raise FilterError(" ".join(complaints))
        node: Node = EVERYTHING
        for name, value in self.form.cleaned_data.items():
            node = self.filters[name].filter(node, value)
        return node


def parse(data: QueryDict, *, reserved: Collection[str] = ()) -> Node:
    """The tree of a query string. Raises FilterError."""
    texts = map(filter_text.parse, data.getlist(TEXT))
    return join("and", [flat(data, reserved=reserved), *texts])


def is_condition(full: str) -> bool:
    """Whether a key of an address, alone or with a name, asks for something."""
    key, _, name = full.partition(".")
    return full == TEXT or (key in catalogue() and catalogue()[key].is_map == bool(name))


def flat(data: QueryDict, *, reserved: Collection[str] = ()) -> Node:
    """The tree of its conditions, without filters in the text form. Raises FilterError."""
    return RequestFilters(data, reserved={TEXT, *reserved}).tree


def condition(key: str, text: str, *, name: str = "") -> Leaf:
    """One value of the flat form. Raises FilterError."""
    if entry_of(key).kind == "words":
        return leaf(key, "~", text)
    if text in (KNOWN, NOT_KNOWN):
        return leaf(key, UNEQUAL if text == KNOWN else EQUAL, None, name=name)
    prefix = next((prefix for prefix in PREFIXES if text.startswith(prefix)), "")
    return leaf(key, prefix.rstrip(":") or EQUAL, text.removeprefix(prefix), name=name)


def _node(conditions: Sequence[Leaf]) -> Node:
    """Of several values of one key, those that equal are alternatives; all others hold together."""
    equal = [one for one in conditions if one.operator == EQUAL]
    others = [one for one in conditions if one.operator != EQUAL]
    return join("and", [*([join("or", equal)] if equal else []), *others])


# --- and back -------------------------------------------------------------------------------------------------


def dump(node: Node) -> list[tuple[str, str]]:
    """Key and value for each condition; what the flat form cannot say is written in the text form."""
    parts = node.parts if isinstance(node, And) else (node,)
    if not _is_flat(parts):
        return [(TEXT, filter_text.dump(node))]
    return [pair for part in parts for pair in _pairs(part)]


def _is_flat(parts: Sequence[Node]) -> bool:
    """Whether no key equals twice: several values of one key would be read as alternatives."""
    equal = [next(leaves(part)) for part in parts if _is_alternatives(part)]
    names = [(one.key, one.name) for one in equal]
    return len(names) == len(set(names))


def _is_alternatives(node: Node) -> bool:
    """One value of a key, or one of several."""
    parts = (node,) if isinstance(node, Leaf) else node.parts if isinstance(node, Or) else ()
    said = {(one.key, one.name, one.operator) if isinstance(one, Leaf) else None for one in parts}
    return len(said) == 1 and all(isinstance(one, Leaf) and one.operator == EQUAL for one in parts)


def _pairs(node: Node) -> Iterable[tuple[str, str]]:
    if isinstance(node, Leaf) or _is_alternatives(node):
        for one in leaves(node):
            yield parameter(one), text_of(one)
    else:
        yield TEXT, filter_text.dump(node)


def parameter(node: Leaf) -> str:
    return f"{node.key}.{node.name}" if node.name else node.key


def text_of(node: Leaf) -> str:
    """The value with its operator, as the flat form writes it."""
    if entry_of(node.key).kind == "words":
        return str(node.value)
    if node.value is None:
        return NOT_KNOWN if node.operator == EQUAL else KNOWN
    text = plain(node.value)
    if node.operator == EQUAL:
        is_plain = text and text not in (KNOWN, NOT_KNOWN) and not text.startswith(PREFIXES)
        return text if is_plain else f"={text}"
    return f"{node.operator}:{text}" if node.operator.isalpha() else f"{node.operator}{text}"
