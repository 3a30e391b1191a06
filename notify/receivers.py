"""Listeners of fta.signals."""
