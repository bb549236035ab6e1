"""Rules, budgets and bounds as forms; what they ask for is checked in `actions`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms

from accounts_app.models import ApiKey
from alerts_app import actions
from alerts_app.actions import BudgetAsked, RuleAsked
from alerts_app.budgets import NANO, Period
from alerts_app.models import Budget, RateLimitRule, SessionGuard
from alerts_app.rules import RULE_KINDS
from alerts_app.segments import KINDS, Segment
from requests_app.price_rules import BadRule

INPUT = {"class": "input", "autocomplete": "off"}
BY = {
    "organization": "everybody together", "key": "API key", "user": "user", "property": "property",
    "session": "session", "model": "model",
}  # fmt: skip
UNITS = (("request", "requests"), ("cents", "US cents"))
SPANS = (("day", "a day"), ("week", "a week, from Monday"), ("month", "a month"), ("rolling", "a rolling window"))


def _text(**attributes: Any) -> forms.TextInput:
    return forms.TextInput({**INPUT, **attributes})


class _Checked(forms.Form):
    """Says all that `actions` would refuse, part by part: who made three mistakes is told of three."""

    @property
    def checks(self) -> tuple[Callable[[], object], ...]:
        """Each raises BadRule, or KeyError for a field that is refused already."""
        raise NotImplementedError

    def clean(self) -> None:
        for check in self.checks:
            try:
                check()
            except BadRule as error:
                self.refuse(error)
            except KeyError:
                continue

    def refuse(self, error: BadRule) -> None:
        """The sentence beside the field it is about."""
        self.add_error(error.field if error.field in self.fields else None, str(error))


class _Counting(_Checked):
    """By whom something is counted."""

    name = forms.CharField(max_length=actions.LONGEST_NAME, widget=_text())
    by = forms.ChoiceField(label="Counts", choices=tuple(BY.items()), widget=forms.Select(INPUT))
    property_name = forms.CharField(label="Property", required=False, widget=_text(placeholder="plan"))
    value = forms.CharField(label="Only this one", required=False, widget=_text(placeholder="each on its own"))

    @property
    def segment(self) -> Segment:
        said = self.cleaned_data
        return Segment(said["by"], said["property_name"], said["value"])


class RuleForm(_Counting):
    quota = forms.FloatField(label="At most", widget=_text(inputmode="decimal", placeholder="1000"))
    unit = forms.ChoiceField(choices=UNITS, widget=forms.Select(INPUT))
    window_seconds = forms.IntegerField(label="In any so many seconds", widget=_text(inputmode="numeric"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["by"]
        field.choices = [choice for choice in BY.items() if choice[0] in RULE_KINDS]

    @property
    def checks(self) -> tuple[Callable[[], object], ...]:
        said = self.cleaned_data
        return (
            lambda: actions.check_quota(said["quota"]), lambda: actions.check_window(said["window_seconds"]),
            lambda: actions.checked_segment(self.segment, RULE_KINDS),
        )  # fmt: skip

    @property
    def asked(self) -> RuleAsked:
        said = self.cleaned_data
        return RuleAsked(said["name"], said["quota"], said["window_seconds"], said["unit"], self.segment)


class BudgetForm(_Counting):
    limit_usd = forms.CharField(label="Limit, USD", widget=_text(inputmode="decimal", placeholder="100"))
    span = forms.ChoiceField(label="In", choices=SPANS, widget=forms.Select(INPUT))
    hours = forms.IntegerField(label="Hours of a rolling window", required=False, widget=_text(inputmode="numeric"))
    time_zone = forms.CharField(label="Time zone", required=False, widget=_text(placeholder="UTC"))
    warn_percents = forms.CharField(label="Warn at, %", required=False, widget=_text(placeholder="50, 80, 95"))
    is_hard = forms.BooleanField(label="Refuse calls beyond the limit", required=False)

    @property
    def checks(self) -> tuple[Callable[[], object], ...]:
        said = self.cleaned_data
        return (
            lambda: actions.check_limit(actions.nano_usd(said["limit_usd"])),
            lambda: actions.checked_period(self.period), lambda: actions.checked_segment(self.segment, KINDS),
            lambda: actions.checked_percents(_percents(said["warn_percents"])),
        )  # fmt: skip

    @property
    def period(self) -> Period:
        said = self.cleaned_data
        return Period(said["span"], said["hours"] or 0, said["time_zone"] or "UTC")

    @property
    def asked(self) -> BudgetAsked:
        said = self.cleaned_data
        return BudgetAsked(
            said["name"], actions.nano_usd(said["limit_usd"]), self.period, self.segment,
            _percents(said["warn_percents"]), said["is_hard"],
        )  # fmt: skip


def _percents(text: str) -> list[int]:
    parts = [part.strip(" %") for part in text.replace(";", ",").split(",") if part.strip(" %")]
    if any(not part.isdecimal() or len(part) > 4 for part in parts):
        raise BadRule("warn_percents", "Write whole percentages with commas between: 50, 80, 95.")
    return [int(part) for part in parts]


class SessionForm(_Checked):
    max_cost_usd = forms.CharField(label="Cost, USD", required=False, widget=_text(inputmode="decimal"))
    max_calls = forms.IntegerField(label="Calls", required=False, widget=_text(inputmode="numeric"))
    max_depth = forms.IntegerField(label="Depth of its path", required=False, widget=_text(inputmode="numeric"))
    max_repeats = forms.IntegerField(label="Same tool call", required=False, widget=_text(inputmode="numeric"))

    @property
    def checks(self) -> tuple[Callable[[], object], ...]:
        return tuple(partial(self._check, name) for name in self.fields)

    def _check(self, name: str) -> None:
        actions.check_bound(*self._bound(name))

    def _bound(self, name: str) -> tuple[str, int | None]:
        said = self.cleaned_data[name]
        if name != "max_cost_usd":
            return name, said
        return "max_cost_nano_usd", actions.nano_usd(said) if said else None

    @property
    def bounds(self) -> dict[str, int | None]:
        return dict(map(self._bound, self.fields))

    def refuse(self, error: BadRule) -> None:
        place = "max_cost_usd" if error.field in ("max_cost_nano_usd", "limit_usd") else error.field
        self.add_error(place if place in self.fields else None, str(error))


# --- what a form shows ------------------------------------------------------------------------------------------------


def of_rule(row: RateLimitRule) -> dict[str, Any]:
    names = ("name", "quota", "unit", "window_seconds", "by", "property_name", "value")
    return {**{name: getattr(row, name) for name in names}, "quota": f"{row.quota:.15g}"}


def of_budget(row: Budget) -> dict[str, Any]:
    names = ("name", "span", "by", "property_name", "value", "is_hard", "time_zone")
    return {
        **{name: getattr(row, name) for name in names}, "limit_usd": dollars(row.limit_nano_usd),
        "hours": row.hours or None, "warn_percents": ", ".join(map(str, row.warn_percents)),
    }  # fmt: skip


def of_guard(row: SessionGuard | None) -> dict[str, Any]:
    if row is None:
        return {}
    names = ("max_calls", "max_depth", "max_repeats")
    cost = "" if row.max_cost_nano_usd is None else dollars(row.max_cost_nano_usd)
    return {**{name: getattr(row, name) for name in names}, "max_cost_usd": cost}


def dollars(nano_usd: int) -> str:
    """12.5, as one types it."""
    text = f"{nano_usd // NANO}.{nano_usd % NANO:09d}".rstrip("0")
    return text.removesuffix(".")


def key_names(organization_id: int) -> dict[str, str]:
    """Names of API keys by their id as text, revoked ones too."""
    rows = ApiKey.objects.filter(organization_id=organization_id).values_list("id", "name", "hint")
    return {str(pk): f"{name} (…{hint})" for pk, name, hint in rows}
