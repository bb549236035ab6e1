"""The nightly classifier: at two in the morning it sorts the day's tickets, one call each, and counts them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time

from helicone_site.demo.provider.reply import Json
from helicone_site.demo.scene import Said, Scene
from helicone_site.demo.step import Failure

TICKETS = (
    ("Paket seit zehn Tagen unterwegs, niemand antwortet mir.", "delivery", "high", "de"),
    ("Lovely lantern, thank you for the quick help!", "praise", "low", "en"),
    ("The strap tore after two weeks, I want a replacement.", "damage", "normal", "en"),
    ("Charged twice for the same order, please fix this today.", "payment", "high", "en"),
    ("Je voudrais changer mon adresse de livraison.", "address", "normal", "fr"),
    ("Do you ship to the Azores?", "question", "low", "en"),
    ("Rechnung fehlt noch, Buchhaltung fragt schon nach.", "invoice", "normal", "de"),
    ("Third time I write about this refund. I will dispute the charge.", "refund", "high", "en"),
    ("Can I use the poles on a via ferrata?", "question", "low", "en"),
    ("Il fornello non si accende più.", "damage", "normal", "it"),
    ("Unsubscribe me from all mails.", "account", "normal", "en"),
    ("Size chart says M, bag is clearly an S.", "return", "normal", "en"),
)
SYSTEM = "Classify the ticket. Answer with JSON only: category, urgency (low, normal, high), language."
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["category", "urgency", "language"],
    "properties": {
        "category": {"type": "string"},
        "urgency": {"enum": ["low", "normal", "high"]},
        "language": {"type": "string"},
    },
}
USUAL_TICKETS = 26
TOO_LONG = Failure(
    400, "This model's maximum context length is 128000 tokens. However, your messages resulted in 131,842."
)


def scenes(day: date) -> Iterator[Scene]:
    """One run a night, a single long session."""
    dice = random.Random(f"nightly:{day}")  # noqa: S311 - nothing here is secret
    scene = Scene(
        key=f"nightly:{day}", at=datetime.combine(day, time(2, 0, 4), UTC), user="batch", name="Nightly classification",
        properties={"App": "ticket-classifier", "Environment": "production", "Batch": day.isoformat()},
    )  # fmt: skip
    sorted_in = sum(_ticket(scene, number, dice) for number in range(round(USUAL_TICKETS * dice.uniform(0.7, 1.2))))
    scene.event(
        "/report",
        {"_type": "data", "name": "classification_report", "meta": {"date": day.isoformat()}},
        {"_type": "data", "name": "classification_report", "status": "success", "data": {"classified": sorted_in}},
        ms=25,
    )
    yield scene


def _ticket(scene: Scene, number: int, dice: random.Random) -> bool:
    """Whether the ticket could be classified."""
    text, category, urgency, language = dice.choice(TICKETS)
    path, request = f"/tickets/{number + 1:02}", _request(text)
    if dice.random() < 0.02:
        scene.ask(path, request, TOO_LONG)
        return False
    if dice.random() < 0.04:
        scene.ask(path, request, Failure(429, "Rate limit reached for tokens per minute. Please try again in 840ms."))
        scene.pause(1)
    scene.ask(path, request, Said(json.dumps({"category": category, "urgency": urgency, "language": language})))
    return True


def _request(text: str) -> Json:
    return {
        "model": "gpt-4o-mini",
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}],
        "temperature": 0,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "ticket", "schema": SCHEMA, "strict": True},
        },
    }
