"""Listeners of fta.signals: what happens becomes an occasion, and the notification rules say who hears of it."""

from notify.receivers import hooks, relay

__all__ = ["hooks", "relay"]
