from django.apps import AppConfig


class GatewayConfig(AppConfig):
    name = "gateway_app"
    default_auto_field = "django.db.models.BigAutoField"
