"""The system page: all of the house for operators, their own part for owners, nothing for others."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from django.urls import reverse

from helicone_site import queries
from ingest_app.spool import Kind, Reader, Record, Writer
from lib import heartbeat
from lib.clock import now
from tests import factories
from tests.factories import browser
from tests.metrics_app.counted import count
from tests.requests_app.factories import make_request, make_row

pytestmark = pytest.mark.django_db
LINE = {
    "waits_for": "Postgres", "spool": {"ready": 12, "under_way": 3, "buried": 1}, "behind_seconds": 9.5,
    "items": {"parse": 4_000}, "seconds": {"parse": 0.2}, "drops": {"duplicate": 7},
}  # fmt: skip


@pytest.fixture
def house(settings, tmp_path):
    settings.HEALTH_DIR, settings.SPOOL_DIR = tmp_path / "health", tmp_path / "spool"
    heartbeat.write(settings.HEALTH_DIR, "line", is_ready=False, detail=LINE, pid=os.getpid())
    heartbeat.write(settings.HEALTH_DIR, "edge", is_ready=True, pid=os.getpid())
    writer = Writer(settings.SPOOL_DIR, max_bytes=2**30, min_free_bytes=0)
    writer.put(Record(Kind.WHOLE, None, b"{}")).result(5)
    reader = Reader(settings.SPOOL_DIR)
    reader.bury(reader.take(limit=1)[0], "unstorable: DataError: a customer's words")
    yield settings
    reader.close()
    writer.close()


def look(user):
    return browser(user).get(reverse("system"))


def test_an_operator_sees_processes_line_spool_and_sizes(house, cast, monkeypatch):
    monkeypatch.setattr(queries, "LARGEST_TABLES", 1_000)  # hardly a row is here: any table may be among the largest
    make_request(cast.umbrella.pk, now())
    operator = factories.person("root@example.org", is_staff=True)
    factories.membership(cast.acme, operator)
    answer = look(operator)
    text = answer.content.decode()
    assert {beat.process for beat, _ in answer.context["beats"]} == {"edge", "line"} and not answer.context["is_well"]
    assert "waits for Postgres" in text and "50 µs" in text and "duplicate" in text
    [buried] = answer.context["buried"]
    assert buried.reason == "unstorable: DataError" and "a customer" not in text
    assert {"llm_request", "llm_request_body"} <= {table.name for table in answer.context["tables"]}
    assert answer.context["weeks"] and answer.context["all_unfolded"].deltas == 0


def test_an_owner_sees_their_own_part_only(house, cast):
    make_request(cast.acme.pk, now(), request={})
    make_request(cast.umbrella.pk, now())
    answer = look(cast.alice)
    assert (answer.context["requests"], answer.context["bodies"]) == (1, 1)
    assert not {"tables", "weeks", "buried", "all_unfolded"} & set(answer.context.keys())
    assert "Largest tables" not in answer.content.decode()


def test_others_do_not_see_it(house, cast):
    assert look(cast.bob).status_code == 403
    assert browser(cast.bob).get(reverse("settings")).content.count(b"/system") == 0
    assert browser(cast.alice).get(reverse("settings")).content.count(b"/system") == 1


def test_a_house_nobody_has_spoken_in_is_told_as_that(settings, tmp_path, cast):
    settings.HEALTH_DIR = settings.SPOOL_DIR = tmp_path
    assert "nobody has spoken" in look(cast.alice).content.decode()


def test_the_fold_lags_by_how_long_the_oldest_count_waits_not_by_how_old_its_request_is(house, cast):
    count([make_row(cast.acme.pk, now() - timedelta(days=6))])
    found = look(cast.alice).context["unfolded"]
    assert found.deltas == 2
    assert now() - found.waiting_since < timedelta(minutes=5)
