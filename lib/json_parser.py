"""Bodies of API calls, as clients really send them."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from lib import loose_json


class AnyJSON(JSONParser):
    """JSON whatever its Content-Type says, as curl's `-d` says none of it. Raises ParseError."""

    media_type = "*/*"

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return loose_json.repaired(super().parse(*args, **kwargs))
        except RecursionError:
            raise ParseError("JSON parse error - it is nested too deeply") from None
