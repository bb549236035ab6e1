"""Events to a client's PostHog: ordered at the door with a sealed key, written with the row, sent once, then gone."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection

from accounts_app.provider_key_actions import keyring
from gateway_app import events
from ingest_app import directives, forwarding, late, store_events
from ingest_app.models import PendingEvent
from lib.clock import now, uuid7
from llm.exchange import Exchange
from requests_app.rows import Change
from tests.gateway_app.stage import AUTH, json_answer, recording, run, staged
from tests.requests_app import factories

KEY = "phc_of_a_client_and_nobody_else"


@contextmanager
def house(status: int = 200):
    """A PostHog: (its address, what it got)."""
    got = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((self.path, json.loads(body)))
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def told(monkeypatch):
    """Late facts the task sent."""
    found = []
    monkeypatch.setattr(late, "send", lambda record: found.append(json.loads(record.facts)))
    return found


@pytest.fixture(autouse=True)
def emptied(request):
    yield
    if request.node.get_closest_marker("django_db"):
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE llm_request, llm_request_body, request_alias, pending_event")


def waiting(row, host: str, **fields) -> PendingEvent:
    sealed = keyring().seal(KEY, forwarding.context_of(row.organization_id, row.id))
    given = {"sealed": sealed, "due_at": now(), **fields}
    return PendingEvent.objects.create(organization_id=row.organization_id, request_id=row.id, host=host, **given)


@pytest.mark.django_db(transaction=True)
def test_an_event_tells_of_the_row_is_sent_once_and_then_gone(cast, settings, told):
    settings.GATEWAY_PRIVATE_TARGETS = "allow"
    row = factories.make_request(cast.acme.pk, now(), end_user_id="u-7", properties={"plan": "pro"})
    with house() as (host, got):
        waiting(row, host)
        assert (events.send_due(), events.send_due()) == (1, 0)
    ((path, event),) = got
    assert path == "/capture/"
    assert (event["api_key"], event["event"]) == (KEY, "helicone_request_response")
    assert (event["distinct_id"], event["uuid"]) == ("u-7", str(row.id))
    said = event["properties"]
    assert (said["model"], said["customProperties"]) == (row.model, {"plan": "pro"})
    assert said["completetionTokens"] == row.output_tokens
    assert said["heliconeBackLink"].endswith(f"/requests/{row.id}")
    assert not PendingEvent.objects.exists()
    assert [(fact["request_id"], fact["properties"]) for fact in told] == [
        (str(row.id), {"Helicone-Sent-To-Posthog": "true"})
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("setting", ["deny", "allow"])
def test_one_that_fails_waits_longer_each_time_and_is_given_up_in_the_end(cast, settings, told, caplog, setting):
    settings.GATEWAY_PRIVATE_TARGETS = setting
    row = factories.make_request(cast.acme.pk, now())
    with house(503) as (host, got):
        event = waiting(row, host)
        assert events.send_due() == 0
        event.refresh_from_db()
        assert event.tries == 1
        assert event.due_at > now() + timedelta(seconds=30)
        PendingEvent.objects.update(tries=events.TRIES - 1, due_at=now())
        events.send_due()
    assert len(got) == (2 if setting == "allow" else 0)
    assert not PendingEvent.objects.exists()
    assert "event_dropped" in caplog.text
    assert KEY not in caplog.text
    assert told == []


@pytest.mark.django_db(transaction=True)
def test_a_key_sealed_for_another_request_is_not_used(cast, settings, told):
    settings.GATEWAY_PRIVATE_TARGETS = "allow"
    first, second = (factories.make_request(cast.acme.pk, now()) for _ in range(2))
    sealed = keyring().seal(KEY, forwarding.context_of(cast.acme.pk, first.id))
    with house() as (host, got):
        waiting(second, host, sealed=sealed)
        assert events.send_due() == 0
    assert got == []
    assert not PendingEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_line_writes_it_with_a_new_row_and_once(cast):
    row = factories.make_request(cast.acme.pk, now())
    asked = directives.read({"helicone-posthog-key": KEY})
    forward = forwarding.order(asked, keyring(), cast.acme.pk, row.id)
    exchange = Exchange(row.id, cast.acme.pk, row.requested_at, "gateway", "openai", 200, forward=forward)
    connection.ensure_connection()
    for changes in ([Change(row, row)], [Change(None, row)], [Change(None, row)]):
        store_events.keep(connection.connection, [exchange], changes)
    kept = PendingEvent.objects.get()
    assert (kept.host, kept.request_id) == (forwarding.POSTHOG_HOST, row.id)
    assert keyring().open(kept.sealed, forwarding.context_of(cast.acme.pk, row.id)) == KEY


def test_the_key_goes_nowhere_in_clear(tmp_path):
    seen = []

    async def work():
        async with staged(tmp_path, recording(seen, json_answer())) as stage:
            stage.gateway.keyring = keyring()
            headers = {**AUTH, "helicone-posthog-key": KEY, "helicone-posthog-host": "https://eu.i.posthog.com"}
            assert (await stage.ask(headers=headers))[0] == 200
            (exchange,) = await stage.exchanges()
            assert exchange.forward.host == "https://eu.i.posthog.com"
            assert KEY not in repr(exchange)
            context = forwarding.context_of(7, exchange.id)
            assert keyring().open(exchange.forward.sealed, context) == KEY

    run(work())
    assert KEY not in str(seen)
    kept = b"".join(file.read_bytes() for file in (tmp_path / "spool").rglob("*") if file.is_file())
    assert KEY.encode() not in kept


def test_nothing_is_ordered_unasked():
    assert forwarding.order(directives.read({}), keyring(), 1, uuid7(now())) is None
