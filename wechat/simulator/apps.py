"""The development app that carries the simulator's pages and command."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SimulatorConfig(AppConfig):
    """The simulator keeps everything in memory and has no models."""

    name = "wechat.simulator"
    label = "simulator"
    verbose_name = _("企业微信模拟器")
