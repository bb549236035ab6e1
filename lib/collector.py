"""The garbage collector, as processes that serve for long have it."""

from __future__ import annotations

import gc


def spare() -> None:
    """What was imported stays for ever, and requests and batches make no circles: no need to look for them after every
    few hundred objects. Called once a process has started."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
