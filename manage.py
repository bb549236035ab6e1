#!/usr/bin/env python
"""Django's command line; `manage.py up` starts the whole product.

What must be quick and small starts here without Django.
"""

import importlib
import os
import sys

from lib.env import BadSetting

LEAN = {"up": "helicone_site.up", "edge": "helicone_site.asgi", "web": "helicone_site.web"}


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "helicone_site.settings")
    if len(sys.argv) > 1 and sys.argv[1] in LEAN:
        module = importlib.import_module(LEAN[sys.argv[1]])
        sys.argv = [f"{sys.argv[0]} {sys.argv[1]}", *sys.argv[2:]]
        return int(module.main() or 0)
    importlib.import_module("django.core.management").execute_from_command_line(sys.argv)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BadSetting as error:
        sys.exit(str(error))
