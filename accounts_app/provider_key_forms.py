"""What is typed in about stored provider keys."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError

from accounts_app import service_account
from accounts_app.forms import INPUT
from accounts_app.service_account import BadAccount
from llm.providers import EXTRAS, all_providers, by_slug

LONGEST_SECRET = 8000
"""Characters. The file of a Google service account is the longest of its kind."""
NOBODY_IN_PARTICULAR = "custom"
"""A stored key needs an address it is for."""
LABELS = {
    "base_url": "Address", "api_version": "API version", "access_key_id": "Access key id", "region": "Region",
    "project": "Project",
}  # fmt: skip


class ProviderKeyForm(forms.Form):
    """A provider's key and what else it needs. The secret is never put back into the form."""

    provider = forms.ChoiceField(label="Provider", widget=forms.Select(INPUT))
    secret = forms.CharField(
        label="Key", max_length=LONGEST_SECRET,
        widget=forms.PasswordInput({**INPUT, "autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        named = [(one.slug, one.name) for one in all_providers() if one.slug != NOBODY_IN_PARTICULAR]
        choices = [("", "Choose one"), *sorted(named, key=lambda pair: pair[1].lower())]
        self.fields["provider"].choices = choices  # type: ignore[attr-defined]
        for name in EXTRAS:
            box = forms.TextInput(INPUT)
            self.fields[name] = forms.CharField(label=LABELS[name], max_length=500, required=False, widget=box)

    @property
    def extras_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in EXTRAS]

    def clean_secret(self) -> str:
        secret = str(self.cleaned_data["secret"])
        if service_account.is_one(secret):
            return _account(secret, self.cleaned_data.get("provider", ""))
        if not secret.isascii() or any(char.isspace() or not char.isprintable() for char in secret):
            raise ValidationError("A key is printable ASCII without spaces: it stands in a header.")
        return secret

    def clean_base_url(self) -> str:
        url = str(self.cleaned_data["base_url"]).rstrip("/")
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username):
            raise ValidationError("An address such as https://my-resource.openai.azure.com.")
        return url

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        provider = by_slug(data.get("provider", ""))
        if provider is None:
            return data
        if "base_url" in provider.stored_extras and not data.get("base_url"):
            self.add_error("base_url", f"{provider.name} has no address of its own: say which is yours.")
        for name in EXTRAS:
            if data.get(name) and name not in provider.stored_extras:
                self.add_error(name, f"{provider.name} needs none.")
        return data

    def extras(self) -> dict[str, str]:
        return {name: value for name in EXTRAS if (value := self.cleaned_data[name])}


def _account(secret: str, provider: str) -> str:
    """A service account's file as it is kept. Raises ValidationError."""
    if provider != service_account.PROVIDER:
        raise ValidationError("The JSON of a service account is a key of Google Vertex AI only.")
    try:
        account = service_account.read(secret)
        account.signer()
    except BadAccount as error:
        raise ValidationError(str(error)) from None
    return account.text()


class ProxyKeyForm(forms.Form):
    name = forms.CharField(label="Name", max_length=200, widget=forms.TextInput(INPUT))


class LendingForm(forms.Form):
    to = forms.ChoiceField(choices=(("all", "Every API key"), ("chosen", "Chosen API keys")))
    keys = forms.TypedMultipleChoiceField(coerce=int, required=False)

    def __init__(self, *args: Any, key_ids: list[int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["keys"].choices = [(key_id, key_id) for key_id in key_ids]  # type: ignore[attr-defined]
