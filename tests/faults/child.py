"""A process of the portal as the fault suite runs it: armed with points, perhaps without one of its guards.

`python -m tests.faults.child engine` is the engine; `tests.faults.child:application` and `-A tests.faults.child` are what
gunicorn and Celery load.
"""

import os
import sys
from pathlib import Path

import django
from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fta.settings")
django.setup()

from fta.celery import app  # noqa: E402 - the guards are taken out once Django is set up
from fta.wsgi import application  # noqa: E402
from tests.faults import points  # noqa: E402

__all__ = ["app", "application"]

if guard := os.environ.get("FAULTS_WITHOUT"):
    points.GUARDS[guard]()
points.arm(Path(os.environ["FAULTS_POINTS"]))

if __name__ == "__main__":
    execute_from_command_line(["manage.py", *sys.argv[1:]])
