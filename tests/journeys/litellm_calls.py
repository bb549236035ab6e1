"""Calls by the real litellm with its Helicone callback, as a program of its own: litellm leaves event loops behind.

Reads a JSON list of `litellm.completion`'s arguments from stdin, prints a JSON list of the replies. Where product and
key are stands in HELICONE_API_BASE and HELICONE_API_KEY.
"""

from __future__ import annotations

import json
import os
import sys

import anthropic


def main() -> None:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # its price map is the one it ships: no network
    import litellm

    # The callback needs two constants anthropic 2 no longer has; with those of version 1 it logs.
    vars(anthropic).update(HUMAN_PROMPT="\n\nHuman:", AI_PROMPT="\n\nAssistant:")
    litellm.success_callback = ["helicone"]
    replies = [litellm.completion(**arguments) for arguments in json.load(sys.stdin)]
    print(json.dumps([reply.model_dump() for reply in replies]))


if __name__ == "__main__":
    main()
