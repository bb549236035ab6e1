"""The schedule of the periodic tasks, with its memory of when each ran last.

Celery's own keeps a shelf, which a kill may leave unreadable for good, and then no task runs any more. This one is a
JSON file replaced whole; without a memory, or with one that cannot be read, every task waits for its next turn.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from celery import beat

from lib import files


class KeptSchedule(beat.Scheduler):
    """`app.conf.beat_schedule`, remembered in the file `app.conf.beat_schedule_filename`."""

    def setup_schedule(self) -> None:
        super().setup_schedule()
        for name, moment in _read(self._path).items():
            if name in self.schedule:
                self.schedule[name].last_run_at = moment

    def sync(self) -> None:
        """Called by beat every few minutes and at its end."""
        ran = {name: entry.last_run_at.isoformat() for name, entry in self.schedule.items() if entry.last_run_at}
        files.replace(self._path, json.dumps(ran))

    def close(self) -> None:
        self.sync()

    @property
    def _path(self) -> Path:
        return Path(self.app.conf.beat_schedule_filename)


def _read(path: Path) -> dict[str, datetime]:
    try:
        return {name: datetime.fromisoformat(text) for name, text in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
