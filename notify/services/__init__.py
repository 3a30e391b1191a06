"""Compose messages, and keep what the configuration pages change."""

from notify.services import judging
from notify.services.composing import build, compose, values_for
from notify.services.saving import InUse, NameTaken, acted, archive, save_channel, save_rule, save_template

__all__ = [
    "InUse",
    "NameTaken",
    "acted",
    "archive",
    "build",
    "compose",
    "judging",
    "save_channel",
    "save_rule",
    "save_template",
    "values_for",
]
