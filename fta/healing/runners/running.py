"""One script, from its start to its end, or from where another worker left it: what the journal of its host says, step by step."""

import logging
import math
import time
from collections.abc import Mapping

from django.db import DatabaseError
from django.utils.translation import gettext as _

from fta.healing.runners.base import Outcome, StepContext
from fta.healing.runners.journal import OPEN, BadAnswer, Entry, Foreign, Journal, Refused, Report, Target
from fta.healing.runners.text import excerpt
from fta.lib import ssh

logger = logging.getLogger(__name__)

NEVER = "never"  # the outcome of a script that has not begun and never will: to start the step again is no second time
UNREACHED = "unreached"  # the outcome of a script on a host that cannot be reached for now: somebody asks again, later
_AWAY = 20.0  # seconds without an answer until the worker has better to do than to wait for the host
_SLACK = 30.0  # seconds that a host may take longer than the script's own time until it is told to end it
_STOPPING = 15.0  # seconds in which a host that was told to end a script must have said that it did
_PAUSE = 2.0  # seconds between two attempts to reach a host
_SHOW = 1.0  # seconds between two pieces of output


def run(ctx: StepContext, target: Target, files: Mapping[str, bytes]) -> Outcome:
    """Start the script that the files describe (see journal.sh) and follow it to its end.

    The row of the step says where the script is before the host is told to start it: without that, or when a host says that the
    entry has not begun, nobody has started it.
    """
    journal = Journal(target)
    try:
        entry = journal.open(f"{ctx.step.idem_key}.{ctx.step.fence}")
        if not ctx.begun(str(entry)):
            return Outcome("unknown", outcome="lost")
        report = _started(journal, entry, ctx, files)
    except ssh.NotReached as error:
        return _not_sent(str(error), again=error.again)
    except ssh.Interrupted as error:
        return _not_sent(str(error), again=True)
    except Refused as error:
        return _not_sent(_("主机不能记录执行日志：%s") % error, again=True)
    except DatabaseError:
        logger.exception("Unable to write down where step %s is to be looked up", ctx.step.pk)
        return _not_sent(_("门户的数据库没有应答，脚本没有启动"), again=True)
    except (BadAnswer, Foreign):
        return _not_sent(_("主机没有按约定应答，请检查登录脚本、强制命令（command=）和 /bin/sh"), again=False)
    return _Following(ctx, journal, entry).follow(report)


def resume(ctx: StepContext, target: Target) -> Outcome:
    """Follow a script that another worker may have started; never starts it."""
    found = _Following(ctx, Journal(target), Entry.parse(ctx.step.journal)).follow(None)
    note = _("（执行进程曾中断，脚本没有再次启动，以下读自主机上的执行日志）")
    return Outcome(
        found.state,
        found.result,
        f"{note}\n{found.output}" if found.output else "",
        found.error,
        found.outcome,
        retryable=found.retryable,
    )


def _started(journal: Journal, entry: Entry, ctx: StepContext, files: Mapping[str, bytes]) -> Report | None:
    """Return the first report, None when the host has to be asked whether the script has begun."""
    try:
        return journal.start(entry, max(1, math.ceil(ctx.timeout)), files)
    except (ssh.Interrupted, BadAnswer):
        return None


class _Following:
    """What is known so far of one script."""

    def __init__(self, ctx: StepContext, journal: Journal, entry: Entry) -> None:
        self.ctx, self.journal, self.entry = ctx, journal, entry
        self.head, self.tail, self.total = b"", b"", 0
        self.begun = False
        self.shown, self.shown_at = "", 0.0

    def follow(self, report: Report | None) -> Outcome:
        """Ask until the script has ended, and stop it when a person did so or its time is long over."""
        sure, stopping = report is not None, False
        until = time.monotonic() + self.ctx.timeout + _SLACK
        heard_at = time.monotonic()
        while True:
            if report is not None:
                sure, heard_at = True, time.monotonic()
                self._take(report)
                if report.word not in OPEN:
                    return self._end(report)
            if self.ctx.lost.is_set():
                return Outcome("unknown", outcome="lost")
            if time.monotonic() >= (until if stopping else heard_at + _AWAY):
                return self._unknown(_("连不上主机，不知道脚本是否做完"), "lost" if stopping else UNREACHED)
            if not stopping and (time.monotonic() >= until or self.ctx.cancelled()):
                stopping, until = True, time.monotonic() + _STOPPING
            try:
                ask = self.journal.stop if stopping else self.journal.read if sure else self.journal.ask
                report = ask(self.entry, len(self.head))
            except Foreign:
                return self._unknown(_("主机上没有这次执行的日志，不知道脚本是否做完"))
            except (ssh.SshError, BadAnswer, Refused):
                report = None
                self.ctx.lost.wait(_PAUSE)

    def _take(self, report: Report) -> None:
        self.head, self.tail, self.total = self.head + report.head, report.tail, report.total
        self.begun |= report.word == "running"
        if report.word in OPEN and time.monotonic() - self.shown_at >= _SHOW:
            text = excerpt(self.head, self.tail, self.total, ended=False)
            self.shown_at = time.monotonic()
            if text != self.shown:
                self.ctx.show(text)
                self.shown = text

    def _end(self, report: Report) -> Outcome:
        if report.word == "lost" or (report.word == NEVER and self.begun):
            return self._unknown(_("脚本启动过，但主机不知道它是否做完（可能重启过）"))
        output = excerpt(self.head, self.tail, self.total, ended=True)
        try:
            self.journal.close(self.entry)
        except (ssh.SshError, BadAnswer, Refused, Foreign):
            logger.warning("Unable to clear the journal entry %s; it goes when it is old", self.entry)
        return _outcome(report, output)

    def _unknown(self, error: str, outcome: str = "lost") -> Outcome:
        output = excerpt(self.head, self.tail, self.total, ended=False)
        return Outcome("unknown", output=output, error=error, outcome=outcome)


def _outcome(report: Report, output: str) -> Outcome:
    if report.word == NEVER:
        return Outcome("failed", error=_("脚本没有启动"), outcome=NEVER, retryable=True)
    if report.word == "timeout":
        return Outcome("failed", output=output, error=_("脚本超时，已终止"), outcome="timeout")
    if report.word == "stopped":
        return Outcome("cancelled", output=output, error=_("执行被停止，脚本已终止"), outcome="killed")
    result = {"exit_code": report.code}
    if report.code:
        return Outcome("failed", result=dict(result), output=output, error=_("脚本退出码为 %s") % report.code)
    return Outcome("succeeded", result=dict(result), output=output)


def _not_sent(error: str, *, again: bool) -> Outcome:
    return Outcome("failed", error=error, outcome="not_sent", retryable=again)
