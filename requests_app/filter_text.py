"""The short form of a filter, as people type it, to our tree and back.

    model:gpt-4o status:>=400 cost:>0.01 property.env:prod -user:bob (country:DE OR country:AT) "refund order"

    filter    := or
    or        := and ("OR" and)*
    and       := part ("AND"? part)*
    part      := "-" condition | "(" filter? ")" | condition | words
    condition := key ["." name] ":" operator? value
    words     := bare words, or a quoted text: found in what was asked and answered

Operators are those of addresses: none or `=`, `!=`, `>`, `>=`, `<`, `<=`, `~` contains, `!~`, `like:`, `ilike:`;
`user:*` is known, `user:!*` is not. A value or a name in double quotes stands for itself; `\\` escapes within.

    FilterError     the message says at which character
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from requests_app.filter_words import KNOWN, NOT_KNOWN, PREFIXES, plain
from requests_app.filters import (
    DEEPEST,
    EQUAL,
    EVERYTHING,
    UNEQUAL,
    And,
    FilterError,
    Leaf,
    Node,
    entry_of,
    join,
    leaf,
)

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_OPERATOR = "|".join(map(re.escape, PREFIXES))
_KEY = re.compile(rf"(?P<not>-?)(?P<key>[a-z_]+)(?:\.(?P<name>{_QUOTED}|[^\s:()\"]+))?:", re.DOTALL)
_VALUE = re.compile(rf"(?P<operator>{_OPERATOR})?(?P<value>{_QUOTED}|[^\s()\"]*)", re.DOTALL)
_WORD = re.compile(rf"{_QUOTED}|[^\s()\"]+", re.DOTALL)
_BLANK = re.compile(r"\s*")
_BARE = re.compile(r"[^\s()\"]+")
_BARE_NAME = re.compile(r"[^\s:()\"]+")
NEGATIONS = {EQUAL: UNEQUAL, UNEQUAL: EQUAL, "~": "!~", "!~": "~"}
JOINTS = ("AND", "OR")


def parse(text: str) -> Node:
    """The tree a text says; an empty one says everything. Raises FilterError."""
    reader = _Reader(text)
    tree = reader.either(0)
    if reader.at < len(text):
        reader.fail("This bracket closes nothing.")
    return tree


@dataclass(slots=True)
class _Reader:
    """A place in a text, moving on."""

    text: str
    at: int = 0

    def fail(self, message: str, at: int | None = None) -> NoReturn:
        place = (self.at if at is None else at) + 1
        raise FilterError(f"{message} (At character {place} of the filter.)", path=f"filter:{place}")

    def rest(self) -> str:
        """What follows, blanks skipped."""
        self.at = _BLANK.match(self.text, self.at).end()  # type: ignore[union-attr]
        return self.text[self.at :]

    def joint(self) -> str:
        """The AND or OR that stands here, or nothing."""
        word = _WORD.match(self.rest())
        return word[0] if word and word[0] in JOINTS else ""

    def is_over(self) -> bool:
        return self.rest()[:1] in ("", ")")

    def either(self, depth: int) -> Node:
        if depth > DEEPEST:
            self.fail(f"A filter nests at most {DEEPEST} levels.")
        if self.is_over():
            return EVERYTHING
        parts = [self.both(depth)]
        while self.joint() == "OR":
            self.at += len("OR")
            parts.append(self.both(depth))
        return join("or", parts)

    def both(self, depth: int) -> Node:
        parts = [self.part(depth)]
        while not self.is_over() and self.joint() != "OR":
            if self.joint():
                self.at += len("AND")
            parts.append(self.part(depth))
        return join("and", parts)

    def part(self, depth: int) -> Node:
        if self.is_over() or self.joint():
            self.fail("A condition is missing here.")
        if self.text[self.at] == "(":
            return self.group(depth)
        if found := _KEY.match(self.text, self.at):
            return self.condition(found)
        if self.text[self.at : self.at + 2] == "-(":
            self.fail("Only a single condition can be turned round by a minus; turn round each one in the brackets.")
        return self.words()

    def group(self, depth: int) -> Node:
        opened = self.at
        self.at += 1
        tree = self.either(depth + 1)
        if self.rest()[:1] != ")":
            self.fail("This bracket is never closed.", opened)
        self.at += 1
        return tree

    def condition(self, key: re.Match[str]) -> Leaf:
        value = _VALUE.match(self.text, key.end())
        assert value is not None, "it matches nothing at all too"
        begun, self.at = self.at, value.end()
        self.check_end()
        try:
            return _leaf(key, value)
        except FilterError as error:
            self.fail(error.message, begun)

    def check_end(self) -> None:
        """A value ends where a blank, a bracket or the text does."""
        following = self.text[self.at : self.at + 1]
        if following == '"':
            self.fail("This quotation mark is never closed, or stands inside a word.")
        if following and not following.isspace() and following not in "()":
            self.fail("A blank is missing here.")

    def words(self) -> Leaf:
        """A quoted text, or all bare words up to the next condition."""
        begun = self.at
        found: list[str] = []
        while word := _WORD.match(self.text, self.at):
            is_quoted = word[0].startswith('"')
            if found and (is_quoted or word[0] in JOINTS or _KEY.match(self.text, self.at)):
                break
            found.append(_unquoted(word[0]))
            self.at = word.end()
            if is_quoted:
                break
            self.rest()
        if not found:
            self.fail("This quotation mark is never closed.")
        if found[0].startswith("-") and len(found[0]) > 1 and self.text[begun] == "-":
            self.fail("Words cannot be turned round by a minus; quote them to look for the minus itself.", begun)
        return leaf("q", "~", " ".join(found))


def _leaf(key: re.Match[str], found: re.Match[str]) -> Leaf:
    """Raises FilterError."""
    name = _unquoted(key["name"] or "")
    entry = entry_of(key["key"])
    if name and not entry.is_map:
        raise FilterError(f"{entry.words} has no parts to name; write {entry.key}:…")
    operator, said = found["operator"], found["value"]
    whole = found[0]
    if whole in (KNOWN, NOT_KNOWN):
        return leaf(entry.key, _turned(EQUAL if whole == NOT_KNOWN else UNEQUAL, key), None, name=name)
    if not said:
        raise FilterError(f'{entry.words} is compared with nothing; write {entry.key}:"" for an empty text.')
    default = "~" if entry.kind == "words" else EQUAL
    plain_operator = (operator or default).rstrip(":") if operator != EQUAL else EQUAL
    return leaf(entry.key, _turned(plain_operator, key), _unquoted(said), name=name)


def _turned(operator: str, key: re.Match[str]) -> str:
    if not key["not"]:
        return operator
    if operator not in NEGATIONS:
        raise FilterError(f"{operator!r} cannot be turned round by a minus; use the opposite operator.")
    return NEGATIONS[operator]


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL) if text.startswith('"') else text


# --- and back -------------------------------------------------------------------------------------------------


def dump(node: Node) -> str:
    """The text `parse` reads as this tree. Raises FilterError for an empty alternative, which no text says."""
    return " ".join(map(_part, node.parts)) if isinstance(node, And) else _written(node)


def _written(node: Node) -> str:
    if isinstance(node, Leaf):
        return _condition(node)
    if isinstance(node, And):
        return " ".join(map(_part, node.parts))
    if not node.parts:
        raise FilterError("A filter that finds nothing has no text form.")
    return " OR ".join(map(_part, node.parts))


def _part(node: Node) -> str:
    return _condition(node) if isinstance(node, Leaf) else f"({_written(node)})"


def _condition(node: Leaf) -> str:
    if entry_of(node.key).kind == "words" and node.key == "q":
        return _quoted(str(node.value))
    key = node.key
    if node.name:
        key += "." + (node.name if _BARE_NAME.fullmatch(node.name) else _quoted(node.name))
    if node.value is None:
        return f"{key}:{NOT_KNOWN if node.operator == EQUAL else KNOWN}"
    operator = "" if node.operator == EQUAL else f"{node.operator}:" if node.operator.isalpha() else node.operator
    return f"{key}:{operator}{_value(plain(node.value), operator)}"


def _value(text: str, operator: str) -> str:
    is_bare = _BARE.fullmatch(text) and text not in (KNOWN, NOT_KNOWN) and not text.startswith(PREFIXES)
    is_clear = not (operator + text).startswith(
        tuple(longer for longer in PREFIXES if longer != operator and longer.startswith(operator or " "))
    )
    return text if is_bare and is_clear else _quoted(text)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"'
