"""Posting formats: one module each, found by being there (`ingest_app.posting.Envelope` says what it must have)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import cast

from ingest_app.posting import Envelope


def _all() -> tuple[Envelope, ...]:
    names = sorted(module.name for module in iter_modules(__path__))
    return tuple(cast(Envelope, import_module(f"{__name__}.{name}")) for name in names)


ENVELOPES = _all()
BY_PATH: Mapping[str, Envelope] = {path: envelope for envelope in ENVELOPES for path in envelope.PATHS}
