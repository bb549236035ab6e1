"""What operators see at /admin/: people and organisations. Keys are there to be looked at, not made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from accounts_app.models import ApiKey, AuditEntry, Membership, Organization, User

if TYPE_CHECKING:
    UserAdminBase = admin.ModelAdmin[User]
    OrganizationAdminBase = admin.ModelAdmin[Organization]
    ReadOnlyBase = admin.ModelAdmin[Any]
    MembershipInlineBase = admin.TabularInline[Membership, Organization]
else:
    UserAdminBase = OrganizationAdminBase = ReadOnlyBase = admin.ModelAdmin
    MembershipInlineBase = admin.TabularInline


class Memberships(MembershipInlineBase):
    model = Membership
    extra = 0
    autocomplete_fields = ("user",)


@admin.register(User)
class UserAdmin(UserAdminBase):
    list_display = ("email", "name", "is_active", "is_staff", "last_login", "created_at")
    search_fields = ("email", "name")
    fields = ("email", "name", "is_active", "is_staff", "is_superuser", "theme", "time_zone")


@admin.register(Organization)
class OrganizationAdmin(OrganizationAdminBase):
    list_display = ("id", "name", "created_at")
    search_fields = ("name",)
    inlines = (Memberships,)


class ReadOnly(ReadOnlyBase):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnly):
    list_display = ("name", "organization", "hint", "permissions", "created_by", "created_at", "revoked_at")
    list_filter = ("permissions",)
    search_fields = ("name", "organization__name")


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly):
    list_display = ("at", "organization", "user", "action", "detail")
    search_fields = ("action", "organization__name")
