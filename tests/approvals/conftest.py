"""An execution that waits, asked about the way the portal asks."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from approvals import services
from approvals.models import Approval, ApprovalAdmin, Policy
from fta import signals
from fta.healing import plan
from fta.models import AuditEntry, Business, Execution, Incident, Person
from notify.delivery import DeliveryKind
from tests import factories
from tests.notify.test_transports import sink
from tests.wechat.conftest import app, corp

__all__ = ["app", "corp", "sink"]  # fixtures that the tests of the doors share

DEFAULT_STAGES = [{"approvers": [{"role": "operator"}, {"role": "maintainer"}], "quorum": 1}]


def policy(name: str = "default", **fields: Any) -> Policy:
    fields.setdefault("stages", DEFAULT_STAGES)
    return Policy.objects.create(name=name, **fields)


def held(business: Business | None = None, ip: str = "127.0.0.10", **fields: Any) -> Execution:
    """Return an execution that waits at the gate with a frozen plan."""
    host = factories.Host.objects.filter(ip=ip).first() or factories.host(ip, business=business or factories.business())
    package = factories.Package.objects.filter(key="clean-disk").first() or factories.package()
    fields.setdefault("alert", factories.alert(target=ip, host=host))
    made = factories.execution(package=package, state="held", needs_approval=True, **fields)
    frozen = plan.freeze(made, None, package.current, {}, timezone.now())
    Execution.objects.filter(pk=made.pk).update(plan=frozen.data, plan_sha256=frozen.sha256)
    made.refresh_from_db()
    return made


def ask(execution: Execution | None = None, **fields: Any) -> Approval:
    return services.open_gate(execution or held(**fields), ["规则为审批模式"], timezone.now())


def age(approval: Approval, **fields: Any) -> Approval:
    """Let the time of an approval pass: expired a minute ago unless told otherwise."""
    fields = fields or {"expires_at": timezone.now() - timedelta(minutes=1)}
    Approval.objects.filter(pk=approval.pk).update(**fields)
    approval.refresh_from_db()
    return approval


def say(
    approval: Approval, person: Person, answer: str = "approve", channel: str = "reply", seen: str | None = None
) -> Approval:
    """Let somebody answer, and return the approval as it stands then."""
    return services.decide(approval.pk, person.user, answer, "", channel, timezone.now(), seen)


def refused(approval: Approval) -> list[str]:
    """Return why answers to the approval were refused, as the audit has it."""
    rows = AuditEntry.objects.filter(verb="approval.decide_refused", object_id=str(approval.pk)).order_by("id")
    return [row.data["why"] for row in rows]


def send_all() -> None:
    """Send what is due, as the engine would."""
    kind = DeliveryKind()
    while due := kind.due(100, timezone.now()):
        for pk in due:
            kind.do(pk)


@pytest.fixture
def faults() -> Iterator[list[tuple[str, str]]]:
    """What the maintainers are told: (what it is about, text)."""
    heard: list[tuple[str, str]] = []

    def hear(text: str, subject: str, **rest: Any) -> None:
        heard.append((":".join(subject.split(":")[:2]), text))  # without whom it concerns

    signals.system_fault.connect(hear)
    yield heard
    signals.system_fault.disconnect(hear)


@pytest.fixture
def storm(game: Business) -> Incident:
    """A storm of the game business that a defence holds back."""
    now = timezone.now()
    return Incident.objects.create(
        rule=factories.convergence_rule(function="defense"),
        group_key="g",
        function="defense",
        business=game,
        title="游戏大区 disk_full",
        opened_at=now,
        last_joined_at=now,
        execution_count=21,
    )


@pytest.fixture
def default_policy(db: None) -> Policy:
    return policy()


@pytest.fixture
def approval_admin(db: None) -> Person:
    """周七: approval admin, in no business at all."""
    person = factories.person("admin_wx")
    ApprovalAdmin.objects.create(person=person)
    return person
