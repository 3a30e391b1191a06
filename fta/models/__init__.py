"""The tables of the healing domain, one file a subject."""

from fta.models.alerts import Alert, AlertEvent
from fta.models.audit import AuditEntry
from fta.models.backtests import BacktestRun
from fta.models.duties import Duty
from fta.models.engine import ConfigVersion, Heartbeat, Switch
from fta.models.executions import Execution, ExecutionEvent, HeldBack, Reservation, StepAttempt, StepRun
from fta.models.incidents import Incident, Member
from fta.models.inventory import ApiKey, Business, Credential, Host, Person
from fta.models.overflows import Overflow
from fta.models.packages import Mode, Package, PackageVersion
from fta.models.rules import ConvergenceRule, Rule, Shield
from fta.models.sources import Inbox, Source

__all__ = [
    "Alert",
    "AlertEvent",
    "ApiKey",
    "AuditEntry",
    "BacktestRun",
    "Business",
    "ConfigVersion",
    "ConvergenceRule",
    "Credential",
    "Duty",
    "Execution",
    "ExecutionEvent",
    "Heartbeat",
    "HeldBack",
    "Host",
    "Inbox",
    "Incident",
    "Member",
    "Mode",
    "Overflow",
    "Package",
    "PackageVersion",
    "Person",
    "Reservation",
    "Rule",
    "Shield",
    "Source",
    "StepAttempt",
    "StepRun",
    "Switch",
]
