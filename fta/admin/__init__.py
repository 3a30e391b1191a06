"""The Django admin: inventory and configuration to keep, history to read."""

from fta.admin import accounts, configuration, history, inventory

__all__ = ["accounts", "configuration", "history", "inventory"]
