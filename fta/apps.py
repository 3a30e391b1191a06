"""The healing domain as a Django app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class FtaConfig(AppConfig):
    name = "fta"
    verbose_name = _("故障自愈")

    def ready(self) -> None:
        from fta import checks  # noqa: F401 - registers the system checks
