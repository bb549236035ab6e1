from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from accounts_app import entrance, provider_key_views, safety_views, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("get-started", views.get_started, name="get-started"),
    path("login", entrance.login, name="login"),
    path("logout", entrance.logout, name="logout"),
    path("password/forgot", entrance.forgot_password, name="forgot-password"),
    path("password/set/<str:uid>/<str:token>", entrance.set_password, name="set-password"),
    path("invitations/<str:token>", entrance.invitation, name="invitation"),
    path("organizations", entrance.organizations, name="organizations"),
    path("organizations/switch", entrance.switch_organization, name="switch-organization"),
    path("settings", views.settings, name="settings"),
    path("settings/keys", views.api_keys, name="api-keys"),
    path("settings/keys/<int:key_id>/revoke", views.revoke_key, name="revoke-key"),
    path("settings/provider-keys", provider_key_views.provider_keys, name="provider-keys"),
    path("settings/provider-keys/lending", provider_key_views.lending, name="lending"),
    path("settings/provider-keys/<int:key_id>/remove", provider_key_views.remove, name="remove-provider-key"),
    path("settings/provider-keys/<int:key_id>/proxy", provider_key_views.proxy, name="proxy-key"),
    path("settings/safety", safety_views.safety, name="safety"),
    path("settings/safety/redaction", safety_views.redaction, name="redaction"),
    path("settings/members", views.members, name="members"),
    path("settings/members/<int:membership_id>/role", views.change_role, name="change-role"),
    path("settings/members/<int:membership_id>/remove", views.remove_member, name="remove-member"),
    path("settings/invitations/<int:invitation_id>/withdraw", views.withdraw_invitation, name="withdraw-invitation"),
    path("settings/profile", views.profile, name="profile"),
    path("settings/profile/password", views.change_password, name="change-password"),
    path("settings/profile/theme", views.theme, name="theme"),
    path("settings/audit", views.audit_log, name="audit"),
]
