"""Helicone's filter JSON, to our tree and back.

    node := "all" | {} | {table: {column: {operator: value}}} | {"left": node, "operator": "and" | "or", "right": node}

What Helicone's own pages save is a second grammar of the same, which `parse` takes too:

    expr := {"type": "all"} | {"type": "and" | "or", "expressions": [expr…]}
          | {"type": "condition", "field": {"table", "column", "subtype"?, "key"?}, "operator": "eq" | …, "value": …}

All tables, columns and operators of one leaf are ANDed. Unknown ones raise FilterError with the path to them. Names
of an older time (`request`, `response`, `request_response_versioned`) mean the same columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from llm.providers import by_helicone_name
from requests_app.filters import (
    DEEPEST,
    EQUAL,
    EVERYTHING,
    FEEDBACK,
    UNEQUAL,
    And,
    Entry,
    FilterError,
    Leaf,
    Node,
    catalogue,
    entry_of,
    join,
    leaf,
)

OPERATORS = {
    "equals": "=", "not-equals": "!=", "gte": ">=", "lte": "<=", "gt": ">", "lt": "<",
    "like": "like", "ilike": "ilike", "contains": "~", "not-contains": "!~",
}  # fmt: skip
EXPRESSED = {"eq": "equals", "is": "equals", "neq": "not-equals"}
"""Operators of the second grammar that are called otherwise there."""
NAMES = {ours: theirs for theirs, ours in OPERATORS.items()}
NO_CACHE_HIT = "00000000-0000-0000-0000-000000000000"

_RMT = {
    "country_code": "country", "provider": "provider", "model": "model", "user_id": "user",
    "organization_id": "organization", "request_id": "id", "target_url": "url", "prompt_id": "prompt",
    "prompt_version": "prompt_version", "node_id": "nothing", "job_id": "nothing",
    "request_referrer": "nothing", "assets": "nothing", "latency": "duration", "cost": "cost",
    "time_to_first_token": "ttft", "status": "status", "prompt_tokens": "uncached_input_tokens",
    "completion_tokens": "visible_output_tokens", "total_tokens": "total_tokens",
    "prompt_cache_read_tokens": "cache_read_tokens", "prompt_cache_write_tokens": "cache_write_tokens",
    "reasoning_tokens": "reasoning_tokens", "request_created_at": "at", "response_created_at": "responded_at",
    "threat": "threat", "cached": "cached", "cache_enabled": "cached", "is_passthrough_billing": "never",
    "problem": "problem",  # ours
}  # fmt: skip
_REQUEST = {
    "created_at": "at", "user_id": "user", "org_id": "organization", "id": "id", "node_id": "nothing",
    "model": "request_model", "path": "url", "country_code": "country", "prompt_id": "prompt",
}  # fmt: skip
_RESPONSE = {"body_tokens": "total_tokens", "body_model": "response_model", "status": "status", "model": "model"}
_SESSION = {"session_session_id": "session", "session_session_name": "session_name"}

COLUMNS: dict[str, dict[str, str]] = {
    "request_response_rmt": _RMT, "request_response_versioned": _RMT, "request_response_log": _RMT,
    "request": _REQUEST, "response": _RESPONSE, "sessions_request_response_rmt": _SESSION,
}  # fmt: skip
"""Helicone's tables and columns, and the entry each means. Rooms above add theirs with `contribute`."""

OWN_TABLE = "request_response_rmt"
"""Takes our own keys as columns too: `tool`, `finish_reason`, `failed` and all others of the filter bar."""
MAPS = {"properties": "property", "search_properties": "property", "scores": "score"}
SESSION_PROPERTIES = {
    "helicone-session-id": "session", "helicone-session-name": "session_name",
    "helicone-session-path": "session_path",
}  # fmt: skip
BODIES = {"request_body", "response_body", "prompt", "body_completion"}


def contribute(table: str, columns: Mapping[str, str]) -> None:
    COLUMNS.setdefault(table, {}).update(columns)


def parse(node: Any, path: str = "filter") -> Node:
    """The tree a JSON value says. Raises FilterError."""
    return _parse(node, path, 0)


@dataclass(frozen=True, slots=True)
class _At:
    """A condition of a leaf and where it stood."""

    path: str
    operator: str
    value: Any

    def error(self, message: str) -> FilterError:
        return FilterError(message, path=self.path, value=self.value)


def _parse(node: Any, path: str, depth: int) -> Node:
    if node == "all":
        return EVERYTHING
    if not isinstance(node, Mapping):
        raise FilterError('A filter is "all" or an object.', path=path, value=node)
    if depth > DEEPEST:
        raise FilterError(f"A filter nests at most {DEEPEST} levels.", path=path)
    if "type" in node:
        return _expression(node, path, depth)
    if "left" in node or "right" in node:
        return _branch(node, path, depth)
    return join("and", (part for table, columns in node.items() for part in _table(table, columns, path)))


def _branch(node: Mapping[str, Any], path: str, depth: int) -> Node:
    operator = node.get("operator")
    if operator not in ("and", "or"):
        raise FilterError('A branch is joined by "and" or "or".', path=f"{path}.operator", value=operator)
    for side in ("left", "right"):
        if side not in node:
            raise FilterError("A branch has a left and a right side.", path=f"{path}.{side}")
    sides = [_parse(node[side], f"{path}.{side}", depth + 1) for side in ("left", "right")]
    return join(operator, sides)


def _expression(node: Mapping[str, Any], path: str, depth: int) -> Node:
    kind = node["type"]
    if kind == "all":
        return EVERYTHING
    if kind == "condition":
        return _parse(_as_leaf(node, path), path, depth)
    if kind not in ("and", "or"):
        raise FilterError('An expression is of the type "all", "and", "or" or "condition".', path=f"{path}.type",
                          value=kind)  # fmt: skip
    parts, path = node.get("expressions"), f"{path}.expressions"
    if not isinstance(parts, list):
        raise FilterError("A list of expressions is expected.", path=path)
    found = [_parse(part, f"{path}.{place}", depth + 1) for place, part in enumerate(parts)]
    return join(kind, found) if found else EVERYTHING


def _as_leaf(node: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """A condition of the second grammar as a leaf of the first. A column with a "-" is the name of a property."""
    field = _mapping(node.get("field"), f"{path}.field")
    said = (field.get("table", OWN_TABLE), field.get("column"), field.get("key") or field.get("column"),
            node.get("operator"))  # fmt: skip
    if not all(isinstance(text, str) for text in said):
        raise FilterError("A condition has a field with a table and a column, an operator and a value.", path=path)
    table, column, name, operator = map(str, said)
    condition = {EXPRESSED.get(operator, operator): node.get("value")}
    if field.get("subtype") == "score":
        return {OWN_TABLE: {"scores": {name: condition}}}
    if field.get("subtype") == "property" or ("-" in column and column != FEEDBACK):
        is_key = field.get("valueMode") == "key"
        return {OWN_TABLE: {"property_key": condition} if is_key else {"properties": {name: condition}}}
    return {table: {column: condition}}


def _table(table: str, columns: Any, path: str) -> Iterator[Node]:
    path = f"{path}.{table}"
    if table in MAPS:
        yield from _map(table, columns, path)
        return
    if table == "feedback":
        columns = {"helicone-score-feedback": _mapping(columns, path).get("rating", {})} if columns else {}
        table = "request_response_rmt"
    if table not in COLUMNS:
        known = ", ".join(sorted({*COLUMNS, *MAPS, "feedback"}))
        raise FilterError(f"There is no table {table!r} to filter by. There are: {known}.", path=path)
    for column, conditions in _mapping(columns, path).items():
        yield from _column(table, column, conditions, f"{path}.{column}")


def _column(table: str, column: str, conditions: Any, path: str) -> Iterator[Node]:
    if column in MAPS:
        yield from _map(column, conditions, path)
        return
    for at in _conditions(conditions, path):
        yield _condition(table, column, at)


def _map(name: str, keys: Any, path: str) -> Iterator[Node]:
    for key, conditions in _mapping(keys, path).items():
        for at in _conditions(conditions, f"{path}.{key}"):
            own = SESSION_PROPERTIES.get(key.lower()) if MAPS[name] == "property" else None
            yield _leaf(own, at) if own else _leaf(MAPS[name], at, name=key)


def _condition(table: str, column: str, at: _At) -> Node:
    if column in BODIES:
        raise at.error("Whole bodies cannot be filtered: they are stored compressed. Filter by other columns.")
    if column == "helicone-score-feedback":
        return _leaf("score", replace(at, value=_thumb(at)), name=column)
    if column == "property_key":
        return _leaf("property_key", at)
    if column == "scores_column":
        return leaf("has_scores", EQUAL, (at.operator == UNEQUAL) == (at.value in ("{}", "")))
    if column == "cache_reference_id" and at.operator in (EQUAL, UNEQUAL):
        is_hit = at.operator == UNEQUAL
        return leaf("cached", EQUAL, is_hit) if at.value == NO_CACHE_HIT else _leaf("cached_from", at)
    key = COLUMNS[table].get(column) or _own(table, column)
    if not key:
        known = ", ".join(sorted({*COLUMNS[table], *MAPS}))
        raise at.error(f"{table} has no column {column!r} to filter by. It has: {known}.")
    return _leaf(key, at)


def _own(table: str, column: str) -> str:
    """The entry we call so, which Helicone has no column for; empty for none. Its columns keep its own meaning."""
    entry = catalogue().get(column)
    return entry.key if entry and not entry.is_map and table == OWN_TABLE else ""


def _leaf(key: str, at: _At, *, name: str = "") -> Leaf:
    """One condition in our words; Helicone spells "is unknown" as the text "null", empty as "__empty__"."""
    entry = entry_of(key)
    value = None if at.value == "null" and at.operator in (EQUAL, UNEQUAL) else at.value
    if at.value == "__empty__" and entry.kind in ("text", "property"):
        value = ""
    if key == "provider" and isinstance(value, str):
        value = _provider(value, at.operator)
    try:
        return leaf(key, at.operator, value, name=name)
    except FilterError as error:
        raise at.error(error.message) from None


def _thumb(at: _At) -> int | str:
    """A thumb up or down as the score it is kept as; "null" asks for none."""
    words: dict[str, int | str] = {"true": 1, "1": 1, "false": 0, "0": 0, "null": "null"}
    said = str(at.value).lower()
    if said not in words:
        raise at.error("Feedback is compared with true or false.")
    return words[said]


def _provider(value: str, operator: str) -> str:
    """Our slug for Helicone's upper-case name."""
    found = by_helicone_name(value.upper()) if operator in (EQUAL, UNEQUAL) else None
    return found.slug if found else value.lower() if value.isupper() else value


def _conditions(conditions: Any, path: str) -> Iterator[_At]:
    for operator, value in _mapping(conditions, path).items():
        at = f"{path}.{operator}"
        if operator not in OPERATORS:
            known = ", ".join(OPERATORS)
            raise FilterError(f"There is no operator {operator!r}. There are: {known}.", path=at, value=value)
        if isinstance(value, Mapping | list) or value is None:
            raise FilterError("A column is compared with one value.", path=at, value=value)
        yield _At(at, OPERATORS[operator], value)


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise FilterError("An object is expected here.", path=path, value=value)
    return value


# --- and back -------------------------------------------------------------------------------------------------


def dump(node: Node) -> Any:
    """The JSON that `parse` reads as this tree; what Helicone has no column for stands under our own key."""
    if isinstance(node, Leaf):
        return _dump_leaf(node)
    if not node.parts:
        return "all"
    *rest, last = node.parts
    if not rest:
        return dump(last)
    kind = type(node)
    return {"left": dump(kind(tuple(rest))), "operator": "and" if kind is And else "or", "right": dump(last)}


def _dump_leaf(node: Leaf) -> Any:
    entry, operator = entry_of(node.key), NAMES[node.operator]
    condition = {operator: _dump_value(node)}
    if entry.is_map:
        column = "properties" if entry.kind == "property" else "scores"
        return {"request_response_rmt": {column: {node.name: condition}}}
    table, name = _place(entry)
    if table == "properties":
        return {"request_response_rmt": {"properties": {name: condition}}}
    return {table: {name: condition}}


def _dump_value(node: Leaf) -> Any:
    if node.value is None:
        return "null"
    if isinstance(node.value, bool | int):
        return node.value
    return "__empty__" if node.value == "" else str(node.value)


def _place(entry: Entry) -> tuple[str, str]:
    for table, columns in COLUMNS.items():
        for column, key in columns.items():
            if key == entry.key:
                return table, column
    for name, key in SESSION_PROPERTIES.items():
        if key == entry.key:
            return "properties", name
    return OWN_TABLE, entry.key
