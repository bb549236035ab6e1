"""A stored route as a form: its name, its models, a line a target."""

from __future__ import annotations

from typing import Any

from django import forms
from django.forms import formset_factory

from gateway_app import routing
from gateway_app.models import GatewayRoute
from gateway_app.routing import MOST_TARGETS, BadRoute, Route, Target
from ingest_app.directives import MAX_ATTEMPTS

LONGEST = 200
EMPTY_LINES = 3
"""Lines for more targets than there are."""


def _text(**attributes: Any) -> forms.TextInput:
    return forms.TextInput({"class": "input", "autocomplete": "off", "spellcheck": "false", **attributes})


class RouteForm(forms.Form):
    name = forms.CharField(max_length=LONGEST, widget=_text(placeholder="main"))
    pattern = forms.CharField(
        label="Models", required=False, max_length=LONGEST,
        widget=_text(placeholder="gpt-4o*", **{"class": "input mono"}),
    )  # fmt: skip


class TargetForm(forms.Form):
    provider = forms.CharField(
        required=False, max_length=LONGEST, widget=_text(list="providers", placeholder="its own")
    )
    model = forms.CharField(
        required=False, max_length=LONGEST, widget=_text(placeholder="as asked", **{"class": "input mono"})
    )
    codes = forms.CharField(
        label="Go on after", required=False, max_length=LONGEST, widget=_text(placeholder="429, 500-599")
    )
    calls = forms.IntegerField(
        label="Calls", required=False, min_value=1, max_value=MAX_ATTEMPTS,
        widget=forms.NumberInput({"class": "input", "placeholder": "1", "min": 1, "max": MAX_ATTEMPTS}),
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.widget.attrs["aria-label"] = field.label or name.title()

    def target(self) -> Target | None:
        """None for a line left empty. Raises BadRoute."""
        said = self.cleaned_data
        if not any(said.values()):
            return None
        codes = routing.read_codes(said["codes"])
        return Target(said["provider"].strip().lower(), said["model"].strip(), codes, said["calls"] or 1)


Targets = formset_factory(TargetForm, extra=EMPTY_LINES, max_num=MOST_TARGETS, absolute_max=MOST_TARGETS)


def initial(row: GatewayRoute) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The form's, and its lines'."""
    lines = [{**target, "codes": routing.codes_text(target.get("codes") or ())} for target in row.targets]
    return {"name": row.name, "pattern": row.pattern}, lines


def read(form: RouteForm, targets: Any) -> Route | None:
    """What was typed; None where some of it cannot be read, and the forms say what."""
    if not (form.is_valid() and targets.is_valid()):
        return None
    found = []
    for line in targets:
        try:
            found.append(line.target())
        except BadRoute as error:
            line.add_error(error.field, str(error))
    if any(line.errors for line in targets):
        return None
    said = form.cleaned_data
    return Route(said["name"].strip(), said["pattern"].strip(), tuple(one for one in found if one is not None))


def refuse(form: RouteForm, targets: Any, error: BadRoute) -> None:
    """The sentence beside the field it is about; of a target's above the form."""
    form.add_error(error.field if error.field in form.fields else None, str(error))
