"""Everything WeCom, as a Django app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WechatConfig(AppConfig):
    name = "wechat"
    verbose_name = _("企业微信")

    def ready(self) -> None:
        from wechat import checks  # noqa: F401 - registers the system checks
