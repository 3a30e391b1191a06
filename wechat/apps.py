"""Everything WeCom, as a Django app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WechatConfig(AppConfig):
    name = "wechat"
    verbose_name = _("企业微信")

    def ready(self) -> None:
        from fta.lib import links
        from notify.transports import webhook
        from wechat import checks, selectors  # noqa: F401 - checks registers the system checks

        links.register(selectors.portal_origin)
        webhook.sign_callbacks_with(selectors.callback_secret)
