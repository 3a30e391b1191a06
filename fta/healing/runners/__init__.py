"""The node types. A new one is a file here, a row in this table, a test and a line in the documentation."""

from fta.healing.runners.approval import ApprovalRunner
from fta.healing.runners.base import Runner
from fta.healing.runners.guard import GuardRunner
from fta.healing.runners.http import HttpRunner
from fta.healing.runners.job import JobRunner
from fta.healing.runners.mark_almost_success import MarkAlmostSuccessRunner
from fta.healing.runners.notify import NotifyRunner
from fta.healing.runners.package import PackageRunner
from fta.healing.runners.ping_check import PingCheckRunner
from fta.healing.runners.script import ScriptRunner
from fta.healing.runners.sleep import SleepRunner
from fta.healing.runners.spare_host import SpareHostRunner
from fta.healing.runners.swap_host import SwapHostRunner

_ALL: tuple[Runner, ...] = (
    ScriptRunner(),
    HttpRunner(),
    JobRunner(),
    ApprovalRunner(),
    NotifyRunner(),
    SleepRunner(),
    GuardRunner(),
    SpareHostRunner(),
    SwapHostRunner(),
    PingCheckRunner(),
    PackageRunner(),
    MarkAlmostSuccessRunner(),
)
RUNNERS: dict[str, Runner] = {runner.type: runner for runner in _ALL}
