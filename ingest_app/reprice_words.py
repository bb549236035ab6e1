"""Repricing runs as the audit log names them."""

from __future__ import annotations

from accounts_app import audit
from ingest_app.models import Repricing

_ENDS = {Repricing.State.APPLIED: "repricing finished", Repricing.State.UNDONE: "repricing taken back"}


def words(run: Repricing) -> dict[str, str | int]:
    said: dict[str, str | int] = {
        "run": run.pk, "since": run.since.isoformat(timespec="minutes"),
        "until": run.until.isoformat(timespec="minutes"),
    }  # fmt: skip
    for key, names in (("models", run.model_names), ("providers", run.provider_names)):
        if names:
            said[key] = ", ".join(names)[:500]
    if run.only_unpriced:
        said["only"] = "without a cost"
    return {**said, "changed": run.changed} if run.changed else said


def ended(run_id: int) -> None:
    """The worker has come to the end of a run: the server's own word on it."""
    run = Repricing.objects.get(pk=run_id)
    if action := _ENDS.get(Repricing.State(run.state)):
        audit.record(run.organization_id, None, action, **words(run))
