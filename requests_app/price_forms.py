"""A price as a form: what is said often has a field of its own, tiers and variants are JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from django import forms

from llm.units import UNITS, Unit
from requests_app import price_rules
from requests_app.models import ModelPrice
from requests_app.price_rules import COMMON, MATCHES, BadRule, Rule

INPUT = {"class": "input"}
JSON_MATCH = "json"
CHOICES = (*MATCHES.items(), (JSON_MATCH, "several patterns, as JSON"))


def _text(**attributes: Any) -> forms.TextInput:
    return forms.TextInput({**INPUT, "autocomplete": "off", **attributes})


def _day() -> forms.DateInput:
    return forms.DateInput({**INPUT, "type": "date"}, format="%Y-%m-%d")


class PriceForm(forms.Form):
    """Becomes a `Rule`; a field a unit, named by its key."""

    name = forms.CharField(max_length=price_rules.LONGEST_NAME, widget=_text())
    provider = forms.CharField(
        required=False, max_length=price_rules.LONGEST_NAME, widget=_text(list="providers", placeholder="any")
    )
    match = forms.ChoiceField(label="Model", choices=CHOICES, widget=forms.Select(INPUT))
    pattern = forms.CharField(
        label="Model name or pattern", max_length=4 * price_rules.LONGEST_PATTERN,
        widget=_text(placeholder="llama-3.3-70b", **{"class": "input mono"}),
    )  # fmt: skip
    starts_on = forms.DateField(label="From", required=False, widget=_day())
    ends_on = forms.DateField(label="Until, that day left out", required=False, widget=_day())
    extra = forms.CharField(
        label="Tiers, hours and variants, as JSON", required=False,
        widget=forms.Textarea({"class": "input mono", "rows": 4, "spellcheck": "false"}),
    )  # fmt: skip
    everybody = forms.BooleanField(label="For every organization on this server", required=False)

    def __init__(self, *args: Any, may_set_everybodys: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for key, unit in UNITS.items():
            self.fields[key] = forms.CharField(
                label=unit.label, required=False, max_length=40, widget=_text(inputmode="decimal", placeholder="–")
            )
        if not may_set_everybodys:
            del self.fields["everybody"]

    @property
    def common(self) -> list[tuple[forms.BoundField, Unit]]:
        return [(self[key], UNITS[key]) for key in COMMON]

    @property
    def rare(self) -> list[tuple[forms.BoundField, Unit]]:
        return [(self[key], unit) for key, unit in UNITS.items() if key not in COMMON]

    @property
    def has_rare(self) -> bool:
        """Whether any of the rarer fields says something."""
        return bool(self["extra"].value()) or any(field.value() or field.errors for field, _ in self.rare)

    def rule(self, organization_id: int, *, before: ModelPrice | None = None) -> Rule | None:
        """None where something typed cannot be read: the form then says what."""
        if not self.is_valid():
            return None
        said = self.cleaned_data
        try:
            asked = price_rules.checked(Rule(
                None if said.get("everybody") else organization_id, said["name"], said["provider"],
                self._match(), self._prices(),
                _moment(said["starts_on"], before.starts_at if before else None),
                _moment(said["ends_on"], before.ends_at if before else None),
            ))  # fmt: skip
        except BadRule as error:
            self.refuse(error)
            return None
        return asked

    def refuse(self, error: BadRule) -> None:
        """The sentence beside the field it is about."""
        place = {"match": "pattern", "ends_at": "ends_on"}.get(error.field, error.field)
        self.add_error(place if place in self.fields else None, str(error))

    def _match(self) -> dict[str, Any]:
        kind, pattern = self.cleaned_data["match"], self.cleaned_data["pattern"]
        if kind != JSON_MATCH:
            return {kind: pattern}
        found = _json(pattern, "match")
        return found

    def _prices(self) -> dict[str, Any]:
        said = self.cleaned_data
        simple = {key: said[key].strip().removeprefix("$") for key in UNITS if said[key].strip()}
        return {**simple, **_json(said["extra"], "extra")}


def _json(text: str, place: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}", parse_float=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise BadRule(place, f"This is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise BadRule(place, 'This must be a JSON object: {"…": …}.')
    return found


def _moment(day: date | None, before: datetime | None) -> datetime | None:
    """Midnight UTC; the very moment of before where the day is the same."""
    if day is None or (before is not None and before.astimezone(UTC).date() == day):
        return before if day else None
    return datetime.combine(day, time(), UTC)


def initial(row: ModelPrice) -> dict[str, Any]:
    """A row as the form shows it."""
    ((kind, value),) = row.match.items()
    is_plain = kind in MATCHES
    simple = {key: price for key, price in row.prices.items() if not isinstance(price, Mapping | list)}
    extra = {key: price for key, price in row.prices.items() if key not in simple}
    return {
        "name": row.model_key, "provider": row.provider, "match": kind if is_plain else JSON_MATCH,
        "pattern": value if is_plain else json.dumps(row.match),
        "starts_on": row.starts_at.astimezone(UTC).date() if row.starts_at else None,
        "ends_on": row.ends_at.astimezone(UTC).date() if row.ends_at else None,
        "extra": json.dumps(extra, indent=2) if extra else "", "everybody": row.organization_id is None, **simple,
    }  # fmt: skip
