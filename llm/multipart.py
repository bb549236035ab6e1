"""`multipart/form-data` bodies (RFC 7578), told by their content: models are asked in forms where files come along."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from llm import frames, loose
from llm.conversation import Part
from llm.exchange import Body

_START: Final = re.compile(rb"\s*--([^\r\n]{1,200})\r?\n(?:[A-Za-z-]+:[^\r\n]*\r?\n)*?content-disposition:\s*form-data",
                           re.IGNORECASE)
_PARAMETER: Final = re.compile(r';\s*(name|filename)="?((?<=")[^"]*|[^";\s]*)', re.IGNORECASE)
_GAP: Final = re.compile(rb"\r?\n\r?\n")
_LONGEST_FIELD: Final = 1 << 20
_HEADERS_WITHIN: Final = 4096


def unwrap(body: Body) -> frames.Payload:
    """A request's body: a form as the object of its fields, anything else as `frames.unwrap` says."""
    data = frames.decoded(body.data, body.content_encoding)
    return frames.Payload("json", fields(data)) if looks_like(data) else frames.unwrap(body)


def looks_like(data: bytes) -> bool:
    return data[:2] == b"--" and _START.match(data[:_HEADERS_WITHIN]) is not None


def fields(data: bytes) -> dict[str, Any]:
    """The form's fields: texts as they are, a repeated or `name[]` field as a list, files as what is said about them.

    A body with parts missing gives the fields that are left.
    """
    found: dict[str, Any] = {}
    if start := _START.match(data[:_HEADERS_WITHIN]):
        for piece in data.split(b"--" + start[1])[1:]:
            _take(piece, found)
    return found


def _take(piece: bytes, found: dict[str, Any]) -> None:
    gap = _GAP.search(piece)
    told = _headers(piece[: gap.start()]) if gap else {}
    parameters = dict(_PARAMETER.findall(told.get("content-disposition", "")))
    if gap is None or not (name := parameters.get("name")):
        return
    content = piece[gap.end() :]
    is_file = "filename" in parameters or ("content-type" in told and not told["content-type"].startswith(_TEXTS))
    value = _file(told, parameters, content) if is_file else _text(content)
    _put(found, name, value)


_TEXTS: Final = ("text/", "application/json")


def _headers(head: bytes) -> Mapping[str, str]:
    lines = (line.partition(":") for line in head.decode(errors="replace").splitlines())
    return {name.strip().lower(): value.strip() for name, _, value in lines}


def _text(content: bytes) -> str:
    return content[:_LONGEST_FIELD].removesuffix(b"\n").removesuffix(b"\r").decode(errors="replace")


def _file(told: Mapping[str, str], parameters: Mapping[str, str], content: bytes) -> dict[str, Any]:
    return {
        "filename": parameters.get("filename", ""),
        "content_type": told.get("content-type", ""),
        "bytes": len(content.removesuffix(b"\n").removesuffix(b"\r")),
    }


def _put(found: dict[str, Any], name: str, value: Any) -> None:
    is_list = name.endswith("[]")
    key = name.removesuffix("[]")
    if key in found:
        known = found[key]
        found[key] = [*(known if isinstance(known, list) else [known]), value]
    else:
        found[key] = [value] if is_list else value


def parts(value: Any) -> list[Part]:
    """Files of a form, for people: their names and kinds, for their bytes are not kept apart."""
    files = value if isinstance(value, list) else [value]
    return [
        Part("file", name=loose.text(file.get("filename")), media_type=loose.text(file.get("content_type")))
        for file in loose.mappings(files)
    ]
