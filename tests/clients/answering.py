"""The loop of a client's process: a line of JSON in says what to call, a line of JSON out what came of it.

Runs in the client's own virtual environment: standard library only.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

URL, KEY = os.environ.get("PRODUCT_URL", ""), os.environ.get("PRODUCT_KEY", "")
PROVIDER_URL = os.environ.get("FAKE_PROVIDER_URL", "")
"""The made-up provider itself, for clients that call it directly and report to us beside it."""
_ANSWERS, sys.stdout = sys.stdout, sys.stderr
"""From here on what anybody prints goes to stderr: SDKs greet their users."""


def serve(*calls: Callable[..., object]) -> None:
    """Until the input ends. What a call raises is answered as `error`."""
    by_name = {call.__name__: call for call in calls}
    for line in sys.stdin:
        asked = json.loads(line)
        _ANSWERS.write(json.dumps(_answer(by_name[asked["call"]], asked["arguments"])) + "\n")
        _ANSWERS.flush()


def _answer(call: Callable[..., object], arguments: dict[str, Any]) -> dict[str, object]:
    try:
        return {"result": call(**arguments)}
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}
