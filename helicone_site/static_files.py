"""Static files under names that carry their hash, cached for ever, once `collectstatic` has run.

Before that (tests, a bare `runserver`) the same pages work with plain names, served from where the files lie.
"""

from __future__ import annotations

from django.contrib.staticfiles.storage import StaticFilesStorage
from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedWhereCollected(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    manifest_strict = False

    def url(self, name: str, force: bool = False) -> str:
        if self.hashed_files:
            return str(super().url(name, force))
        return str(StaticFilesStorage.url(self, name))
