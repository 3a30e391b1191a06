"""What the portal costs, beside its peers. Its parts speak of the models, so Django is set up before any of them is loaded."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fta.settings")
django.setup()
