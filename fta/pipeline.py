"""The way of an alert through the portal: shield, match, converge, then hold it for a person or hand it on.

`now` is the moment to judge by: when the alert was received, for a new one.
"""

import hashlib
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from fta import ports
from fta.convergence import Verdict, converge, lock
from fta.engine import doorbell
from fta.healing import plan
from fta.healing.ending import FAILURES_UNTIL_APPROVAL, end_execution
from fta.healing.history import shift, tell
from fta.healing.nodes import seconds
from fta.healing.start import hold
from fta.matching import Subject, current_rules, shield_for
from fta.models import Alert, Execution, Host, Mode, Package, Rule
from fta.models.packages import stricter

State = Execution.State
WAKE_AFTER = timedelta(seconds=60)
# States in which a package acts, or acted, or is about to act, on a host.
_REACHED = (State.READY, State.RUNNING, State.SUCCEEDED, State.ALMOST, State.FAILED, State.UNKNOWN)
_SCOPES = {
    "business": ("business",),
    "set": ("business", "set_name"),
    "module": ("business", "set_name", "module"),
}


def process(alert: Alert, now: datetime) -> Execution | None:
    """Decide about an alert that has just fired, in the caller's transaction; return its execution, if it has one.

    An alert that is processed twice keeps what was decided the first time.
    """
    if alert.outcome != Alert.Outcome.PENDING:
        return alert.executions.order_by("id").first()
    subject = Subject.of(alert)
    rule = current_rules().first(subject)
    shield_id = shield_for(subject, now)
    if shield_id is not None:
        return _shielded(alert, rule, shield_id, now)
    if rule is None:
        _set_outcome(alert, Alert.Outcome.UNMATCHED)
        return None
    execution = _create(alert, rule)
    tell(execution, "execution.created", _("匹配接入规则「%(name)s」") % {"name": rule.name}, now)
    reason = _nothing_to_run(rule)
    if reason:
        _set_outcome(alert, Alert.Outcome.MATCHED, rule.name)
        return _record(execution, converge(execution, now), reason, now)
    outcome, reason = _unfit(alert, rule, now)
    _set_outcome(alert, outcome, reason or rule.name)
    if reason:
        return _record(execution, Verdict(), reason, now)
    if _freeze(execution, rule, now):
        settle(execution, converge(execution, now), now)
    return execution


def settle(execution: Execution, verdict: Verdict, now: datetime) -> None:
    """Move an execution to where its verdict and its mode put it. Raises NotInState when somebody moved it meanwhile."""
    marks = _marks(verdict)
    if execution.mode == Mode.SHADOW:
        reason = _("演练，未实际执行。%(reason)s") % {"reason": verdict.reason}
        shift(execution, State.SHADOWED, now, reason, reason=reason, ended_at=now, **marks)
    elif verdict.kind == "skip" or (verdict.kind == "below" and execution.state != State.CONVERGING):
        _mark(execution, marks)
        end_execution(execution, State.SKIPPED, verdict.reason, now)
    elif verdict.kind == "below":
        shift(execution, State.BELOW_THRESHOLD, now, verdict.reason, reason=verdict.reason, ended_at=now, **marks)
    elif verdict.kind == "wait":
        _sleep(execution, verdict, now)
    else:
        _mark(execution, marks)
        asked = [verdict.reason] if verdict.kind == "approve" else []
        _hold_or_hand_on(execution, asked + _reasons_to_ask(execution, now), now)


def resolved(alert: Alert, now: datetime) -> None:
    """Have the executions of a resolved alert looked at that still wait for their turn: there is nothing left to heal."""
    sleeping = Execution.objects.filter(alert=alert, state=State.SLEEPING)
    for pk in sleeping.values_list("pk", flat=True):
        Execution.objects.filter(pk=pk, state=State.SLEEPING).update(wake_at=now)
        doorbell.ring("sleeper", pk)


class SleeperKind:
    """Executions that wait for others: looked at when one of those ends, and every minute."""

    name = "sleeper"
    lane = "decide"

    def due(self, limit: int, now: datetime) -> list[int]:
        rows = Execution.objects.filter(state=State.SLEEPING, wake_at__lte=now).order_by("wake_at")
        return list(rows.values_list("pk", flat=True)[:limit])

    def do(self, pk: int) -> None:
        now = timezone.now()
        taken = Execution.objects.filter(pk=pk, state=State.SLEEPING, wake_at__lte=now)
        if taken.update(wake_at=now + WAKE_AFTER) != 1:
            return
        with transaction.atomic():
            related = ("alert__source", "rule", "package", "host", "business")
            rows = Execution.objects.select_for_update(of=("self",)).select_related(*related)
            execution = rows.filter(pk=pk, state=State.SLEEPING).first()
            if execution is not None:
                _wake(execution, now)


def _wake(execution: Execution, now: datetime) -> None:
    half = execution.received_at + (execution.deadline_at - execution.received_at) / 2
    decided = execution.alert is None or (execution.needs_approval and ports.gate().approved(execution))
    if now >= execution.deadline_at or (now >= half and not decided):
        end_execution(execution, State.SKIPPED, _("收敛等待超时"), now)
    elif execution.alert is not None and execution.alert.status == Alert.Status.RESOLVED:
        end_execution(execution, State.SKIPPED, _("等待期间告警已恢复"), now)
    elif decided:  # a person wants it; it only waited for its turn on the host
        _hand_on(execution, now)
    else:
        settle(execution, converge(execution, now), now)


def _nothing_to_run(rule: Rule) -> str:
    package = rule.package
    if package is None:
        return _("接入规则没有套餐，仅记录")
    if package.archived or package.current is None:
        return _("套餐「%(name)s」没有可用的版本，仅记录") % {"name": package.name}
    if _mode(rule, package) == Mode.OFF:
        return _("接入规则或套餐已停用自愈，仅记录")
    return ""


def _unfit(alert: Alert, rule: Rule, now: datetime) -> tuple[str, str]:
    """Return the alert's outcome, and why it must not be healed although a rule would: "" when it may be."""
    if alert.target_kind != "host":
        return Alert.Outcome.UNUSABLE_TARGET, _("告警没有可用的对象（本机回环、无对象或无法解析），不自愈")
    if alert.host is None:
        return Alert.Outcome.UNUSABLE_TARGET, _("主机 %(target)s 未登记，不自愈") % {"target": alert.target}
    age = now - alert.starts_at if alert.starts_at else timedelta()
    if rule.stale_after is not None and age > timedelta(seconds=rule.stale_after):
        minutes = int(age.total_seconds() // 60)
        return Alert.Outcome.STALE, _("告警开始于 %(minutes)s 分钟前，已过时，不自愈") % {"minutes": minutes}
    return Alert.Outcome.MATCHED, ""


def _create(alert: Alert, rule: Rule | None) -> Execution:
    """Write the execution; one alert and rule have one, whoever else processes the alert meanwhile gets an IntegrityError."""
    package = rule.package if rule else None
    return Execution.objects.create(
        trigger_key=f"{alert.pk}|{rule.pk if rule else ''}",
        alert=alert,
        rule=rule,
        package=package,
        version=package.current if package else None,
        host=alert.host,
        business=alert.business,
        alert_type=alert.alert_type,
        mode=_mode(rule, package),
        approval_policy=rule.approval_policy if rule else "",
        received_at=alert.received_at,
        deadline_at=alert.received_at + timedelta(seconds=rule.timeout if rule else 0),
    )


def _mode(rule: Rule | None, package: Package | None) -> str:
    return stricter(*(item.mode for item in (rule, package) if item is not None)) if rule or package else Mode.OFF


def _freeze(execution: Execution, rule: Rule, now: datetime) -> bool:
    """Freeze the plan into the execution; False when it cannot be run as it is, which ends the execution."""
    if execution.version is None:
        return False
    frozen = plan.freeze(execution, rule, execution.version, rule.parameters, now)
    execution.plan, execution.plan_sha256 = frozen.data, frozen.sha256
    Execution.objects.filter(pk=execution.pk).update(plan=frozen.data, plan_sha256=frozen.sha256)
    if frozen.problems:
        end_execution(execution, State.FAILED, "；".join(frozen.problems), now)
    return not frozen.problems


def _shielded(alert: Alert, rule: Rule | None, shield_id: int, now: datetime) -> Execution:
    execution = _create(alert, rule)
    _set_outcome(alert, Alert.Outcome.SHIELDED, f"#{shield_id}")
    text = _("被屏蔽 #%(id)s 覆盖，不自愈") % {"id": shield_id}
    shift(execution, State.SHIELDED, now, text, reason=text, ended_at=now, shield_id=shield_id)
    return execution


def _record(execution: Execution, verdict: Verdict, reason: str, now: datetime) -> Execution:
    shift(execution, State.RECORDED, now, reason, reason=reason, ended_at=now, **_marks(verdict))
    return execution


def _sleep(execution: Execution, verdict: Verdict, now: datetime) -> None:
    marks = {**_marks(verdict), "reason": verdict.reason, "wake_at": now + WAKE_AFTER}
    if execution.state == State.SLEEPING:
        _mark(execution, marks)
    else:
        shift(execution, State.SLEEPING, now, verdict.reason, **marks)


def _hold_or_hand_on(execution: Execution, reasons: list[str], now: datetime) -> None:
    if reasons:
        hold(execution, reasons, now)
    else:
        _hand_on(execution, now)


def _hand_on(execution: Execution, now: datetime) -> None:
    shift(execution, State.READY, now, _("等待执行"), reason="", wake_at=None)
    doorbell.ring("execution", execution.pk)


def _reasons_to_ask(execution: Execution, now: datetime) -> list[str]:
    """Return why a person has to approve whatever convergence says, in words."""
    reasons = []
    if execution.mode == Mode.APPROVAL:
        reasons.append(_("接入规则或套餐设为审批后执行"))
    if execution.package is None:
        return reasons
    package = Package.objects.get(pk=execution.package.pk)  # its record of failures as of now
    if package.failures_in_a_row >= FAILURES_UNTIL_APPROVAL:
        reasons.append(_("套餐已连续失败 %(count)s 次") % {"count": package.failures_in_a_row})
    if package.budget and execution.host is not None:
        reasons += _over_budget(execution, execution.host, package, now)
    return reasons


def _over_budget(execution: Execution, host: Host, package: Package, now: datetime) -> list[str]:
    """Return what the package's budget (`max_hosts`, `max_percent` of the hosts in `scope`, per `window`) forbids."""
    lock([hashlib.sha256(f"budget {package.pk}".encode()).hexdigest()])  # two engines must not both find room
    most, percent = package.budget.get("max_hosts"), package.budget.get("max_percent")
    scope = package.budget.get("scope") or ("module" if percent is not None else "")
    alike = {name: getattr(host, name) for name in _SCOPES.get(scope, ())}
    window = timedelta(seconds=seconds(package.budget.get("window", "1h")))
    reached = Execution.objects.filter(
        package=package,
        state__in=_REACHED,
        received_at__gte=now - window,
        **{f"host__{k}": v for k, v in alike.items()},
    )
    others = reached.exclude(host=host).values("host").distinct().count()
    words = {"minutes": int(window.total_seconds() // 60), "hosts": others + 1, "most": most, "percent": percent}
    reasons = []
    if most is not None and others + 1 > most:
        reasons.append(_("影响面超出预算：%(minutes)s 分钟内第 %(hosts)s 台主机，最多 %(most)s 台") % words)
    if percent is not None:
        total = Host.objects.filter(archived=False, is_spare=False, **alike).count()
        if (others + 1) * 100 > percent * total:
            words["total"] = total
            text = _("影响面超出预算：%(minutes)s 分钟内第 %(hosts)s 台，同范围共 %(total)s 台，最多 %(percent)s%%")
            reasons.append(text % words)
    return reasons


def _marks(verdict: Verdict) -> dict[str, object]:
    """Return the columns that tell what convergence said; an incident that the execution is in already stays."""
    marks: dict[str, object] = {"verdict": verdict.kind, "verdict_rule_id": verdict.rule_id}
    return marks | ({"incident_id": verdict.incident_id} if verdict.incident_id else {})


def _mark(execution: Execution, marks: dict[str, object]) -> None:
    Execution.objects.filter(pk=execution.pk, state=execution.state).update(**marks)
    for name, value in marks.items():
        setattr(execution, name, value)


def _set_outcome(alert: Alert, outcome: str, detail: str = "") -> None:
    alert.outcome, alert.outcome_detail = outcome, detail[:255]
    Alert.objects.filter(pk=alert.pk).update(outcome=outcome, outcome_detail=alert.outcome_detail)
