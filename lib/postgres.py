"""Connection strings from the one place the database is described: Django's DATABASES, or its like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg.conninfo import make_conninfo


def conninfo(database: Mapping[str, Any], *, application: str) -> str:
    """libpq's string for a DATABASES entry; `application` is how the server names us."""
    named = {
        "dbname": database["NAME"], "user": database.get("USER"), "password": database.get("PASSWORD"),
        "host": database.get("HOST"), "port": database.get("PORT"),
    }  # fmt: skip
    given = {key: str(value) for key, value in named.items() if value}
    return make_conninfo("", application_name=application, **{**given, **database.get("OPTIONS", {})})
