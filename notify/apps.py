"""The ways out as a Django app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NotifyConfig(AppConfig):
    name = "notify"
    verbose_name = _("通知")

    def ready(self) -> None:
        from notify import checks, receivers  # noqa: F401 - registers the checks and listens to fta.signals
