"""What is typed in about screens and redaction."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError

from accounts_app.forms import INPUT
from lib.redact import KINDS, MOST_PATTERNS, BadPattern, safe_pattern

CODE = {**INPUT, "class": "input mono", "spellcheck": "false", "autocomplete": "off"}
LONGEST_TRIED = 20_000


class ScreensForm(forms.Form):
    screens_replies = forms.BooleanField(label="Screen replies too", required=False)
    blocks_when_failing = forms.BooleanField(label="Block when a screen fails", required=False)
    classifier_url = forms.CharField(
        label="Classifier", max_length=500, required=False,
        widget=forms.TextInput({**CODE, "placeholder": "https://classifier.example.com/screen"}),
    )  # fmt: skip
    classifier_token = forms.CharField(
        label="Its token", max_length=2000, required=False,
        widget=forms.PasswordInput({**INPUT, "autocomplete": "off"}),
    )  # fmt: skip
    model_provider = forms.ChoiceField(label="Guard model's provider", required=False, widget=forms.Select(INPUT))
    model_name = forms.CharField(
        label="Guard model", max_length=200, required=False,
        widget=forms.TextInput({**CODE, "placeholder": "meta-llama/llama-guard-4-12b"}),
    )  # fmt: skip

    def __init__(self, *args: Any, providers: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["model_provider"].choices = [("", "None"), *providers]  # type: ignore[attr-defined]

    def clean_classifier_url(self) -> str:
        url = str(self.cleaned_data["classifier_url"])
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username):
            raise ValidationError("An address such as https://classifier.example.com/screen.")
        return url

    def clean_classifier_token(self) -> str:
        token = str(self.cleaned_data["classifier_token"])
        if not token.isascii() or not token.isprintable():
            raise ValidationError("A token is printable ASCII: it stands in a header.")
        return token

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if bool(data.get("model_provider")) != bool(data.get("model_name")):
            self.add_error("model_name", "A guard model needs both its provider, with a stored key, and its name.")
        return data


class RedactionForm(forms.Form):
    """Kinds, and patterns one a line: `name = pattern`. `text` is only tried on."""

    kinds = forms.MultipleChoiceField(
        label="Take out", required=False, choices=[(kind.name, kind.words) for kind in KINDS],
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    patterns = forms.CharField(
        label="Patterns of your own", required=False, max_length=20_000,
        widget=forms.Textarea({**CODE, "rows": 4, "placeholder": r"employee = EMP-\d{4,6}"}),
    )  # fmt: skip
    text = forms.CharField(
        label="Try it on a text", required=False, max_length=LONGEST_TRIED, strip=False,
        widget=forms.Textarea({**INPUT, "rows": 3, "placeholder": "Write to bob@example.com, EMP-12345"}),
    )  # fmt: skip

    def clean_patterns(self) -> list[tuple[str, str]]:
        lines = [line.strip() for line in str(self.cleaned_data["patterns"]).splitlines() if line.strip()]
        if len(lines) > MOST_PATTERNS:
            raise ValidationError(f"At most {MOST_PATTERNS} patterns.")
        return [_pattern(line) for line in lines]


def _pattern(line: str) -> tuple[str, str]:
    name, equals, text = (part.strip() for part in line.partition("="))
    if not equals or not name.replace("_", "").isalnum() or len(name) > 40:
        raise ValidationError(f"“{line[:60]}”: write it as name = pattern; the name has letters, digits and _.")
    try:
        safe_pattern(text)
    except BadPattern as reason:
        raise ValidationError(f"{name}: {reason}") from None
    return name, text
