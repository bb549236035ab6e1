"""The house's own source, read as text and as trees; what the other tests of this folder look through."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ROOMS = (
    "helicone_site",
    "gateway_app",
    "ingest_app",
    "alerts_app",
    "sessions_app",
    "metrics_app",
    "requests_app",
    "accounts_app",
    "llm",
    "lib",
)
_PASSED_OVER = frozenset({".git", ".venv", ".data", "__pycache__", "node_modules", ".mypy_cache", ".ruff_cache"})


@cache
def files() -> tuple[Path, ...]:
    """Every file of the house, committed or about to be, relative to its root."""
    if (ROOT / ".git").exists():
        command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, check=True, capture_output=True).stdout.decode().split("\0")
        return tuple(sorted({Path(name) for name in listed if name and (ROOT / name).is_file()}))
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return tuple(sorted(path for path in found if not _PASSED_OVER & set(path.parts)))


def text(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def product() -> Iterator[Path]:
    """Python of the rooms, migrations left out."""
    return (path for path in python() if path.parts[0] in ROOMS and "migrations" not in path.parts)


def python() -> Iterator[Path]:
    """All Python, with the scripts that have no ending."""
    return (path for path in files() if path.suffix == ".py" or path.name == "up")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(text(path), filename=str(path))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of code of a function: its signature and body, its docstring and nested functions left out."""
    first = node.body[0]
    spoken = (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(node, clean=False) is not None else 0
    return (node.end_lineno or 0) - node.lineno + 1 - spoken - sum(_span(inner) for inner in _nested(node))


def _nested(node: ast.AST) -> Iterator[ast.AST]:
    """Functions right inside, not those inside them."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
        else:
            yield from _nested(child)


def _span(node: ast.AST) -> int:
    return getattr(node, "end_lineno", 0) - getattr(node, "lineno", 0) + 1
