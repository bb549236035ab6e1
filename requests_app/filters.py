"""The filter grammar: one frozen tree, however it was said, and the only compiler from it to SQL.

    filter_url    ?model=gpt-4o&status=>=400&property.env=prod  ┐
                                                                ├─▶ And | Or | Leaf ─▶ compile() ─▶ SQL, values
    filter_json   {"left": {"request_response_rmt": …}, …}      ┘

An Entry is one thing that can be asked about: key, words, type and SQL together. Rooms above contribute their
own with `contribute`. Logic is two-valued: what is not known is no number, compares as empty text, and is found
by a leaf whose value is None. Every SQL text is over `llm_request` under the alias `r`.

    FilterError(ValueError)    what was asked cannot be: `path` says where, `value` what stood there
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, Literal
from uuid import UUID

import orjson

from requests_app import long_names, spellings

EQUAL, UNEQUAL = "=", "!="
ORDERED = (EQUAL, UNEQUAL, ">", ">=", "<", "<=")
WORDED = (EQUAL, UNEQUAL, "~", "!~", "like", "ilike")
"""`~` contains, whatever the case; `like` and `ilike` take the caller's own % and _."""

Kind = Literal["text", "number", "money", "time", "boolean", "property", "score", "names", "words"]
Value = str | int | Decimal | bool | datetime | None
OPERATORS: Mapping[Kind, tuple[str, ...]] = {
    "text": WORDED, "number": ORDERED, "money": ORDERED, "time": ORDERED, "boolean": (EQUAL, UNEQUAL),
    "property": WORDED, "score": ORDERED, "names": (EQUAL, UNEQUAL), "words": ("~",),
}  # fmt: skip
LARGEST_NUMBER = Decimal(10) ** 18
MOST_LEAVES = 1_000
DEEPEST = 200


class FilterError(ValueError):
    def __init__(self, message: str, *, path: str = "", value: object = None) -> None:
        super().__init__(message)
        self.message, self.path, self.value = message, path, value


@dataclass(frozen=True, slots=True)
class Leaf:
    """One condition. `name` is the property or score asked about. Money is in USD, times are aware."""

    key: str
    operator: str
    value: Value
    name: str = ""


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Node, ...]


Node = And | Or | Leaf
EVERYTHING = And()


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that can be asked about. `sql` is an expression over `r`; a map's is the jsonb column."""

    key: str
    words: str
    kind: Kind
    sql: str
    unit: str = ""
    is_offered: bool = True
    """In the menu of the filter bar; the others exist for the API."""
    is_suggested: bool = False
    """Its values are few enough to be offered."""

    @property
    def operators(self) -> tuple[str, ...]:
        return OPERATORS[self.kind]

    @property
    def is_map(self) -> bool:
        return self.kind in {"property", "score"}


def undated(model: str) -> str:
    """SQL of the same for `gpt-4o`, which a call asks for, and `gpt-4o-2024-08-06`, which answers it."""
    return rf"regexp_replace({model}, '[-@]20\d\d(-[01]\d-[0-3]\d|[01]\d[0-3]\d)$', '')"


UNDATED_MODEL = undated("r.model")
UNCACHED_INPUT = "(r.input_tokens - coalesce(r.cache_read_tokens, 0) - coalesce(r.cache_write_tokens, 0))"
UNREASONED_OUTPUT = "(r.output_tokens - coalesce(r.reasoning_tokens, 0))"
TOTAL_TOKENS = "(coalesce(r.input_tokens, 0) + coalesce(r.output_tokens, 0))"
REQUEST_MODEL = "(CASE r.request_model WHEN '' THEN r.model ELSE r.request_model END)"
RESPONSE_MODEL = "(CASE r.response_model WHEN '' THEN r.model ELSE r.response_model END)"
"""An empty one is the same as `model`: so a row keeps a name once (`spellings.SAME`)."""
TARGET_URL = spellings.in_sql("r.target_url", "target_url")
QUARTER = "date_bin('15 minutes', {}, '2000-01-01+00')"
"""The quarter of an hour a moment falls into: by it the rows of one model or user are in order in their index."""
RESPONDED_AT = "(r.requested_at + r.duration_ms * interval '1 millisecond')"
FEEDBACK = "helicone-score-feedback"
"""The score that a thumb up (1) or down (0) is."""
FEEDBACK_IS_GOOD = f"((r.scores ->> '{FEEDBACK}')::numeric > 0)"
"""Not known where there is none."""

ENTRIES = (
    Entry("model", "Model", "text", "r.model", is_suggested=True),
    Entry("provider", "Provider", "text", "r.provider", is_suggested=True),
    Entry("status", "Status", "number", "r.status", is_suggested=True),
    Entry("failed", "Failed", "boolean", "(r.status NOT BETWEEN 200 AND 399)"),
    Entry("user", "User", "text", "r.end_user_id", is_suggested=True),
    Entry("session", "Session", "text", "r.session_id"),
    Entry("session_name", "Session name", "text", "r.session_name", is_suggested=True),
    Entry("session_path", "Session path", "text", "r.session_path"),
    Entry("property", "Property", "property", "r.properties", is_suggested=True),
    Entry("cost", "Cost", "money", "r.cost_nano_usd", unit="USD"),
    Entry("duration", "Duration", "number", "r.duration_ms", unit="ms"),
    Entry("ttft", "Time to first token", "number", "r.time_to_first_token_ms", unit="ms"),
    Entry("input_tokens", "Input tokens", "number", "r.input_tokens"),
    Entry("output_tokens", "Output tokens", "number", "r.output_tokens"),
    Entry("total_tokens", "Total tokens", "number", TOTAL_TOKENS),
    Entry("cache_read_tokens", "Cached input tokens", "number", "r.cache_read_tokens"),
    Entry("cache_write_tokens", "Cache write tokens", "number", "r.cache_write_tokens"),
    Entry("reasoning_tokens", "Reasoning tokens", "number", "r.reasoning_tokens"),
    Entry("undated_model", "Model of any date", "text", UNDATED_MODEL),
    Entry("cached", "Answered from cache", "boolean", "r.cached"),
    Entry("cached_from", "Answered with the reply of", "text", "r.cached_from::text", is_offered=False),
    Entry("stream", "Streamed", "boolean", "r.is_stream"),
    Entry("error_type", "Error type", "text", "r.error_type", is_suggested=True),
    Entry("finish_reason", "Finish reason", "text", "r.finish_reason", is_suggested=True),
    Entry("tool", "Tool called", "names", "r.tool_calls"),
    Entry("problem", "Problem", "names", "r.problems", is_suggested=True),
    Entry("score", "Score", "score", "r.scores"),
    Entry("feedback", "Feedback is good", "boolean", FEEDBACK_IS_GOOD),
    Entry("kind", "Kind", "text", "r.kind", is_suggested=True),
    Entry("request_model", "Model asked for", "text", REQUEST_MODEL),
    Entry("response_model", "Model that answered", "text", RESPONSE_MODEL),
    Entry("prompt", "Prompt", "text", "r.prompt_id"),
    Entry("prompt_version", "Prompt version", "text", "r.prompt_version"),
    Entry("country", "Country", "text", "r.country_code", is_suggested=True),
    Entry("url", "Target URL", "text", TARGET_URL),
    Entry("trace", "Trace", "text", "r.trace_id"),
    Entry("id", "Request id", "text", "coalesce(r.client_request_id, r.id::text)"),
    Entry("q", "Words", "words", "(r.request_preview || ' ' || r.response_preview)", is_offered=False),
    Entry("at", "Time", "time", "r.requested_at", is_offered=False),
    Entry("responded_at", "Answered at", "time", RESPONDED_AT, is_offered=False),
    Entry("threat", "Threat", "boolean", "coalesce(r.threat, false)"),
    Entry("organization", "Organization", "text", "r.organization_id::text", is_offered=False),
    Entry("uncached_input_tokens", "Uncached input tokens", "number", UNCACHED_INPUT, is_offered=False),
    Entry("visible_output_tokens", "Output without reasoning", "number", UNREASONED_OUTPUT, is_offered=False),
    Entry("has_problems", "Has problems", "boolean", "(r.problems IS NOT NULL)", is_offered=False),
    Entry("has_scores", "Has scores", "boolean", "(coalesce(r.scores, '{}') <> '{}')", is_offered=False),
    Entry("property_key", "Has property", "names", "r.properties", is_offered=False),
    Entry("nothing", "Not recorded", "text", "''", is_offered=False),
    Entry("never", "Never so", "boolean", "false", is_offered=False),
)

_catalogue: dict[str, Entry] = {entry.key: entry for entry in ENTRIES}


def contribute(entries: Iterable[Entry]) -> None:
    """Adds another room's entries, at start. A key that is taken raises ValueError."""
    for entry in entries:
        if _catalogue.setdefault(entry.key, entry) != entry:
            raise ValueError(f"two filter entries are called {entry.key}")


def catalogue() -> Mapping[str, Entry]:
    return _catalogue


def entry_of(key: str) -> Entry:
    try:
        return _catalogue[key]
    except KeyError:
        known = ", ".join(entry.key for entry in _catalogue.values() if entry.is_offered)
        raise FilterError(f"There is no filter {key!r}. There are: {known}.", path=key, value=key) from None


# --- making trees --------------------------------------------------------------------------------


def leaf(key: str, operator: str, raw: object, *, name: str = "") -> Leaf:
    """A checked condition; `raw` is text or a JSON value. Raises FilterError.

    A property's name is read in lower case, as properties are kept: who sends `Helicone-Property-Env` asks for "Env".
    """
    entry = entry_of(key)
    if operator not in entry.operators:
        allowed = " ".join(entry.operators)
        message = f"{entry.words} cannot be asked with {operator!r}, only with {allowed}."
        raise FilterError(message, path=key, value=raw)
    if entry.is_map and not name:
        raise FilterError(f"{entry.words} needs a name, as in {key}.env", path=key, value=raw)
    if "\x00" in name:
        raise FilterError("A name holds no NUL.", path=key)
    value = None if raw is None else value_of(entry, raw)
    if key == "property_key" and isinstance(value, str):
        value = value.lower()
    if operator in ("like", "ilike") and isinstance(value, str) and (len(value) - len(value.rstrip("\\"))) % 2:
        raise FilterError("A pattern may not end with a single backslash.", path=key, value=raw)
    return Leaf(key, operator, value, name.lower() if entry.kind == "property" else name)


def join(operator: Literal["and", "or"], parts: Iterable[Node]) -> Node:
    """The parts as one node: nested ones of the same kind are flattened, a single one stands for itself."""
    kind: type[And] | type[Or] = And if operator == "and" else Or
    flat: list[Node] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, kind) else (part,))
    return flat[0] if len(flat) == 1 else kind(tuple(flat))


def leaves(node: Node) -> Iterator[Leaf]:
    if isinstance(node, Leaf):
        yield node
    else:
        for part in node.parts:
            yield from leaves(part)


def is_of_one(node: Node) -> bool:
    """Whether it holds for one model or one user alone, whose rows are found by an index of their own."""
    parts = node.parts if isinstance(node, And) else (node,)
    return any(isinstance(one, Leaf) and one.key in {"model", "user"} and one.operator == EQUAL and one.value
               for one in parts)  # fmt: skip


def value_of(entry: Entry, raw: object) -> Value:
    try:
        value: Value = _READERS[entry.kind](raw)
    except (ValueError, InvalidOperation, OverflowError):
        wanted = _WANTED[entry.kind]
        raise FilterError(f"{entry.words} is compared with {wanted}.", path=entry.key, value=raw) from None
    return value


def _text(raw: object) -> str:
    if not isinstance(raw, str) or "\x00" in raw:
        raise ValueError
    return raw.encode("utf-8", "replace").decode()


def _number(raw: object) -> int | Decimal:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float | Decimal):
        raise ValueError
    number = Decimal(str(raw).strip())
    if not number.is_finite() or abs(number) > LARGEST_NUMBER:
        raise ValueError
    return int(number) if number == number.to_integral_value() else number


def _money(raw: object) -> Decimal:
    return Decimal(_number(raw.removeprefix("$") if isinstance(raw, str) else raw))


def _time(raw: object) -> datetime:
    moment = raw if isinstance(raw, datetime) else datetime.fromisoformat(_text(raw).strip())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _boolean(raw: object) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.strip().lower() in words:
        return words[raw.strip().lower()]
    raise ValueError


_READERS: Mapping[Kind, Callable[[object], Value]] = {
    "text": _text, "number": _number, "money": _money, "time": _time, "boolean": _boolean,
    "property": _text, "score": _number, "names": _text, "words": _text,
}  # fmt: skip
_WANTED: Mapping[Kind, str] = {
    "text": "text", "number": "a number", "money": "an amount in USD, as 0.01", "boolean": "true or false",
    "time": "a time in ISO 8601, as 2026-07-01T00:00:00Z", "property": "text", "score": "a number",
    "names": "a name", "words": "words",
}  # fmt: skip


# --- SQL ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Clause:
    """A condition with %s for each of its values."""

    sql: str
    values: tuple[Any, ...] = ()


TRUE, FALSE = Clause("TRUE"), Clause("FALSE")


def compile(node: Node) -> Clause:
    """The tree as SQL over `r`. Raises FilterError for one that is too large or holds an unknown key."""
    if sum(1 for _ in leaves(node)) > MOST_LEAVES:
        raise FilterError(f"A filter holds at most {MOST_LEAVES} conditions.")
    return _compile(node)


def _compile(node: Node) -> Clause:
    if isinstance(node, Leaf):
        return _COMPILERS[entry_of(node.key).kind](entry_of(node.key), node)
    if not node.parts:
        return TRUE if isinstance(node, And) else FALSE
    parts = [_compile(part) for part in node.parts]
    joint = " AND " if isinstance(node, And) else " OR "
    values = tuple(value for part in parts for value in part.values)
    return Clause("(" + joint.join(part.sql for part in parts) + ")", values)


def _compare(sql: str, operator: str, value: object, *, names: tuple[str, ...] = ()) -> Clause:
    """A number, time or boolean. What is not known is unequal to everything and in no order with anything."""
    if value is None:
        return Clause(f"{sql} IS {'NOT ' if operator == UNEQUAL else ''}NULL", names)
    if operator == UNEQUAL:
        return Clause(f"{sql} IS DISTINCT FROM %s", (*names, value))
    return Clause(f"{sql} {operator} %s", (*names, value))


def _compare_text(sql: str, operator: str, value: str | None, *, names: tuple[str, ...] = ()) -> Clause:
    if value is None:
        return Clause(f"{sql} IS {'NOT ' if operator == UNEQUAL else ''}NULL", names)
    known = f"coalesce({sql}, '')"
    if operator in {EQUAL, UNEQUAL}:
        plain = sql if value and operator == EQUAL else known
        return Clause(f"{plain} {'=' if operator == EQUAL else '<>'} %s", (*names, value))
    if operator in {"~", "!~"}:
        negation = "NOT " if operator == "!~" else ""
        return Clause(f"{known} {negation}ILIKE %s", (*names, f"%{escaped(value)}%"))
    return Clause(f"{known} {operator.upper()} %s", (*names, value))


def escaped(text: str) -> str:
    """Text that stands for itself in a LIKE pattern."""
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def _plain(entry: Entry, node: Leaf) -> Clause:
    return _compare(entry.sql, node.operator, node.value)


def _worded(entry: Entry, node: Leaf) -> Clause:
    if entry.key == "id" and node.operator == EQUAL and node.value:
        return _identified(str(node.value))
    if node.operator == EQUAL and long_names.is_shortened(str(node.value)):
        return _shortened(entry.sql, str(node.value))
    return _compare_text(entry.sql, node.operator, None if node.value is None else str(node.value))


def _shortened(sql: str, value: str, *, name: str = "") -> Clause:
    """A name as counts tell it, for the longer ones it may stand for and for itself."""
    asked = long_names.in_sql(sql)
    return Clause(f"{asked} = %s", (*[name] * asked.count("%s"), value))


def _identified(value: str) -> Clause:
    """By our id or the client's own; ours by its index."""
    if identifier := as_uuid(value):
        return Clause("(r.id = %s OR r.client_request_id = %s)", (identifier, value))
    return Clause("r.client_request_id = %s", (value,))


def as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _priced(entry: Entry, node: Leaf) -> Clause:
    nano = None if node.value is None else int((Decimal(str(node.value)) * 10**9) // 1)
    return _compare(entry.sql, node.operator, nano)


def _property(entry: Entry, node: Leaf) -> Clause:
    if node.operator == EQUAL and long_names.is_shortened(str(node.value)):
        return _shortened(f"({entry.sql} ->> %s)", str(node.value), name=node.name)
    if node.value and node.operator == EQUAL:
        return Clause(f"{entry.sql} @> %s::jsonb", (orjson.dumps({node.name: node.value}).decode(),))
    value = None if node.value is None else str(node.value)
    return _compare_text(f"({entry.sql} ->> %s)", node.operator, value, names=(node.name,))


def _score(entry: Entry, node: Leaf) -> Clause:
    return _compare(f"({entry.sql} ->> %s)::numeric", node.operator, node.value, names=(node.name,))


def _named(entry: Entry, node: Leaf) -> Clause:
    """A name in a list, or a key of a map; None: with none at all."""
    if node.value is None:
        empty = f"coalesce({entry.sql}, '{{}}') {'<>' if node.operator == UNEQUAL else '='} '{{}}'"
        return Clause(empty)
    if entry.key == "problem":
        return _troubled(entry, node)
    is_map = entry.key == "property_key"
    has = f"jsonb_exists({entry.sql}, %s)" if is_map else f"coalesce(%s = ANY({entry.sql}), FALSE)"
    return Clause(has if node.operator == EQUAL else f"NOT {has}", (str(node.value),))


def _troubled(entry: Entry, node: Leaf) -> Clause:
    """With a problem of that code, kept as `code` or `code: detail`."""
    code = str(node.value)
    has = f"coalesce({entry.sql} <> '{{}}' AND (%s = ANY({entry.sql}) OR has_problem({entry.sql}, %s)), FALSE)"
    return Clause(has if node.operator == EQUAL else f"NOT {has}", (code, f"{code}: "))


def _searched(entry: Entry, node: Leaf) -> Clause:
    """An id as it stands, or every word somewhere in the two previews."""
    text = str(node.value or "").strip()
    words = text.split()
    if not words:
        return TRUE
    found = " AND ".join([f"{entry.sql} ILIKE %s"] * len(words))
    ids = "%s IN (r.client_request_id, r.session_id, r.end_user_id, r.trace_id, r.provider_response_id)"
    identifier = as_uuid(text)
    mine = ("r.id = %s OR ", (identifier,)) if identifier else ("", ())
    patterns = tuple(f"%{escaped(word)}%" for word in words)
    return Clause(f"({mine[0]}{ids} OR ({found}))", (*mine[1], text, *patterns))


_COMPILERS: Mapping[Kind, Callable[[Entry, Leaf], Clause]] = {
    "text": _worded, "number": _plain, "money": _priced, "time": _plain, "boolean": _plain,
    "property": _property, "score": _score, "names": _named, "words": _searched,
}  # fmt: skip


def bounds(node: Node) -> tuple[datetime | None, datetime | None]:
    """The earliest and latest `requested_at` the tree can be true for, inclusive; None where it does not say."""
    parts = [node] if isinstance(node, Leaf) else list(node.parts) if isinstance(node, And) else []
    said = [part for part in parts if isinstance(part, Leaf) and part.key == "at"]
    times = partial(_times, said)
    return max(times("=", ">", ">="), default=None), min(times("=", "<", "<="), default=None)


def _times(said: Iterable[Leaf], *operators: str) -> list[datetime]:
    return [part.value for part in said if part.operator in operators and isinstance(part.value, datetime)]
