"""Who rests, from the process that passes them over to the page that says so."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import timedelta

import orjson
import pytest
import redis
from django.conf import settings
from django.urls import reverse

from gateway_app import resting
from gateway_app.guard import Guard, Options
from gateway_app.health import REST, Health, Place
from gateway_app.redis_pipe import Pipe
from lib.clock import now
from tests.factories import browser
from tests.metrics_app import counted
from tests.requests_app.factories import make_row


def failing(*places: Place) -> Health:
    health = Health()
    for place in places:
        for _ in range(4):
            health.note(*place[:2], is_failure=True, said="HTTP 503")
    return health


def test_what_several_processes_say_is_one_line_that_says_how_many_and_only_its_own_organization_reads_it():
    first = failing(Place(7, "https://a"), Place(7, "https://b"), Place(8, "https://secret"))
    words = [resting.said(first), resting.said(failing(Place(7, "https://a"))), resting.said(Health())]
    known = resting.read(words, 7)
    assert known.edges == 3
    assert [(one.target, one.edges) for one in known.resting] == [("https://a", 2), ("https://b", 1)]
    assert [one.target for one in resting.read(words, 8).resting] == ["https://secret"]
    rest = known.resting[0]
    assert rest.since <= time.time() <= rest.until <= time.time() + REST


def test_the_longest_list_is_bounded():
    health = failing(*(Place(7, f"https://t{n}") for n in range(resting.MOST_TOLD + 5)))
    assert len(orjson.loads(resting.said(health))) == resting.MOST_TOLD


async def told(*healths: Health) -> None:
    """Until each process has said what it knows."""
    pipe = Pipe(settings.REDIS_URL, patience=5.0)
    guard = Guard(pipe, Options())
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.delete(resting.EDGES)
        telling = asyncio.gather(guard.run(), *(resting.tell(health, guard) for health in healths))
        while await asyncio.to_thread(client.zcard, resting.EDGES) < len(healths):
            await asyncio.sleep(0.01)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        pipe.close()


@pytest.mark.django_db
def test_the_page_says_who_rests_why_and_at_how_many_processes(cast):
    counted.count([make_row(one.pk, now() - timedelta(minutes=5)) for one in (cast.acme, cast.umbrella)])
    rests = failing(Place(cast.acme.pk, "https://api.openai.com"), Place(cast.umbrella.pk, "https://secret"))
    slow = Place(cast.acme.pk, "https://llm.acme.test", "big-model", is_stream=True)
    rests.ceiling = 5.0
    for _ in range(4):
        rests.late(slow, 5.0)
    asyncio.run(asyncio.wait_for(told(rests, Health()), 30))
    page = browser(cast.bob).get(reverse("providers")).content.decode()
    assert "100% of the latest calls failed; the last: HTTP 503" in page
    assert "100% of the latest answers were slow; the last: not begun after 5.0 s" in page
    assert "big-model" in page
    assert "1 of 2" in page
    assert "secret" not in page
    theirs = browser(cast.charlie).get(reverse("providers")).content.decode()
    assert "https://secret" in theirs
    assert "big-model" not in theirs


@pytest.mark.django_db
def test_the_page_says_that_nobody_rests_nobody_spoke_or_that_it_does_not_know(cast, settings):
    counted.count([make_row(cast.acme.pk, now() - timedelta(minutes=5))])
    asyncio.run(asyncio.wait_for(told(Health()), 30))
    assert "Nobody." in browser(cast.bob).get(reverse("providers")).content.decode()
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.delete(resting.EDGES)
    assert "has spoken lately" in browser(cast.bob).get(reverse("providers")).content.decode()
    settings.REDIS_URL = "redis://127.0.0.1:1"
    assert "Redis did not answer" in browser(cast.bob).get(reverse("providers")).content.decode()


def test_redis_away_is_nothing_to_the_gateway():
    async def work():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(resting.tell(failing(Place(7, "https://a")), Guard(None, Options())), 0.2)

    asyncio.run(work())
