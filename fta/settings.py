"""Settings of the portal: one file, read from the environment, failing loudly.

It is the only place that reads the environment, but for secrets (fta.lib.env), and the only one that names the apps upstairs.
Every variable is listed in the README's table.
"""

import re
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from csp.constants import SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _
from kombu import Queue

from fta.lib.database import audit_head, database
from fta.lib.env import secret as read_secret
from fta.lib.files import keep_private

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"
env = environ.Env()


def secret(name: str, default: str | None = None) -> str:
    """Return the secret NAME, or the content of the file named by NAME_FILE.

    Raises ImproperlyConfigured when neither is set and there is no default.
    """
    value = read_secret(name)
    if value:
        return value
    if default is None:
        raise ImproperlyConfigured(f"{name} is not set. Set {name} or {name}_FILE; a start with DEBUG off needs it.")
    return default


# --- Core ---
DEBUG = env.bool("DEBUG", default=False)
_DEV = "development-only-" if DEBUG else None
SECRET_KEY = secret("SECRET_KEY", _DEV and _DEV + "signing-key-that-is-long-enough-to-pass")
SECRET_KEY_FALLBACKS: list[str] = [key for key in secret("SECRET_KEY_FALLBACKS", "").split(",") if key]
# The first key seals, all of them open: rotate by putting a new one in front.
FTA_SECRET_KEYS: list[str] = [
    key.strip()
    for key in secret("FTA_SECRET_KEYS", _DEV and _DEV + "sealing-key-0123456789abcdef").split(",")
    if key.strip()
]
if not FTA_SECRET_KEYS:
    raise ImproperlyConfigured("FTA_SECRET_KEYS holds no key. Set at least one; the first one seals.")
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
SITE_PREFIX = "/" + env.str("SITE_PREFIX", default="/").strip("/")
SITE_PREFIX = SITE_PREFIX if SITE_PREFIX.endswith("/") else SITE_PREFIX + "/"
# Where people reach the portal; links in messages start here. Empty: taken from 微信端地址 of the WeCom configuration.
FTA_PORTAL_URL = env.str("FTA_PORTAL_URL", default="")
WECOM_SIMULATOR = env.bool("WECOM_SIMULATOR", default=DEBUG)
HTTPS_ONLY = env.bool("HTTPS_ONLY", default=not DEBUG)
# Number of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)

ROOT_URLCONF = "fta.urls"
WSGI_APPLICATION = "fta.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
if SITE_PREFIX != "/":
    FORCE_SCRIPT_NAME = SITE_PREFIX.rstrip("/")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
    "axes",
    "fta.apps.FtaConfig",
    "notify.apps.NotifyConfig",
    "approvals.apps.ApprovalsConfig",
    "wechat.apps.WechatConfig",
]
if WECOM_SIMULATOR:
    INSTALLED_APPS.insert(-1, "wechat.simulator")  # before wechat, whose command of this name only says how to get it

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "fta.intake.lane.MachineLane",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "fta.web.context.shell",
            ],
        },
    },
]

# --- Database ---
_database = database(
    secret("DATABASE_URL", f"sqlite:///{VAR_DIR / 'portal.sqlite3'}"), VAR_DIR, env.int("CONN_MAX_AGE", default=60)
)
if _database["ENGINE"].endswith("sqlite3"):
    Path(_database["NAME"]).parent.mkdir(parents=True, exist_ok=True)
    VAR_DIR.mkdir(exist_ok=True)
    if _database["NAME"] != ":memory:":
        keep_private(Path(_database["NAME"]))  # it holds the keys of sessions
DATABASES = {"default": _database}
# Where the engine keeps the signed head of the audit trail; empty: nowhere.
FTA_AUDIT_HEAD = env.str("AUDIT_HEAD_FILE", default=audit_head(_database, VAR_DIR))
ATOMIC_REQUESTS = False

REDIS_URL = secret("REDIS_URL", "")
CACHES = {
    "default": (
        {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
        if REDIS_URL
        else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    )
}

# --- The plugs: the only upward references, each a dotted path that a system check resolves ---
FTA_APPROVAL_GATE = "approvals.gate.Gate"
FTA_MESSENGER = "notify.messenger.Messenger"
FTA_WORK_KINDS = [
    "fta.intake.kind.InboxKind",
    "fta.healing.kind.StepKind",
    "fta.pipeline.SleeperKind",
    "fta.pipeline.FlowControlKind",
    "fta.pipeline.ShadowSummaryKind",
    "fta.convergence.kind.IncidentKind",
    "fta.healing.kind.ExecutionKind",
    "fta.healing.halts.HaltKind",
    "fta.healing.verification.VerificationKind",
    "fta.backtest.BacktestKind",
    "approvals.services.ApprovalKind",
    "notify.delivery.DeliveryKind",
    "notify.receivers.repeating.RepeatKind",
    "fta.healing.housekeeping.HousekeepingKind",
    "fta.engine.audit_head.AuditHeadKind",
]
FTA_EXAMINATIONS = ["wechat.services.diagnosis.examine"]  # what `doctor` looks at besides the floor below
FTA_METRICS = ["approvals.selectors.decisions", "wechat.selectors.api_calls"]  # what /metrics tells besides it
NOTIFY_TRANSPORTS = {
    "wecom_app": "wechat.transport.AppTransport",
    "wecom_robot": "wechat.transport.RobotTransport",
    "wecom_chat": "wechat.transport.ChatTransport",
    "email": "notify.transports.email.EmailTransport",
    "webhook": "notify.transports.webhook.WebhookTransport",
}

# Sections of the configuration file, in the order in which they depend on each other.
FTA_CONFIG_SECTIONS = [
    "fta.config.people.Businesses",
    "fta.config.people.People",
    "approvals.config.Groups",
    "fta.config.duties.Duties",
    "fta.config.people.ApiKeys",
    "fta.config.people.Credentials",
    "fta.config.hosts.Hosts",
    "wechat.config.Wecom",
    "wechat.config.Gateway",
    "fta.config.healing.Sources",
    "approvals.config.Policies",
    "fta.config.healing.Packages",
    "fta.config.healing.Rules",
    "fta.config.healing.ConvergenceRules",
    "fta.config.healing.Shields",
    "notify.config.Channels",
    "notify.config.Templates",
    "notify.config.NotificationRules",
]

# --- Limits ---
FTA_MAX_BODY = 1024 * 1024  # bytes of one alert request
FTA_MAX_ALERTS = 1000  # alerts in one request
FTA_MAX_LABELS = 64
FTA_MAX_LABEL_BYTES = 1024
FTA_MAX_DEPTH = 32
DATA_UPLOAD_MAX_MEMORY_SIZE = FTA_MAX_BODY
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000  # the form of a package: 200 nodes of some 25 fields, and its parameters
FTA_LEASE_SECONDS = env.int("FTA_LEASE_SECONDS", default=60)
FTA_ENGINE_THREADS = env.int("FTA_ENGINE_THREADS", default=8)
# How often everything is looked for; rings come in between and are answered at once.
FTA_POLL_SECONDS = env.float("FTA_POLL_SECONDS", default=1.0)
# Flow control: what comes faster than so many executions a minute, or waits in a line that has stood still for so many minutes,
# is recorded and not healed, and told in one message. 0 switches it off.
FTA_MAX_EXECUTIONS_PER_MINUTE = env.int("FTA_MAX_EXECUTIONS_PER_MINUTE", default=3000)
FTA_STUCK_MINUTES = env.int("FTA_STUCK_MINUTES", default=10)
# Hosts, host:port or CIDRs that HTTP steps and webhooks may reach besides public addresses.
FTA_HTTP_ALLOW: list[str] = env.list("FTA_HTTP_ALLOW", default=[])
FTA_LOCAL_SCRIPTS = env.bool("FTA_LOCAL_SCRIPTS", default=True)
# The folder on SSH hosts that keeps what became of each script; relative to the home of the SSH user.
FTA_SSH_JOURNAL = env.str("FTA_SSH_JOURNAL", default=".fta-heal")

# --- Celery: a doorbell and nothing else ---
CELERY_BROKER_URL = secret("CELERY_BROKER_URL", "")
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_BACKEND = None
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_TASK_ACKS_LATE = False  # redelivery is the database's duty; late acknowledgement only adds duplicates
CELERY_TASK_PUBLISH_RETRY = False  # polling is the retry
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_TASKS_PER_CHILD = 500
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # the default gives up after 100
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 30
CELERY_WORKER_ENABLE_SOFT_SHUTDOWN_ON_IDLE = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    {"socket_connect_timeout": 0.3, "socket_timeout": 5.0, "health_check_interval": 10}
    if CELERY_BROKER_URL.startswith(("redis", "rediss", "unix"))
    else {}
)
FTA_LANES = ["ingest", "decide", "execute", "notify"]
CELERY_TASK_QUEUES = [Queue(f"fta.{lane}") for lane in FTA_LANES]
CELERY_TASK_DEFAULT_QUEUE = "fta.execute"

# --- Sign-in -----------------------------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "web:dashboard"
LOGOUT_REDIRECT_URL = "login"
SESSION_ENGINE = "django.contrib.sessions.backends.db"  # losing Redis must not sign approvers out
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=5)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_TEMPLATE = "429.html"
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # whoever goes on guessing locks nobody out for ever
AXES_CLIENT_IP_CALLABLE = "fta.intake.credentials.client_ip"
AXES_HANDLER = "fta.web.guessing.Guesses"
FTA_GUESSES_OF_ADDRESS = 50  # wrong passwords from one address, whatever the names

# --- Transport security ---
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if HTTPS_ONLY:
    SECURE_SSL_REDIRECT = True
    # Probes of the platform speak plain HTTP to the process itself, with the path prefix or without.
    SECURE_REDIRECT_EXEMPT = [rf"^({re.escape(SITE_PREFIX.lstrip('/'))})?(healthz/|readyz/|metrics)$"]
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    if TRUSTED_PROXIES:
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": ["'none'"],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": ["'none'"],
    }
}

# --- Language, time, static files, mail, logging ---
LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="zh-hans")
LANGUAGES = [("zh-hans", _("简体中文")), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = env.str("TIME_ZONE", default="Asia/Shanghai")
USE_TZ = True
STATIC_URL = SITE_PREFIX + "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = not STATIC_ROOT.exists()
warnings.filterwarnings("ignore", message="No directory at")  # without collectstatic the finders serve
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "fta.lib.static.CollectedStaticFiles"},
}
vars().update(environ.Env.email_url_config(secret("EMAIL_URL", "consolemail://")))
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="fta@localhost")
EMAIL_TIMEOUT = 10

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["fta.api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["fta.api.parsing.TextParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "fta.api.paging.Pages",
    "PAGE_SIZE": 50,
    "EXCEPTION_HANDLER": "fta.api.errors.handle",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "FTA portal",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redact": {"()": "fta.lib.secrets.RedactFilter"}},
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["redact"]}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {"django.server": {"level": "WARNING"}, "axes": {"level": "WARNING"}},
}
