"""What no linter holds: sizes, imports, signals, where SQL may stand."""

from __future__ import annotations

import ast
import re
import statistics
from collections import Counter
from pathlib import Path

import pytest

from tests.house import source

LONGEST_FILE = 500
LONGEST_FUNCTION = 60

SQL_FILES = re.compile(
    r"(^|/)(queries|store|rollup|snapshot|spool|sql|retention|prices|filters|amendments|forget)(_\w+)?\.py$"
    r"|(^|/)(queries|filters|migrations)/|^helicone_site/(embedded|pytest_services)\.py$"
)
"""Where SQL may stand: the ground and its questions, the spool's own, and what starts and empties databases."""

LOCAL_IMPORTS: dict[str, str] = {}
"""Files with imports inside functions, and why. This list may only shrink."""


def test_no_file_is_longer_than_a_reader_can_hold():
    lengths = {str(path): source.text(path).count("\n") for path in source.python()}
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_no_function_is_longer_than_a_screen():
    found = {
        f"{path}:{node.lineno} {node.name}": source.length(node)
        for path in source.python()
        for node in source.functions(path)
    }
    assert {name: lines for name, lines in found.items() if lines > LONGEST_FUNCTION} == {}


def test_functions_are_short(record_property):
    lengths = sorted(source.length(node) for path in source.product() for node in source.functions(path))
    median, p90 = statistics.median(lengths), lengths[len(lengths) * 9 // 10]
    record_property("function_lines", f"{len(lengths)} functions, median {median}, p90 {p90}")
    assert median <= 8
    assert p90 <= 30


_SIGNALS = re.compile(r"django\.dispatch|django\.(db\.models|core|db\.backends|test)\.signals|@receiver\b")


def test_nothing_happens_behind_a_signal():
    assert [str(path) for path in source.product() if _SIGNALS.search(source.text(path))] == []


def test_models_are_imported_not_looked_up():
    assert [str(path) for path in source.product() if re.search(r"\bapps\.get_model\(", source.text(path))] == []


def _local_imports(path: Path) -> int:
    return sum(
        isinstance(inner, ast.Import | ast.ImportFrom) for node in source.functions(path) for inner in ast.walk(node)
    )


def test_imports_stand_at_the_top():
    found = {str(path) for path in source.product() if _local_imports(path)}
    assert found - set(LOCAL_IMPORTS) == set(), "move them up, or cut the cycle they dodge"
    assert set(LOCAL_IMPORTS) - found == set(), "these have none any more: take them off the list"


_STATEMENT = re.compile(
    r"^\s*(SELECT\s.+\sFROM\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|(CREATE|ALTER|DROP)\s+(TABLE|INDEX)"
    r"|COPY\s+\S+\s*(\(|FROM|TO)|WITH\s+\S+\s+AS\s*\(|TRUNCATE\s|LISTEN\s|NOTIFY\s)",
    re.DOTALL,
)


def _docstrings(tree: ast.Module) -> set[int]:
    """Ids of the string constants that stand as statements: documentation, not code."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def _sql(path: Path) -> list[str]:
    tree = source.tree(path)
    spoken = _docstrings(tree)
    return [
        f"{path}:{node.lineno} {node.value[:40]!r}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in spoken
        and _STATEMENT.match(node.value)
    ]


def test_sql_stands_only_where_it_is_looked_for():
    strayed = [line for path in source.product() if not SQL_FILES.search(str(path)) for line in _sql(path)]
    assert strayed == []


@pytest.mark.parametrize(
    "statement", ["SELECT a FROM b", "INSERT INTO a VALUES (1)", "UPDATE a SET b = 1", "COPY a (b)"]
)
def test_the_test_above_knows_sql_when_it_sees_it(statement):
    assert _STATEMENT.match(statement)


def test_nobody_is_called_by_a_name_that_says_nothing():
    empty = re.compile(r"(Manager|Handler|Helper|Service)$")
    framework = {"UserManager"}  # Django's own word for it
    classes = [
        f"{path}:{node.lineno} {node.name}"
        for path in source.product()
        for node in ast.walk(source.tree(path))
        if isinstance(node, ast.ClassDef) and empty.search(node.name) and node.name not in framework
    ]
    assert classes == []
    assert [str(path) for path in source.python() if path.stem in {"utils", "helpers", "misc", "common_utils"}] == []


def test_tests_do_not_hide_each_other():
    """Two tests of one name in one file: the first would never run."""
    for path in source.python():
        if path.name.startswith("test_"):
            names = Counter(node.name for node in source.tree(path).body if isinstance(node, ast.FunctionDef))
            assert [name for name, count in names.items() if count > 1] == [], path
