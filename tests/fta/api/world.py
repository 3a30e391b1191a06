"""One of everything in the game business, for the tests that go through the addresses of the API."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from approvals import services
from approvals.models import Approval, Policy
from fta import audit
from fta.healing.plan import freeze
from fta.models import ApiKey, AuditEntry, BacktestRun, Business, Duty, Execution, Incident, Shield, StepRun
from notify import outbox
from notify.message import Message
from notify.models import Channel, Delivery, NotificationRule
from tests import factories

IP = "127.0.0.10"
STAGES = [{"approvers": [{"role": "operator"}], "quorum": 1}]


@dataclass(frozen=True)
class World:
    """What there is; `keys` holds what addresses name, by the kind of their rows."""

    held: Execution
    lost: Execution
    step: StepRun
    incident: Incident
    approval: Approval
    delivery: Delivery
    entry: AuditEntry
    keys: dict[str, Any]


def run(**fields: Any) -> Execution:
    """Make an execution with a frozen plan; its alert and host are in the game business."""
    fields.setdefault("alert", factories.alert())
    made = factories.execution(**fields)
    assert made.version is not None
    plan = freeze(made, made.rule, made.version, {}, timezone.now())
    made.plan, made.plan_sha256 = plan.data, plan.sha256
    made.save()
    return made


def storm(game: Business) -> Incident:
    now = timezone.now()
    convergence = factories.convergence_rule(business=game)
    return Incident.objects.create(
        rule=convergence,
        group_key="g" * 64,
        function="skip_when_success",
        business=game,
        title="同机同类",
        opened_at=now,
        last_joined_at=now,
    )


def delivery_of(execution: Execution, key: str = "one", **fields: Any) -> Delivery:
    """Make a delivery by the mail channel that says how the execution ended."""
    said = {"kind": "email", "config": {"to": ["ops@example.com"]}}
    channel, _made = Channel.objects.get_or_create(name="邮件", defaults=said)
    row = outbox.post(
        dedup_key=key,
        kind="email",
        event="execution.failed",
        message=Message("plain", title="失败", text="失败"),
        channel=channel,
        recipients=["ops@example.com"],
        alert=execution.alert,
        execution=execution,
        approval_ref=fields.pop("approval_ref", None),
        now=timezone.now(),
    )
    assert row is not None
    Delivery.objects.filter(pk=row.pk).update(**fields)
    row.refresh_from_db()
    return row


def build(game: Business) -> World:
    """Make an execution that waits for a yes, one with a step of which nobody knows, and what is around them."""
    now = timezone.now()
    host = factories.host(IP, business=game)
    package = factories.package(business=game)
    rule = factories.rule(package=package, match={"business": "game"})
    incident = storm(game)
    held = run(state="held", needs_approval=True, rule=rule, package=package, incident=incident, verdict="approve")
    lost = run(state="unknown", rule=rule, package=package, started_at=now, ended_at=now)
    step = factories.step(lost, name="等一下", state="unknown", attempt=1, started_at=now, error="连接中断")
    Policy.objects.get_or_create(name="default", defaults={"stages": STAGES})
    approval = services.open_gate(held, ["规则为审批模式"], now)
    delivery = delivery_of(lost, state="failed", attempts=3, last_code="535", last_error="认证失败", remedy="改密码")
    shield = Shield.objects.create(
        name="发布", match={"business": "game"}, starts_at=now, ends_at=now + timedelta(hours=1), reason="发布"
    )
    notifying = NotificationRule.objects.create(name="失败就说", events=["execution.failed"])
    notifying.channels.add(Channel.objects.get())
    duty = Duty.objects.create(name="一线", people=["lisi"])
    entry = audit.record("tester", "alert.look", held.alert)
    caller = ApiKey.objects.filter(user__groups__name="operator", user__person__businesses=game).get().user
    backtest = BacktestRun.objects.create(requested_by=caller, created_at=now)
    keys = {
        "backtest": backtest.pk,
        "alert": lost.alert_id,
        "execution": lost.pk,
        "incident": incident.pk,
        "package": package.key,
        "rule": rule.pk,
        "convergence-rule": incident.rule_id,
        "shield": shield.pk,
        "host": host.ip,
        "duty": duty.name,
        "business": game.code,
        "audit": entry.pk,
        "approval": approval.pk,
        "channel": delivery.channel_id,
        "notification-rule": notifying.pk,
        "delivery": delivery.pk,
    }
    return World(held, lost, step, incident, approval, delivery, entry, keys)
