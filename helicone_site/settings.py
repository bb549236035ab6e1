"""Every setting, with its unit and its reason; docs/settings.md says the same for operators.

Imports no Django, so that `edge` may read it too.
"""

from __future__ import annotations

import contextlib
import secrets
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from accounts_app.secrets import Keyring, new_key
from gateway_app.targets import Guard
from helicone_site import places
from lib import env, files

BASE_DIR = places.BASE_DIR

# --- where we are -----------------------------------------------------------------------------------------------

HOST = env.text("HOST", "127.0.0.1")
PORT = env.integer("PORT", 8585, minimum=1)
PUBLIC_URL = (env.text("PUBLIC_URL") or f"http://{'localhost' if HOST in {'127.0.0.1', '0.0.0.0', '::'} else HOST}:{PORT}").rstrip("/")  # noqa: E501, S104
DEBUG = env.boolean("DEBUG", False)
ALLOWED_HOSTS = env.names("ALLOWED_HOSTS", "*")
"""The gateway answers on any host name (Helicone's clients may be pointed at it by DNS), so pages do too."""


def _secret_key() -> str:
    """SECRET_KEY, or one made once and kept in DATA_DIR."""
    if given := env.text("SECRET_KEY"):
        return given
    path = places.DATA_DIR / "secret-key"
    with contextlib.suppress(FileExistsError):
        if not path.exists():
            places.DATA_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
            files.write_once(path, secrets.token_urlsafe(50))
    return path.read_text().strip()


SECRET_KEY = _secret_key()


def _secrets_keys() -> list[str]:
    """SECRETS_KEY, or one made once and kept in DATA_DIR."""
    if given := env.names("SECRETS_KEY"):
        return given
    path = places.DATA_DIR / "secrets-key"
    with contextlib.suppress(FileExistsError):
        if not path.exists():
            places.DATA_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
            files.write_once(path, new_key())
    return path.read_text().replace(",", " ").split()


SECRETS_KEYS = _secrets_keys()
"""Stored provider keys are encrypted with the first; the others still open what they encrypted."""
try:
    Keyring(SECRETS_KEYS)
except ValueError as error:
    raise env.BadSetting(f"SECRETS_KEY: {error}") from None

HEALTH_DIR = places.RUN_DIR / "health"
"""Where each process says how it is."""

# --- Postgres and Redis -------------------------------------------------------------------------------------------

DATABASE_URL = env.text("DATABASE_URL")
REDIS_URL = env.text("REDIS_URL") or f"unix://{places.VALKEY_SOCKET}"
READER_TIMEOUT_MS = env.integer("READER_TIMEOUT_MS", 15_000, minimum=1)
"""Longest statement of a page or API call; a long snapshot bloats hot tables."""


def _database(url: str) -> dict[str, Any]:
    if not url:
        return {"NAME": "helicone", "USER": "helicone", "HOST": str(places.POSTGRES_SOCKETS), "PORT": "5432"}
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise env.BadSetting(f"DATABASE_URL must start with postgres://, not {parts.scheme}://")
    options = dict(parse_qsl(parts.query))
    host = options.pop("host", None) or unquote(parts.hostname or "")
    return {
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(options.pop("port", None) or parts.port or ""),
        "OPTIONS": options,
    }


DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True,
                         **_database(DATABASE_URL)}}

# --- the line -------------------------------------------------------------------------------------------------------

SPOOL_DIR = places.SPOOL_DIR
SPOOL_MAX_BYTES = env.integer("SPOOL_MAX_BYTES", 20 * 2**30, minimum=2**20)
"""The spool takes nothing more above this; log doors then answer 503."""
SPOOL_MIN_FREE_BYTES = env.integer("SPOOL_MIN_FREE_BYTES", 256 * 2**20, minimum=0)
"""Nor when the disk has less than this left."""
CAPTURE_MAX_BYTES = env.integer("CAPTURE_MAX_BYTES", 64 * 2**20, minimum=2**16)
"""Of a longer body the head and the last 64 KB are kept."""
LOG_MAX_BYTES = env.integer("LOG_MAX_BYTES", 64 * 2**20, minimum=2**16)
"""Largest body a log door takes; above: 413."""
OTLP_MAX_BYTES = env.integer("OTLP_MAX_BYTES", 20 * 2**20, minimum=2**16)
"""The same for an export of spans, which is taken apart in memory."""
PARTITION_DAYS = env.integer("PARTITION_DAYS", 7, minimum=1)
MAX_AGE_DAYS = env.integer("MAX_AGE_DAYS", 400, minimum=1)
"""A capture dated further back is clamped and flagged."""

# --- the gateway ------------------------------------------------------------------------------------------------------

GATEWAY_REQUIRE_KEY = env.boolean("GATEWAY_REQUIRE_KEY", True)
"""0: a call without a valid key is forwarded and not logged, as Helicone's own proxies do."""
GATEWAY_PRIVATE_TARGETS = env.text("GATEWAY_PRIVATE_TARGETS", "deny")
"""deny, allow, or a comma list of CIDRs a client may name as its target."""
try:
    Guard.read(GATEWAY_PRIVATE_TARGETS)
except ValueError as error:
    raise env.BadSetting(str(error)) from None
GATEWAY_SLOW_SECONDS = env.integer("GATEWAY_SLOW_SECONDS", 0, minimum=0)
"""An answer that has not begun after so long is slow, for which a model may rest; 0: four times what is usual."""
CACHE_MAX_BYTES = env.integer("CACHE_MAX_BYTES", 64 * 2**20, minimum=0)
"""Of compressed replies kept in Redis: half of what the embedded Valkey may use."""
CACHE_REPLY_MAX_BYTES = env.integer("CACHE_REPLY_MAX_BYTES", 2 * 2**20, minimum=0)
"""A longer reply is not kept."""
LIMITS_WITHOUT_REDIS = env.text("LIMITS_WITHOUT_REDIS", "open")
"""open: without Redis rate limits let calls pass; closed: they are answered with 503."""
if LIMITS_WITHOUT_REDIS not in {"open", "closed"}:
    raise env.BadSetting(f"LIMITS_WITHOUT_REDIS must be open or closed, not {LIMITS_WITHOUT_REDIS!r}")
BUDGETS_WITHOUT_REDIS = env.text("BUDGETS_WITHOUT_REDIS", "open")
"""The same of budgets, also while Redis was emptied and what is spent is not yet counted anew."""
if BUDGETS_WITHOUT_REDIS not in {"open", "closed"}:
    raise env.BadSetting(f"BUDGETS_WITHOUT_REDIS must be open or closed, not {BUDGETS_WITHOUT_REDIS!r}")
BUDGET_OUTPUT_TOKENS = env.integer("BUDGET_OUTPUT_TOKENS", 4096, minimum=0)
"""What a call is taken to answer with where it sets no bound, when its cost is estimated."""
BUDGET_HOLD_SECONDS = env.integer("BUDGET_HOLD_SECONDS", 3600, minimum=60)
"""Longer than the longest call: a hold nobody settled is then let go."""
REDIS_PATIENCE_MS = env.integer("REDIS_PATIENCE_MS", 250, minimum=1)
"""A cache or limit that takes longer to ask is done without."""
SECURITY_CLASSIFIER_URL = env.text("SECURITY_CLASSIFIER_URL")
"""Asked about texts of organisations that name no classifier of their own; unset: none is."""
SCREEN_TIMEOUT_MS = env.integer("SCREEN_TIMEOUT_MS", 5_000, minimum=1)
"""Longest a classifier, guard model or moderation is waited for."""
UPSTREAM_TIMEOUT_SECONDS = env.integer("UPSTREAM_TIMEOUT_SECONDS", 600, minimum=1)
"""Longest silence of a provider before its call is given up (status -2)."""

# --- processes --------------------------------------------------------------------------------------------------------

WEB_WORKERS = env.integer("WEB_WORKERS", 1, minimum=1)
"""Processes that serve pages and the REST API; each costs about 70 MB."""
WEB_THREADS = env.integer("WEB_THREADS", 8, minimum=1)
"""Of each of them."""
WORKER_THREADS = env.integer("WORKER_THREADS", 2, minimum=1)
"""Tasks a worker runs at once."""

# --- what the processes say -------------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {"django.server": {"level": "WARNING"}, "celery": {"level": "WARNING"}},
}
"""One logger a room, events as words with key=value, on stderr; the supervisor puts the process's name before each."""

# --- Django -----------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "django_filters",
    "django_htmx",
    "accounts_app",
    "requests_app",
    "metrics_app",
    "sessions_app",
    "alerts_app",
    "ingest_app",
    "gateway_app",
    "helicone_site",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "helicone_site.csp.strict",
    "helicone_site.zones.readers",
]
ROOT_URLCONF = "helicone_site.urls"
WSGI_APPLICATION = "helicone_site.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "helicone_site.menu.frame",
            ],
        },
    },
]
AUTH_USER_MODEL = "accounts_app.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "/login"
LOGIN_REDIRECT_URL = "/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = places.DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "helicone_site.static_files.HashedWhereCollected"},
}
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "helicone_site.static_files.ChartScript",
]
WHITENOISE_USE_FINDERS = True
"""A file that was not collected is still served, uncompressed, under its plain name."""
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL,
                      "KEY_PREFIX": "web"}}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts_app.permissions.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts_app.permissions.MayRead"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "helicone_site.api_errors.answer",
}

# --- mail ---------------------------------------------------------------------------------------------------------

EMAIL_HOST = env.text("EMAIL_HOST")
"""Unset: no mail is sent; links for resets and invitations are printed in the operator's log."""
EMAIL_PORT = env.integer("EMAIL_PORT", 587, minimum=1)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env.boolean("EMAIL_USE_TLS", True)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "helicone@localhost")

# --- pages --------------------------------------------------------------------------------------------------------

SESSION_COOKIE_NAME = "helicone_session"
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL, *env.names("CSRF_TRUSTED_ORIGINS")]
USE_X_FORWARDED_HOST = False
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# --- tests ------------------------------------------------------------------------------------------------------------

CORPUS_DIR = env.text("CORPUS_DIR") or str(BASE_DIR.parent / "shared" / "corpus")
"""Recorded provider traffic some tests read; they skip where it is not."""
