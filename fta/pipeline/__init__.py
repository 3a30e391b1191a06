"""The way of an alert through the portal: shield, match, converge, then hold it for a person or hand it on."""

from fta.pipeline.budget import over_budget
from fta.pipeline.deciding import process
from fta.pipeline.fitness import mode_of, nothing_to_run, unfit
from fta.pipeline.flow_control import FlowControlKind
from fta.pipeline.foresight import Check, checks
from fta.pipeline.settling import WAKE_AFTER, set_going, settle
from fta.pipeline.shadow import ShadowSummaryKind
from fta.pipeline.sleepers import SleeperKind, resolved

__all__ = [
    "WAKE_AFTER",
    "Check",
    "FlowControlKind",
    "ShadowSummaryKind",
    "SleeperKind",
    "checks",
    "mode_of",
    "nothing_to_run",
    "over_budget",
    "process",
    "resolved",
    "set_going",
    "settle",
    "unfit",
]
