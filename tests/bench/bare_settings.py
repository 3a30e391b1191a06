"""Settings of the bare view that intake is compared with: one table, no middleware."""

import environ

env = environ.Env()
SECRET_KEY = "bench-only-0123456789-0123456789-0123456789"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.bench.bare"
MIDDLEWARE: list[str] = []
INSTALLED_APPS: list[str] = []
DATABASES = {"default": {**env.db_url("DATABASE_URL"), "CONN_MAX_AGE": 60}}
USE_TZ = True
