"""The Django admin: inventory and configuration to keep, history to read."""

from fta.admin import configuration, history, inventory

__all__ = ["configuration", "history", "inventory"]
