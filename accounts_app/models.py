"""Who may speak (keys) and who may look (members of an organisation, by role)."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models.functions import Lower


class UserManager(BaseUserManager["User"]):
    """Django asks for this class by shape; e-mail is the name one logs in with."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A member of ours: somebody who looks. The people an application serves are `end_user_id`s."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200, blank=True)
    is_staff = models.BooleanField(default=False, help_text="may open the operator's admin")
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    theme = models.CharField(max_length=8, default="", blank=True, help_text="light, dark, or as the system says")
    time_zone = models.CharField(max_length=64, default="", blank=True, help_text="IANA name, or as the browser says")

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        db_table = "member"
        constraints = (models.UniqueConstraint(Lower("email"), name="member_email_once"),)


class Organization(models.Model):
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    asks_stream_usage = models.BooleanField(
        default=False, db_default=False,
        help_text="streamed chats ask their provider for token counts where the client says nothing of it",
    )  # fmt: skip
    lends_to_chosen = models.BooleanField(
        default=False, db_default=False,
        help_text="stored provider keys are used by the API keys chosen for it, not by every one",
    )  # fmt: skip

    class Meta:
        db_table = "organization"

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class Membership(models.Model):
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=8, choices=Role.choices, default=Role.MEMBER)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "membership"
        constraints = (models.UniqueConstraint("organization", "user", name="membership_once"),)


class Invitation(models.Model):
    """A link that lets its holder join. Only the token's hash is kept."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=8, choices=Role.choices, default=Role.MEMBER)
    token_hash = models.CharField(max_length=64, unique=True)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "invitation"


class ProviderKey(models.Model):
    """The organisation's own credential of a provider, closed (accounts_app/secrets.py). Never shown again."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="provider_keys")
    provider = models.CharField(max_length=64, help_text="slug")
    sealed = models.TextField(help_text="the envelope")
    hint = models.CharField(max_length=16, help_text="last characters, to recognise it by")
    extras = models.JSONField(default=dict, help_text="what else the provider needs: base URL, region, project")
    created_by = models.ForeignKey(User, models.SET_NULL, null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "provider_key"
        constraints = (models.UniqueConstraint("organization", "provider", name="provider_key_once"),)


class Safety(models.Model):
    """What an organisation wants looked for in what passes, and taken out before anything is kept."""

    organization = models.OneToOneField(Organization, models.CASCADE, primary_key=True, related_name="safety")
    screens_replies = models.BooleanField(default=False, help_text="replies are screened as requests are")
    blocks_when_failing = models.BooleanField(default=False, help_text="a screen that fails blocks the call")
    classifier_url = models.CharField(max_length=500, blank=True, default="")
    classifier_sealed = models.TextField(blank=True, default="", help_text="envelope of its bearer token")
    model_provider = models.CharField(max_length=64, blank=True, default="", help_text="slug of a stored key")
    model_name = models.CharField(max_length=200, blank=True, default="")
    redacted_kinds = models.JSONField(default=list, help_text="names of lib/redact.py")
    redacted_patterns = models.JSONField(default=list, help_text="[name, pattern] each")

    class Meta:
        db_table = "organization_safety"


class ApiKey(models.Model):
    """A key a client speaks with; shown once, kept as the SHA-256 hex of `Bearer <key>`, as Helicone does."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=200)
    key_hash = models.CharField(max_length=64, unique=True)
    hint = models.CharField(max_length=16, help_text="last characters, to recognise it by")
    permissions = models.CharField(max_length=2, default="rw", help_text="r, w or rw")
    may_borrow = models.BooleanField(
        default=False, db_default=False, help_text="chosen to use stored provider keys (Organization.lends_to_chosen)"
    )
    provider_key = models.ForeignKey(
        ProviderKey, models.SET_NULL, null=True, related_name="proxy_keys",
        help_text="of a proxy key: the provider key it stands for",
    )  # fmt: skip
    created_by = models.ForeignKey(User, models.SET_NULL, null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "api_key"


class AuditEntry(models.Model):
    """Who changed what, when. Written with the change, never edited."""

    organization = models.ForeignKey(Organization, models.CASCADE)
    user = models.ForeignKey(User, models.SET_NULL, null=True)
    at = models.DateTimeField(auto_now_add=True)
    action = models.CharField(max_length=64)
    detail = models.JSONField(default=dict)

    class Meta:
        db_table = "audit_entry"
        indexes = (models.Index(fields=["organization", "-at"], name="audit_entry_newest"),)
