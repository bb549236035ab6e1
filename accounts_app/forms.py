"""What people type in, checked, with messages that say what to do."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import authenticate, password_validation
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from accounts_app.models import Role, User
from lib import zones

INPUT = {"class": "input"}
PERMISSIONS = (
    ("rw", "Read and write"),
    ("w", "Write only"),
    ("r", "Read only"),
)
THEMES = (("", "As the system says"), ("light", "Light"), ("dark", "Dark"))


def _text(**attributes: str) -> forms.TextInput:
    return forms.TextInput({**INPUT, **attributes})


def _password(complete: str) -> forms.PasswordInput:
    return forms.PasswordInput({**INPUT, "autocomplete": complete})


class EmailForm(forms.Form):
    email = forms.EmailField(
        label="E-mail",
        max_length=254,
        widget=forms.EmailInput({**INPUT, "autocomplete": "username"}),
    )

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).lower()


class LoginForm(EmailForm):
    password = forms.CharField(label="Password", strip=False, widget=_password("current-password"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].widget.attrs["autofocus"] = True

    def user(self, request: HttpRequest) -> User | None:
        """Whoever that e-mail and password belong to; else None and an error on the form."""
        data = self.cleaned_data
        found = authenticate(request, username=data["email"], password=data["password"])
        if not isinstance(found, User):
            self.add_error(None, "That e-mail and password do not go together.")
            return None
        return found


class NewPasswordForm(forms.Form):
    """A password, judged by the validators of the settings for `person`."""

    password = forms.CharField(label="Password", strip=False, widget=_password("new-password"))

    def __init__(self, *args: Any, person: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.person = person

    def clean_password(self) -> str:
        password = str(self.cleaned_data["password"])
        password_validation.validate_password(password, self.person)
        return password


class JoinForm(NewPasswordForm):
    name = forms.CharField(label="Your name", max_length=200, widget=_text(autocomplete="name"))
    field_order = ("name", "password")


class ChangePasswordForm(NewPasswordForm):
    current = forms.CharField(label="Current password", strip=False, widget=_password("current-password"))
    field_order = ("current", "password")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].label = "New password"

    def clean_current(self) -> str:
        current = str(self.cleaned_data["current"])
        if not self.person.check_password(current):
            raise ValidationError("That is not your current password.")
        return current


class ProfileForm(forms.Form):
    name = forms.CharField(label="Name", max_length=200, required=False, widget=_text(autocomplete="name"))
    time_zone = forms.ChoiceField(label="Time zone", required=False, widget=forms.Select(INPUT))
    theme = forms.ChoiceField(label="Theme", required=False, choices=THEMES, widget=forms.Select(INPUT))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["time_zone"]
        field.choices = [("", "As the browser says"), *((zone, zone) for zone in sorted(zones.known()))]  # type: ignore[attr-defined]


class ThemeForm(forms.Form):
    theme = forms.ChoiceField(required=False, choices=THEMES)


class OrganizationForm(forms.Form):
    name = forms.CharField(label="Name", max_length=200, widget=_text(autocomplete="organization"))


class OrganizationSettingsForm(OrganizationForm):
    asks_stream_usage = forms.BooleanField(label="Ask for the token counts of streams", required=False)


class RoleForm(forms.Form):
    role = forms.TypedChoiceField(
        label="Role", choices=Role.choices, coerce=Role, initial=Role.MEMBER, widget=forms.Select(INPUT)
    )


class InviteForm(EmailForm, RoleForm):
    field_order = ("email", "role")


class KeyForm(forms.Form):
    name = forms.CharField(label="Name", max_length=200, widget=_text(placeholder="production, my laptop, …"))
    permissions = forms.ChoiceField(label="Permissions", choices=PERMISSIONS, initial="rw", widget=forms.RadioSelect)
