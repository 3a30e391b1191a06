"""The Celery application: `celery -A fta worker` answers doorbells (see fta.engine.doorbell)."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fta.settings")
app = Celery("fta")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["fta"])
