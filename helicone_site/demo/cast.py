"""Who is calling, with what, and when: models and their pace, people, the hours of the day."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    provider: str
    tokens_per_second: int
    first_token_ms: int


MODELS = {
    model.name: model
    for model in (
        Model("gpt-4o-mini", "openai", 95, 380),
        Model("gpt-4.1-mini", "openai", 85, 420),
        Model("gpt-4.1", "openai", 60, 610),
        Model("gpt-5-mini", "openai", 75, 1400),
        Model("gpt-5.1", "openai", 55, 2200),
        Model("text-embedding-3-small", "openai", 5000, 120),
        Model("claude-haiku-4-5", "anthropic", 110, 450),
        Model("claude-sonnet-4-5", "anthropic", 62, 980),
        Model("claude-opus-4-8", "anthropic", 45, 1600),
        Model("llama-3.3-70b-versatile", "api.groq.com", 260, 190),
        Model("mistral-small-latest", "api.mistral.ai", 90, 330),
    )
}


@dataclass(frozen=True, slots=True)
class Person:
    id: str
    name: str
    plan: str
    country: str


_NAMES = (
    "Amara Okafor", "Ben Castell", "Chiara Lund", "Dmitri Vale", "Elif Aksoy", "Femi Brandt", "Greta Solis",
    "Hugo Marchetti", "Ines Duarte", "Jonas Weil", "Keiko Tan", "Liam Farrow", "Mara Whitlock", "Nadia Petrov",
    "Oskar Lindqvist", "Priya Raman", "Quinn Avery", "Rosa Delgado", "Sven Holm", "Tariq Nasser", "Una Brennan",
    "Viktor Hale", "Wanda Kross", "Yusuf Demir", "Zoe Laurent",
)  # fmt: skip
_PLANS = ("free", "free", "free", "pro", "pro", "enterprise")
_COUNTRIES = ("DE", "US", "FR", "GB", "NL", "PT", "SE")

CUSTOMERS = tuple(
    Person(
        id=f"cust_{1000 + 37 * number}",
        name=_NAMES[number % len(_NAMES)],
        plan=_PLANS[number * 7 % len(_PLANS)],
        country=_COUNTRIES[number * 5 % len(_COUNTRIES)],
    )
    for number in range(60)
)
DEVELOPERS = ("mara", "jonas", "priya", "oskar", "elif", "quinn")
ANALYSTS = ("n.petrov", "r.delgado", "t.nasser", "w.kross", "i.duarte", "h.marchetti", "s.holm", "z.laurent")

OFFICE_HOURS = (1, 1, 1, 1, 1, 2, 4, 8, 14, 20, 22, 21, 17, 19, 22, 23, 21, 17, 12, 9, 7, 5, 3, 2)
"""Share of a day's calls in each hour, UTC: a European company with some customers overseas."""
WEEKEND = 0.35


def count(day: date, usual: int, dice: random.Random) -> int:
    """How often something happens on a day, where it happens `usual` times on a weekday."""
    share = WEEKEND if day.weekday() >= 5 else 1.0
    return max(1, round(usual * share * dice.uniform(0.75, 1.25)))


def moment(day: date, dice: random.Random) -> datetime:
    """Some time of the day, busy hours likelier."""
    [hour] = dice.choices(range(24), weights=OFFICE_HOURS)
    return datetime.combine(day, time(hour), UTC) + timedelta(seconds=dice.uniform(0, 3600))


def is_outage(at: datetime) -> bool:
    """Every ninth day OpenAI has a bad half hour in the afternoon."""
    return at.toordinal() % 9 == 4 and at.hour == 14 and at.minute < 30


def has_runaway(day: date) -> bool:
    """One day in thirty an agent loops all evening and nobody looks."""
    return day.toordinal() % 30 == 17
