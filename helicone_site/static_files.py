"""Static files under names that carry their hash, cached for ever, once `collectstatic` has run.

Before that (tests, a bare `runserver`) the same pages work with plain names, served from where the files lie. Plotly's
script is served out of the installed package, as `plotly/plotly.min.js`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.core.files.storage import FileSystemStorage
from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedWhereCollected(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    manifest_strict = False

    def url(self, name: str, force: bool = False) -> str:
        if self.hashed_files:
            return str(super().url(name, force))
        return str(StaticFilesStorage.url(self, name))


class ChartScript(BaseFinder):
    """One file of the plotly package; the package is found but never imported."""

    FOLDER, NAME = "plotly", "plotly.min.js"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        spec = find_spec("plotly")
        assert spec and spec.submodule_search_locations, "the package plotly is not installed"
        self.storage = FileSystemStorage(Path(spec.submodule_search_locations[0]) / "package_data")
        self.storage.prefix = self.FOLDER  # type: ignore[attr-defined]

    def check(self, **kwargs: Any) -> list[Any]:
        return []

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        found = [self.storage.path(self.NAME)] if path == f"{self.FOLDER}/{self.NAME}" else []
        return found if find_all else next(iter(found), None)

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, FileSystemStorage]]:
        yield self.NAME, self.storage
