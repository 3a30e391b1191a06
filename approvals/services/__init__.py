"""What may be done with approvals: open, decide, hand over, end."""

from approvals.services.deciding import decide, decide_each, turn_away
from approvals.services.editing import NameTaken, PolicyInUse, archive_policy, save_policy
from approvals.services.ending import cancel, expire, supersede, withdraw
from approvals.services.handing import hand_over, lend
from approvals.services.kind import ApprovalKind
from approvals.services.opening import open_external, open_gate, open_node
from approvals.services.refusals import (
    AlreadyDecided,
    AskedAgain,
    CannotTakeOver,
    CodeInUse,
    Expired,
    NoSuchChoice,
    NotApprover,
    NothingToDo,
    NotPending,
    PlanChanged,
    Refusal,
    RequesterMayNotDecide,
)

__all__ = [
    "AlreadyDecided",
    "ApprovalKind",
    "AskedAgain",
    "CannotTakeOver",
    "CodeInUse",
    "Expired",
    "NameTaken",
    "NoSuchChoice",
    "NotApprover",
    "NotPending",
    "NothingToDo",
    "PlanChanged",
    "PolicyInUse",
    "Refusal",
    "RequesterMayNotDecide",
    "archive_policy",
    "cancel",
    "decide",
    "decide_each",
    "expire",
    "hand_over",
    "lend",
    "open_external",
    "open_gate",
    "open_node",
    "save_policy",
    "supersede",
    "turn_away",
    "withdraw",
]
