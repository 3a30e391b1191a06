"""Convergence (告警收敛): many alerts of one cause become one incident, and most of them wait, are asked about or skipped."""

from fta.convergence.engine import Verdict, converge, gather, lock
from fta.convergence.functions import FUNCTIONS, Function
from fta.convergence.incidents import close
from fta.convergence.rules import validate_rule

__all__ = ["FUNCTIONS", "Function", "Verdict", "close", "converge", "gather", "lock", "validate_rule"]
