"""A small house for the supervisor to run: `python -m tests.faults.fake_house FOLDER PLAN`.

PLAN is JSON: {"stages": [[{"name": …, "does": one of SCRIPTS, …}]], "watchdog": bool}.
Each child writes FOLDER/<name>.pid once it is ready; what it does last it appends to FOLDER/order.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from helicone_site import supervise
from lib.processes import Program

SCRIPTS = {
    "lives": """
        trap 'echo "$NAME" >> order; exit 0' TERM
        echo "start $NAME" >> order; echo "I am $NAME"; echo $$ > "$NAME.tmp"; mv "$NAME.tmp" "$NAME.pid"
        while :; do sleep 0.05; done""",
    "ignores": """
        trap '' TERM
        echo $$ > "$NAME.pid"
        while :; do sleep 0.05; done""",
    "fails": "echo 'the reason'; exit 3",
    "ends": 'echo $$ > "$NAME.pid"; echo "ran $NAME" >> order',
    "forks": """
        sleep 1000 & echo $! > grandchild.pid
        echo $$ > "$NAME.pid"
        while :; do sleep 0.05; done""",
}


def main() -> int:
    folder, plan = Path(sys.argv[1]), json.loads(sys.argv[2])
    stages = [[_child(folder, **described) for described in stage] for stage in plan["stages"]]
    supervisor = supervise.Supervisor(
        stages, on_ready=lambda: (folder / "ready").touch(), with_watchdog=plan["watchdog"]
    )
    return supervisor.run()


def _child(folder: Path, *, name: str, does: str = "lives", grace: float = 10.0, must_start: int | None = None,
           runs_once: bool = False, may_end: bool = False) -> supervise.Child:  # fmt: skip
    path = folder / f"{name}.pid"
    return supervise.Child(
        name,
        Program(("/bin/sh", "-c", SCRIPTS[does]), {**os.environ, "NAME": name}, folder=folder),
        is_ready=lambda pid: path.exists() and path.read_text() == f"{pid}\n",
        stop_signal=signal.SIGTERM,
        grace_seconds=grace,
        must_start=must_start,
        runs_once=runs_once,
        may_end=may_end,
    )


if __name__ == "__main__":
    sys.exit(main())
