"""Addresses as posters tell them: kept without what must not be kept."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from ingest_app import directives


def where(value: Any) -> tuple[str, str]:
    """(URL, host) of what was told; empty for `custom-model-nopath`, `N/A` and other placeholders."""
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        return "", ""
    return _without_secrets(value[: directives.MAX_URL])


@lru_cache(maxsize=1024)
def _without_secrets(url: str) -> tuple[str, str]:
    """(URL without credentials, host). The same few come again and again."""
    try:
        parts = urlsplit(url.replace("\x00", ""))
        host = parts.hostname or ""
    except ValueError:
        return "", ""
    told = parse_qsl(parts.query, keep_blank_values=True)
    query = [(k, v) for k, v in told if k.lower() not in directives.CREDENTIAL_PARAMETERS]
    netloc = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=netloc, query=urlencode(query), fragment="").geturl(), host
