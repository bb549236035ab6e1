"""Events on their way to a client's PostHog, made of stored rows. Run by Celery; never in a call's way.

Each is tried TRIES times over about two hours, at an address checked like any target a client names. Sent, its request
gets the property `Helicone-Sent-To-Posthog`. PostHog drops a second one of the same uuid.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from django.conf import settings
from django.db import transaction

from accounts_app.provider_key_actions import keyring
from accounts_app.secrets import CannotOpen
from gateway_app import asking, upstream
from gateway_app.errors import GatewayError
from gateway_app.targets import Guard, Target, read_target
from gateway_app.upstream import Pool
from ingest_app import late, records
from ingest_app.forwarding import context_of
from ingest_app.models import PendingEvent
from ingest_app.records import Amendment
from lib.clock import now
from lib.frozen import dataclass
from llm.providers import by_slug
from requests_app import bodies, queries
from requests_app.rows import RequestRow

log = logging.getLogger("gateway_app")

EVENT: Final = "helicone_request_response"
PROPERTY: Final = "Helicone-Sent-To-Posthog"
BATCH: Final = 50
SECONDS: Final = 10.0
LEASE: Final = timedelta(minutes=5)
"""Somebody who has taken an event and died gives it back after this."""
TRIES: Final = 8
LONGEST_WAIT: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Sending:
    event: PendingEvent
    body: bytes = field(repr=False)


def send_due() -> int:
    """Sends what is due; answers how many were sent."""
    made = [sending for event in _taken() if (sending := _made(event)) is not None]
    if not made:
        return 0
    outcomes = asyncio.run(_send_all(made))
    for sending, reason in zip(made, outcomes, strict=True):
        if reason:
            _again(sending.event, reason)
        else:
            _done(sending.event)
    return outcomes.count("")


def _taken() -> list[PendingEvent]:
    """Due events, nobody else's for a while."""
    with transaction.atomic():
        due = PendingEvent.objects.select_for_update(skip_locked=True).filter(due_at__lte=now()).order_by("due_at")
        taken = list(due[:BATCH])
        PendingEvent.objects.filter(pk__in=[event.pk for event in taken]).update(due_at=now() + LEASE)
    return taken


def _made(event: PendingEvent) -> Sending | None:
    """The event as it is sent; None, and gone, where it never can be."""
    row = queries.one(event.organization_id, str(event.request_id))
    try:
        key = keyring().open(event.sealed, context_of(event.organization_id, event.request_id))
    except CannotOpen as reason:
        _dropped(event, str(reason))
        return None
    if row is None:
        _dropped(event, "its request was erased")
        return None
    return Sending(event, orjson.dumps({
        "api_key": key, "event": EVENT, "uuid": str(row.id), "distinct_id": row.end_user_id or str(row.id),
        "timestamp": row.requested_at.isoformat(), "properties": _properties(row),
    }))


def _properties(row: RequestRow) -> dict[str, Any]:
    """As Helicone names them, its misspelling included; what is not known is null."""
    provider, request = by_slug(row.provider), _request(row)
    cost, tokens = row.cost_nano_usd, (row.input_tokens, row.output_tokens)
    return {
        "model": row.model, "temperature": request.get("temperature"), "n": request.get("n"),
        "promptId": row.prompt_id, "timeToFirstToken": row.time_to_first_token_ms,
        "cost": None if cost is None else cost / 1e9, "provider": provider.helicone if provider else row.provider,
        "path": row.target_url, "completetionTokens": row.output_tokens, "completionTokens": row.output_tokens,
        "promptTokens": row.input_tokens, "totalTokens": None if None in tokens else sum(filter(None, tokens)),
        "userId": row.end_user_id, "countryCode": row.country_code, "requestBodySize": row.request_bytes,
        "responseBodySize": row.response_bytes, "delayMs": row.duration_ms, "status": row.status,
        "sessionId": row.session_id, "heliconeBackLink": f"{settings.PUBLIC_URL}/requests/{row.id}",
        "customProperties": dict(row.properties),
    }  # fmt: skip


def _request(row: RequestRow) -> dict[str, Any]:
    try:
        found = bodies.json_of(bodies.read(queries.body(row)).request)
    except bodies.BodyUnreadable:
        return {}
    return found if isinstance(found, dict) else {}


async def _send_all(made: Sequence[Sending]) -> list[str]:
    """For each why it failed, empty where it did not."""
    guard = Guard.read(settings.GATEWAY_PRIVATE_TARGETS)
    async with upstream.running(guard, silence_seconds=SECONDS) as pool:
        return list(await asyncio.gather(*(_send(pool, sending) for sending in made)))


async def _send(pool: Pool, sending: Sending) -> str:
    try:
        target: Target = read_target(sending.event.host, is_guarded=True, keeps_path=True)
        reply = await asking.fetch(
            pool, target, "/capture/", body=sending.body, headers=asking.JSON, seconds=SECONDS
        )
    except GatewayError as error:
        return error.message
    return "" if 200 <= reply.status < 300 else f"it answered with status {reply.status}"


def _done(event: PendingEvent) -> None:
    fact = Amendment(event.organization_id, event.request_id, now(), properties={PROPERTY: "true"})
    late.send(records.amendment(fact))
    event.delete()


def _again(event: PendingEvent, reason: str) -> None:
    event.tries += 1
    if event.tries >= TRIES:
        _dropped(event, reason)
        return
    event.due_at = _next(event.tries)
    event.save(update_fields=["tries", "due_at"])
    log.info("event_failed request=%s tries=%d reason=%s", event.request_id, event.tries, reason)


def _next(tries: int) -> datetime:
    return now() + min(LONGEST_WAIT, timedelta(seconds=30 * 2**tries))


def _dropped(event: PendingEvent, reason: str) -> None:
    log.warning("event_dropped request=%s host=%s reason=%s", event.request_id, event.host, reason)
    event.delete()
