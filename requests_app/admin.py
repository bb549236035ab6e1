"""What operators see and set at /admin/ about keeping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from accounts_app import audit
from accounts_app.admin import ReadOnly
from accounts_app.models import Organization
from requests_app import keeping
from requests_app.models import RetentionPolicy, RetentionRun, SessionPin
from requests_app.retention import Policy

if TYPE_CHECKING:
    PolicyAdminBase = admin.ModelAdmin[RetentionPolicy]
else:
    PolicyAdminBase = admin.ModelAdmin


@admin.register(RetentionPolicy)
class RetentionPolicyAdmin(PolicyAdminBase):
    list_display = ("organization_id", "body_days", "request_days", "count_days", "updated_at")
    search_fields = ("organization_id",)

    def save_model(self, request: HttpRequest, obj: RetentionPolicy, form: Any, change: bool) -> None:
        before = keeping.words(keeping.policy_of(obj.organization_id))
        super().save_model(request, obj, form, change)
        self._tell(request, obj, before, keeping.words(keeping.policy_of(obj.organization_id)))

    def delete_model(self, request: HttpRequest, obj: RetentionPolicy) -> None:
        before = keeping.words(keeping.policy_of(obj.organization_id))
        super().delete_model(request, obj)
        self._tell(request, obj, before, keeping.words(Policy()))

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for obj in queryset:
            self.delete_model(request, obj)

    def _tell(self, request: HttpRequest, obj: RetentionPolicy, before: str, after: str) -> None:
        if Organization.objects.filter(pk=obj.organization_id).exists() and request.user.is_authenticated:
            audit.record(obj.organization_id, request.user, "retention changed", before=before, after=after)


@admin.register(RetentionRun)
class RetentionRunAdmin(ReadOnly):
    list_display = ("finished_at", "organization_id", "what", "removed", "dropped", "before_at")
    list_filter = ("what",)


@admin.register(SessionPin)
class SessionPinAdmin(ReadOnly):
    list_display = ("organization_id", "session_id", "created_by_id", "created_at")
    search_fields = ("session_id",)
