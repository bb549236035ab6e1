"""What the documents say is there; what is there, the documents say."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from ingest_app import directives
from tests.house import source

_READERS = frozenset({"text", "integer", "boolean", "names", "seconds", "number"})


def headings(name: str) -> list[str]:
    """Headings of a document below its title, backticks taken off."""
    path = source.ROOT / "docs" / name
    assert path.is_file(), f"docs/{name} is missing"
    return [
        line.lstrip("# ").replace("`", "").strip() for line in path.read_text().splitlines() if line.startswith("##")
    ]


def _settings_read(path: Path) -> set[str]:
    """Names of the environment variables a file reads as settings, by `lib.env` or `os.environ`."""
    found = set()
    for node in ast.walk(source.tree(path)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
            continue
        by = ast.unparse(node.func.value)
        is_reader = (by == "env" and node.func.attr in _READERS) or (by == "os.environ" and node.func.attr == "get")
        if is_reader and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
            found.add(node.args[0].value)
    return found


NOT_OURS = {"PATH", "HOME", "PGOPTIONS", "NOTIFY_SOCKET", "DJANGO_SETTINGS_MODULE", "XDG_RUNTIME_DIR", "TMPDIR", "LANG"}


def test_every_setting_has_a_heading():
    read = {
        name
        for path in [*source.product(), Path("up")]
        if (source.ROOT / path).exists()
        for name in _settings_read(path)
    }
    documented = set(headings("settings.md"))
    assert sorted(read - NOT_OURS - documented) == []


def test_every_heading_is_a_setting_somebody_reads():
    words = "\n".join(source.text(path) for path in [*source.python(), *(p for p in source.files() if p.name == "run")])
    named = [heading for heading in headings("settings.md") if re.fullmatch(r"[A-Z0-9_]+", heading)]
    assert [name for name in named if name not in words] == []


def test_every_directive_has_a_heading():
    named = {entry.header for entry in directives.ENTRIES} | {directives.PROPERTY_HEADER}
    documented = {re.sub(r"[<\[{].*", "", heading) for heading in headings("headers.md")}
    assert sorted(name for name in named if name not in documented) == []


def urls(patterns: list[URLPattern | URLResolver] | None = None, prefix: str = "") -> list[str]:
    """Every route Django answers, parameters as `{name}`."""
    found = []
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern.pattern))
        found += urls(pattern.url_patterns, route) if isinstance(pattern, URLResolver) else [route]
    return found


def test_every_api_url_is_documented():
    documented = (source.ROOT / "docs" / "api.md").read_text()
    spelled = {re.sub(r"\{\w+\}", "{}", path) for path in re.findall(r"(/v1/[\w/{}.-]+)", documented)}
    served = {"/" + route for route in urls() if route.startswith("v1/")}
    assert sorted(route for route in served if re.sub(r"\{\w+\}", "{}", route) not in spelled) == []


def _paths(document: str) -> set[str]:
    """Paths a document names in backticks: with a slash or a known ending, no placeholders, no URLs."""
    quoted = re.findall(r"`([\w./{},*-]+)`", document)
    return {
        path.rstrip("/")
        for path in quoted
        if not path.startswith(("/", ".data", "-")) and re.search(r"\.(py|toml|md|html|js|css|txt|lock)$|/$", path)
    }


def test_every_path_in_the_architecture_exists():
    document = source.text(Path("ARCHITECTURE.md"))
    names = {str(path) for path in source.files()} | {str(p) for f in source.files() for p in f.parents}
    missing = [
        path for path in _paths(document) if not any(name == path or name.endswith("/" + path) for name in names)
    ]
    plain = [path for path in missing if not re.search(r"[*{<]", path)]
    assert sorted(plain) == []


def test_nothing_names_the_place_it_was_written_at():
    here = re.compile(r"/" r"work/(main|shared)|\bshared" r"/(design|spec|corpus)|/tmp" r"/(dev|brief)")
    allowed = {Path("helicone_site/settings.py")}  # CORPUS_DIR's default
    named = [str(path) for path in source.files() if path not in allowed and here.search(_readable(path))]
    assert named == []


def _readable(path: Path) -> str:
    data = (source.ROOT / path).read_bytes()
    return "" if b"\0" in data[:4096] else data.decode("utf-8", "replace")


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"])
def test_the_documents_a_newcomer_looks_for_are_there(name):
    assert (source.ROOT / name).stat().st_size > 200
