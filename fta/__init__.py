"""Alert-driven fault healing: intake, matching, convergence, packages and the durable work engine."""

from fta.celery import app as celery_app  # makes it the current application in every process of the portal

__all__ = ["celery_app"]
