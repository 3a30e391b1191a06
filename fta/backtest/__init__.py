"""Backtest (回测): stored alerts replayed against draft rules, and what would be different from the rules in force."""

from fta.backtest.kind import BacktestKind
from fta.backtest.starting import InvalidDraft, TooManyAlerts, start

__all__ = ["BacktestKind", "InvalidDraft", "TooManyAlerts", "start"]
