"""The verbs of operators and approvers: each guards, changes, audits and rings in one transaction."""

from fta.healing.runners.spare_host import InvalidChoice
from fta.operations.again import NotRetryable, PlaceTaken, resolve_unknown, retry
from fta.operations.approval import refuse, release, settle_approval_step
from fta.operations.by_hand import CannotRun, run_by_hand
from fta.operations.promotion import NotPromotable, set_mode
from fta.operations.reasons import ReasonMissing
from fta.operations.records import close_incident, replay
from fta.operations.stop import InvalidSwitch, NotInForce, abort, halt, resume

__all__ = [
    "CannotRun",
    "InvalidChoice",
    "InvalidSwitch",
    "NotInForce",
    "NotPromotable",
    "NotRetryable",
    "PlaceTaken",
    "ReasonMissing",
    "abort",
    "close_incident",
    "halt",
    "refuse",
    "release",
    "replay",
    "resolve_unknown",
    "resume",
    "retry",
    "run_by_hand",
    "set_mode",
    "settle_approval_step",
]
