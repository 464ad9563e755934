"""Settings, all from the environment (each variable also as ``NAME_FILE``). docs/settings.md lists them.

Without ``MAPBOARD_ENV=production`` everything lives in ``var/`` of the checkout and is meant for loopback only.
Production refuses to start on an unsafe or missing setting, naming it.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key
from django.utils.translation import gettext_lazy as _

from config.environment import (
    PRODUCTION,
    encryption_keys,
    env,
    kept_secret,
    numbers_by_group,
    option_hosts,
    private_directory,
    storages,
)
from panel.domain.outcomes import Outcome

BASE_DIR = Path(__file__).resolve().parent.parent

MAPBOARD_ENV: str = env.str("MAPBOARD_ENV", "development")
if MAPBOARD_ENV not in {"development", PRODUCTION}:
    raise ImproperlyConfigured(f"MAPBOARD_ENV must be 'development' or 'production', not {MAPBOARD_ENV!r}.")
IN_PRODUCTION = MAPBOARD_ENV == PRODUCTION


def _needed_in_production(variable: str) -> str:
    value: str = env.str(variable, "")
    if IN_PRODUCTION and not value:
        raise ImproperlyConfigured(f"{variable} (or {variable}_FILE) must be set when MAPBOARD_ENV=production.")
    return value


VAR_DIR = Path(env.str("MAPBOARD_VAR_DIR", str(BASE_DIR / "var")))
if not IN_PRODUCTION:
    private_directory(VAR_DIR)

# ── Secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────
SECRET_KEY = _needed_in_production("SECRET_KEY") or kept_secret(VAR_DIR / "secret_key", get_random_secret_key())
if IN_PRODUCTION and (len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 5):
    raise ImproperlyConfigured("SECRET_KEY must be at least 50 random characters in production.")
_keys = _needed_in_production("MAPBOARD_ENCRYPTION_KEYS") or kept_secret(
    VAR_DIR / "encryption_keys", Fernet.generate_key().decode()
)
MAPBOARD_ENCRYPTION_KEYS = encryption_keys(
    [key.strip() for key in _keys.split(",") if key.strip()], "MAPBOARD_ENCRYPTION_KEYS"
)

# ── Web ──────────────────────────────────────────────────────────────────────────────────────────────────────────
DEBUG = env.bool("DEBUG", False)
if IN_PRODUCTION and DEBUG:
    raise ImproperlyConfigured("DEBUG must not be on when MAPBOARD_ENV=production.")
ALLOWED_HOSTS: list[str] = [host.strip() for host in _needed_in_production("ALLOWED_HOSTS").split(",") if host.strip()]
if not IN_PRODUCTION and not ALLOWED_HOSTS:
    ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
if IN_PRODUCTION and "*" in ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS must name the hosts in production; '*' admits every one.")
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])
BEHIND_TLS = env.bool("MAPBOARD_BEHIND_TLS", IN_PRODUCTION)
if BEHIND_TLS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds())
    SECURE_SSL_REDIRECT = env.bool("MAPBOARD_SSL_REDIRECT", True)
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
# Other hosts of the domain are not ours to decide about: HSTS for subdomains and the preload list stay off.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SESSION_ENGINE = "panel.access.sessions"
SESSION_COOKIE_AGE = int(timedelta(days=14).total_seconds())
SESSION_COOKIE_NAME = "mapboard_session"
CSRF_COOKIE_NAME = "mapboard_csrf"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
LOGIN_URL = "access:login"
LOGIN_REDIRECT_URL = "mirror:home"
LOGOUT_REDIRECT_URL = "access:login"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "template_partials",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",
    "axes",
    "panel.ui",
    "panel.access",
    "panel.servers",
    "panel.mirror",
    "panel.retries",
    "panel.launches",
    "panel.api",
]

MIDDLEWARE = [
    "panel.ui.health.HealthMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",  # pads each answer at random, so that its size tells no secret (BREACH)
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "panel.access.middleware.UserMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "panel.ui.middleware.SecurityHeadersMiddleware",
    "panel.ui.middleware.HtmxResponseMiddleware",
    "panel.access.middleware.AuthorizationMiddleware",
    "panel.ui.middleware.ProblemMiddleware",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["django.templatetags.i18n", "django.templatetags.static", "panel.ui.templatetags.mapboard"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "panel.access.context_processors.may",
                "panel.launches.context_processors.waiting",
            ],
        },
    }
]

STATIC_URL = "static/"
STATIC_ROOT = Path(env.str("MAPBOARD_STATIC_ROOT", str((BASE_DIR if IN_PRODUCTION else VAR_DIR) / "staticfiles")))
if not IN_PRODUCTION:
    private_directory(STATIC_ROOT)
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "panel.ui.bundles.BundleFinder",
]
WHITENOISE_USE_FINDERS = not IN_PRODUCTION
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if IN_PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English"))]
USE_I18N = False  # texts are marked, but there is one language: to look up 500 of them a page takes a tenth of its time
USE_TZ = True
TIME_ZONE = "UTC"

AUTHENTICATION_BACKENDS = ["axes.backends.AxesBackend", "django.contrib.auth.backends.ModelBackend"]
# Wrong passwords: ten for one user from one address, then a quarter of an hour of nothing (docs/adr).
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
AXES_CLIENT_IP_CALLABLE = "panel.access.logins.client_address"
AXES_LOCKOUT_CALLABLE = "panel.access.logins.locked_out"

_weak_passwords = ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
AUTH_PASSWORD_VALIDATORS = [
    # On loopback a demo may have simple passwords.
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in _weak_passwords
    if IN_PRODUCTION
]

# ── Database ─────────────────────────────────────────────────────────────────────────────────────────────────────
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
_database: dict[str, Any] = env.dj_db_url(
    "DATABASE_URL", _needed_in_production("DATABASE_URL") or f"sqlite:///{VAR_DIR / 'mapboard.sqlite3'}"
)
if "sqlite" in _database["ENGINE"]:
    if IN_PRODUCTION:
        raise ImproperlyConfigured("DATABASE_URL must name a PostgreSQL database in production.")
    _database["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        # A page of 10,000 results is written from memory (24 MB) and copied from the log later, with others.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; "
        "PRAGMA cache_size=-24576; PRAGMA wal_autocheckpoint=8000;",
    }
else:
    _database["ENGINE"] = "panel.postgresql"
    _database["CONN_HEALTH_CHECKS"] = True
_database["CONN_MAX_AGE"] = 60  # opening SQLite's file for every request takes as long as a page of 50
DATABASES = {"default": _database}

# ── Broker and worker ────────────────────────────────────────────────────────────────────────────────────────────
BROKER_URL_FILE = VAR_DIR / "redis_url"
"""Where `make run` writes the address of the embedded server it started, for other shells to find."""


def _redis_url() -> str:
    url: str = _needed_in_production("REDIS_URL")
    if not url and BROKER_URL_FILE.is_file():
        url = BROKER_URL_FILE.read_text().strip()
    if url and urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
        raise ImproperlyConfigured("REDIS_URL must begin with redis://, rediss:// or unix://.")
    return url or "redis://127.0.0.1:6379/0"


REDIS_URL = _redis_url()
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1) if REDIS_URL.startswith("unix") else REDIS_URL
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 2,
    "socket_timeout": 10,
    # Nothing is kept in the broker of what a worker has taken: messages only wake, the sweeps find what is due. With it
    # a worker whose broker was lost while it worked ends: it fails to give back what it holds (config.celery).
    "ack_emulation": False,
    # A page that wakes the worker must not wait for a broker that is away: the sweeps find what is due. (kombu's
    # default is to try for six seconds; the worker's own reconnecting is set elsewhere and goes on for ever.)
    "max_retries": 0,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_TIME_LIMIT = 15 * 60
CELERY_TASK_SOFT_TIME_LIMIT = 14 * 60
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"  # without a file: what is due stands in the database
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    # Each sweep claims what is due in the database; one that comes while another still works finds nothing to do.
    "servers.check_health": {"task": "servers.check_health", "schedule": 15.0, "options": {"expires": 15}},
    "mirror.sweep": {"task": "mirror.sweep", "schedule": 3.0, "options": {"expires": 3}},
    "retries.sweep": {"task": "retries.sweep", "schedule": 3.0, "options": {"expires": 3}},
    "launches.sweep": {"task": "launches.sweep", "schedule": 3.0, "options": {"expires": 3}},
    "launches.sweep_backfills": {"task": "launches.sweep_backfills", "schedule": 3.0, "options": {"expires": 3}},
    "access.clear_sessions": {"task": "access.clear_sessions", "schedule": 6 * 3600.0, "options": {"expires": 3600}},
    "ui.beat": {"task": "ui.beat", "schedule": 10.0, "options": {"expires": 10}},
}

# ── REST API ─────────────────────────────────────────────────────────────────────────────────────────────────────
MAPBOARD_API_RATE: str = env.str("MAPBOARD_API_RATE", "1200/min")
if not re.fullmatch(r"[1-9]\d*/(sec|min|hour|day)", MAPBOARD_API_RATE):
    raise ImproperlyConfigured("MAPBOARD_API_RATE must look like 1200/min: a number, then sec, min, hour or day.")
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "panel.api.authentication.BearerTokenAuthentication",
        "panel.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["panel.api.permissions.ActionPermission"],
    "DEFAULT_RENDERER_CLASSES": ["panel.api.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "panel.api.renderers.ContentNegotiation",
    "DEFAULT_PARSER_CLASSES": ["panel.api.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "panel.api.pagination.KeysetPagination",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.UserRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"user": MAPBOARD_API_RATE},
    "EXCEPTION_HANDLER": "panel.api.errors.exception_handler",
    "URL_FORMAT_OVERRIDE": None,
    "PAGE_SIZE": 100,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
REST_KNOX = {"AUTH_HEADER_PREFIX": "Bearer", "TOKEN_TTL": None, "TOKEN_LIMIT_PER_USER": None}
SPECTACULAR_SETTINGS = {
    "TITLE": "Mapboard REST API",
    "VERSION": "1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["panel.api.permissions.ActionPermission"],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "ENUM_NAME_OVERRIDES": {
        "OutcomeEnum": [outcome.value for outcome in Outcome],
        "LaunchStateEnum": "panel.launches.states.State",
        "LaunchStopStateEnum": "panel.launches.states.StopState",
        "RetryJobStateEnum": "panel.retries.states.JobState",
        "RetryItemStateEnum": "panel.retries.states.ItemState",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "panel.api.schema.document_errors",
    ],
}

# ── Mapboard itself ──────────────────────────────────────────────────────────────────────────────────────────────
AIRFLOW_MAX_IN_FLIGHT: int = env.int("AIRFLOW_MAX_IN_FLIGHT", 4)
if not 1 <= AIRFLOW_MAX_IN_FLIGHT <= 8:
    raise ImproperlyConfigured("AIRFLOW_MAX_IN_FLIGHT must lie between 1 and 8: more stall an Airflow api-server.")
AIRFLOW_TIMEOUT_SECONDS: float = env.float("AIRFLOW_TIMEOUT_SECONDS", 30.0)
if not 1 <= AIRFLOW_TIMEOUT_SECONDS <= 600:
    raise ImproperlyConfigured("AIRFLOW_TIMEOUT_SECONDS must lie between 1 and 600.")
MIRROR_FRESH_SECONDS: float = env.float("MIRROR_FRESH_SECONDS", 4.0)
MIRROR_RUNS_PER_DAG: int = env.int("MIRROR_RUNS_PER_DAG", 25)
MIRROR_DAYS: int = env.int("MIRROR_DAYS", 30)
RETRY_LEASE_SECONDS: float = env.float("RETRY_LEASE_SECONDS", 90.0)
RETRY_UNSURE_SECONDS: float = env.float("RETRY_UNSURE_SECONDS", 60.0)
if RETRY_LEASE_SECONDS <= 0 or RETRY_UNSURE_SECONDS <= 0:
    raise ImproperlyConfigured("RETRY_LEASE_SECONDS and RETRY_UNSURE_SECONDS must be above 0.")
if IN_PRODUCTION and (RETRY_LEASE_SECONDS < 30 or RETRY_UNSURE_SECONDS < 30):
    raise ImproperlyConfigured(
        "RETRY_LEASE_SECONDS and RETRY_UNSURE_SECONDS must be at least 30 in production: shorter ones are for tests."
    )
RETRY_MOST_INDICES = numbers_by_group(
    env.str("RETRY_MOST_INDICES", "operator:20000,admin:100000"), "RETRY_MOST_INDICES"
)
RETRY_JOBS_PER_HOUR: int = env.int("RETRY_JOBS_PER_HOUR", 100)
LAUNCH_DEADLINE_SECONDS: float = env.float("LAUNCH_DEADLINE_SECONDS", 30 * 60.0)
LAUNCH_OPTION_HOSTS = option_hosts(env.str("LAUNCH_OPTION_HOSTS", ""), "LAUNCH_OPTION_HOSTS")
RESULT_PREVIEW_BYTES: int = env.int("RESULT_PREVIEW_BYTES", 4096)
XCOM_STORAGE = storages(env.str("MAPBOARD_XCOM_STORAGE", ""), "MAPBOARD_XCOM_STORAGE")

# ── Mail ─────────────────────────────────────────────────────────────────────────────────────────────────────────
MAPBOARD_URL: str = env.str("MAPBOARD_URL", "").rstrip("/")
if MAPBOARD_URL and urlsplit(MAPBOARD_URL).scheme not in {"http", "https"}:
    raise ImproperlyConfigured("MAPBOARD_URL must be the address people use, such as https://mapboard.example.com.")
EMAIL_HOST: str = env.str("MAPBOARD_MAIL_HOST", "")
MAIL_TLS: str = env.str("MAPBOARD_MAIL_TLS", "starttls")
if MAIL_TLS not in {"starttls", "tls", "none"}:
    raise ImproperlyConfigured("MAPBOARD_MAIL_TLS must be starttls, tls or none.")
EMAIL_PORT: int = env.int("MAPBOARD_MAIL_PORT", {"starttls": 587, "tls": 465, "none": 25}[MAIL_TLS])
EMAIL_USE_TLS, EMAIL_USE_SSL = MAIL_TLS == "starttls", MAIL_TLS == "tls"
EMAIL_HOST_USER: str = env.str("MAPBOARD_MAIL_USER", "")
EMAIL_HOST_PASSWORD: str = env.str("MAPBOARD_MAIL_PASSWORD", "")
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL: str = env.str("MAPBOARD_MAIL_FROM", "mapboard@localhost")
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
MAIL_ON = bool(EMAIL_HOST) or not IN_PRODUCTION
"""Without a mail server, the worker of an install that is not production prints mails; production sends none."""
RETRY_REPORT_MAIL: str = env.str("RETRY_REPORT_MAIL", "ticked")
if RETRY_REPORT_MAIL not in {"ticked", "always", "never"}:
    raise ImproperlyConfigured("RETRY_REPORT_MAIL must be ticked, always or never.")
LAUNCH_APPROVER_MAILS: int = env.int("LAUNCH_APPROVER_MAILS", 20)
if not 0 <= LAUNCH_APPROVER_MAILS <= 500:
    raise ImproperlyConfigured("LAUNCH_APPROVER_MAILS must lie between 0 (no mails about approvals) and 500.")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", "INFO")},
    "loggers": {
        # Each of these says a line or two for every request, login or sweep.
        name: {"level": "WARNING"}
        for name in ("httpx", "httpcore", "axes", "celery.app.trace", "celery.worker.strategy")
    },
}
