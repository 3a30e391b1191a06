"""Decide about an alert that has just fired: shield, match, converge, hold or hand on.

`now` is the moment to judge by: when the alert was received, for a new one.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from fta.convergence import converge
from fta.healing import plan
from fta.healing.ending import end_execution
from fta.healing.history import shift, tell
from fta.matching import Subject, current_rules, shield_for
from fta.models import Alert, Execution, Mode, Overflow, Rule
from fta.pipeline.fitness import mode_of, nothing_to_run, unfit
from fta.pipeline.flow_control import note, too_fast, verdict_of
from fta.pipeline.settling import marks_of, settle

State = Execution.State


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
    reason = nothing_to_run(rule)
    if reason:
        _set_outcome(alert, Alert.Outcome.MATCHED, rule.name)
        return _record(execution, reason, now)
    outcome, reason = unfit(alert, rule, now)
    _set_outcome(alert, outcome, reason or rule.name)
    if reason:
        return _record(execution, reason, now)
    reason = too_fast(execution)
    if reason and execution.mode != Mode.SHADOW:
        note(Overflow.Stage.RATE, now, execution)
        return _record(execution, reason, now, verdict_of(Overflow.Stage.RATE))
    if _freeze(execution, rule, now):
        settle(execution, converge(execution, now), now)
    return execution


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
        mode=mode_of(rule, package),
        approval_policy=rule.approval_policy if rule else "",
        received_at=alert.received_at,
        deadline_at=alert.received_at + timedelta(seconds=rule.timeout if rule else 0),
    )


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


def _record(execution: Execution, reason: str, now: datetime, word: str = "") -> Execution:
    """Record and do no more; it belongs to its incidents all the same. `word` is kept in place of convergence's own."""
    verdict = converge(execution, now, acts=False)
    verdict = replace(verdict, kind=word or verdict.kind)
    shift(execution, State.RECORDED, now, reason, reason=reason, ended_at=now, **marks_of(verdict))
    return execution


def _set_outcome(alert: Alert, outcome: str, detail: str = "") -> None:
    alert.outcome, alert.outcome_detail = outcome, detail[:255]
    Alert.objects.filter(pk=alert.pk).update(outcome=outcome, outcome_detail=alert.outcome_detail)
