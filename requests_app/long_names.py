"""Names too long to be counted by: their beginning and a digest of the whole, alike in Python and in SQL.

Keeps index entries within Postgres's bound. A filter that equals such a name finds the requests it stands for.
"""

from __future__ import annotations

import hashlib
import re

from requests_app import columns

LONGEST = 200
"""Characters of a name that counts keep whole."""
_DIGITS = 16
_KEPT = LONGEST - _DIGITS - 1
_SHORTENED = re.compile(rf".{{{_KEPT}}}…[0-9a-f]{{{_DIGITS}}}", re.DOTALL)


def counted_name(value: str) -> str:
    """A value as the counts name it: what the ground stores of it, and of a long one its beginning and a digest."""
    stored = columns.text(str(value), columns.LONGEST_TEXT) or ""
    if len(stored) <= LONGEST:
        return stored
    return f"{stored[:_KEPT]}…{hashlib.sha256(stored.encode()).hexdigest()[:_DIGITS]}"


def in_sql(sql: str) -> str:
    """The same of an expression, which stands in it four times."""
    digest = f"left(encode(sha256(convert_to({sql}, 'UTF8')), 'hex'), {_DIGITS})"
    return f"(CASE WHEN length({sql}) > {LONGEST} THEN left({sql}, {_KEPT}) || '…' || {digest} ELSE {sql} END)"


def is_shortened(value: str) -> bool:
    """Whether it may stand for a longer one."""
    return _SHORTENED.fullmatch(value) is not None
