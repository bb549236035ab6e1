"""Live traffic: sessions of the stories, several at a time, through the gateway to the fake provider."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import orjson

from helicone_site.demo import cast, send, stories
from helicone_site.demo.door import Door
from helicone_site.demo.step import Step
from lib import clock

AT_A_TIME = 3
USUAL_PAUSE_SECONDS = 1.0
CHUNK_DELAY_MS = 20
FAULTS = (429, 500, 503)
FAULT_SHARE = 0.025
FAQ_SHARE = 0.3
FAQ = (
    "What is your return policy?", "Where is my parcel?", "How do I reset my password?", "Do you ship to Norway?",
    "Can I change my address after ordering?", "Which backpack fits under an airline seat?",
)
"""Asked word for word again and again: the gateway's cache answers them."""
_GATEWAY = {"openai": "/v1/gateway/oai", "anthropic": "/v1/gateway/anthropic"}


def run(url: str, key: str, *, stop: threading.Event, pause: float = USUAL_PAUSE_SECONDS) -> int:
    """Calls until `stop` is set; how many there were. Lets the product be away for a while."""
    dice = random.Random()  # noqa: S311 - nothing here is secret
    sessions = [_session(dice) for _ in range(AT_A_TIME)]
    made = 0
    with Door(url, stop) as door:
        while not stop.wait(dice.expovariate(1 / pause)):
            place = dice.randrange(AT_A_TIME)
            if (step := next(sessions[place], None)) is None:
                sessions[place] = _session(dice)
            else:
                made += 1
                _play(step, door, key, dice)
            if dice.random() < FAQ_SHARE:
                _ask_again(door, key, dice)
    return made


def _session(dice: random.Random) -> Iterator[Step]:
    """A scene of some day as it would happen now: new ids, no failures but those the provider makes."""
    day = clock.now().date() - timedelta(days=dice.randrange(1, 300))
    scenes = [scene for app in (stories.support, stories.coding, stories.search) for scene in app.scenes(day)]
    scene = dice.choice([scene for scene in scenes if not scene.key.endswith("runaway")])
    session_id = f"live-{uuid4()}"
    for step in scene.steps:
        if step.failure is None and step.provider in {*_GATEWAY, "custom"}:
            yield replace(step, id=uuid4(), meta={**step.meta, "Helicone-Session-Id": session_id})


def _play(step: Step, door: Door, key: str, dice: random.Random) -> None:
    if step.provider == "custom":
        send.post(replace(step, at=clock.now() - timedelta(milliseconds=step.duration_ms)), door, key)
        return
    headers = {
        **step.meta,
        "Helicone-Auth": f"Bearer {key}",
        "Content-Type": "application/json",
        "x-fake-chunk-delay-ms": str(CHUNK_DELAY_MS),
        "x-fake-delay-ms": str(round(dice.lognormvariate(5.5, 0.5))),
        **_credentials(step),
    }
    if dice.random() < FAULT_SHARE:
        headers["x-fake-status"] = str(dice.choice(FAULTS))
    door.try_post(_GATEWAY[step.provider] + step.path, orjson.dumps(step.request), headers)


def _ask_again(door: Door, key: str, dice: random.Random) -> None:
    asked = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": dice.choice(FAQ)}]}
    customer = dice.choice(cast.CUSTOMERS)
    headers = {
        "Helicone-Auth": f"Bearer {key}", "Authorization": "Bearer sk-demo", "Content-Type": "application/json",
        "Helicone-Cache-Enabled": "true", "Cache-Control": "max-age=3600", "Helicone-User-Id": customer.id,
        "Helicone-Property-App": "faq", "x-fake-delay-ms": str(round(dice.lognormvariate(5.5, 0.5))),
    }  # fmt: skip
    door.try_post("/v1/gateway/oai/v1/chat/completions", orjson.dumps(asked), headers)


def _credentials(step: Step) -> dict[str, str]:
    if step.provider == "anthropic":
        return {"x-api-key": "sk-ant-demo", "anthropic-version": "2023-06-01"}
    return {"Authorization": "Bearer sk-demo"}
