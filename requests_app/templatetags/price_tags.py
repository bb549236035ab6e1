"""Prices as people read them: `{% for part in row.prices|price_parts %}`, `{{ row.match|match_words }}`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import template

from llm.units import UNITS
from requests_app import price_rules

register = template.Library()


@dataclass(frozen=True, slots=True)
class Part:
    label: str
    text: str
    title: str


@register.filter
def price_parts(told: Mapping[str, Any]) -> list[Part]:
    """Each unit's price; tiers, hours and variants in the title or at the end."""
    found = [_part(key, value) for key, value in told.items() if key in UNITS]
    if hours := told.get("hours"):
        when = "; ".join(f"{one.get('start')} – {one.get('end')}" for one in hours)
        found.append(Part("Hours", f"{len(hours)}", when))
    if variants := told.get("variants"):
        when = "; ".join(", ".join(f"{k} {v}" for k, v in one.get("when", {}).items()) for one in variants)
        found.append(Part("Variants", f"{len(variants)}", when))
    return found


def _part(key: str, value: Any) -> Part:
    unit = UNITS[key]
    if not isinstance(value, Mapping):
        return Part(unit.label, f"${value}", f"{value} USD per {unit.per_words}")
    tiers = ", ".join(f"${tier['price']} above {tier['start']:,} input tokens" for tier in value.get("tiers", ()))
    return Part(unit.label, f"${value['base']}+", f"{value['base']} USD per {unit.per_words}; {tiers}")


@register.filter
def match_words(match: Mapping[str, Any]) -> str:
    try:
        return price_rules.match_words(match)
    except (KeyError, ValueError, TypeError):
        return str(match)
