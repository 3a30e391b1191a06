"""Who may say yes, as a Django app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ApprovalsConfig(AppConfig):
    name = "approvals"
    verbose_name = _("审批")

    def ready(self) -> None:
        from approvals import freshness, receivers  # noqa: F401 - registers the stamp of sign-ins and the listeners
