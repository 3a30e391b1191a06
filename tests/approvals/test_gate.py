"""What an approval settles and permits in the execution that it is about."""

import pytest
from django.utils import timezone

from approvals import gate, services
from approvals.models import Policy
from fta.models import Execution, Person, StepRun
from tests import factories
from tests.approvals.conftest import ask, held, say

pytestmark = pytest.mark.django_db


def running_step() -> StepRun:
    execution = held()
    Execution.objects.filter(pk=execution.pk).update(state="running", needs_approval=False)
    execution.refresh_from_db()
    return factories.step(execution, node=2, type="approval", state="waiting")


def test_it_settles_an_approval_node(default_policy: Policy, operator: Person) -> None:
    step = running_step()
    approval = services.open_node(step, "重启 127.0.0.10（disk_full）", "default", timezone.now())
    assert approval.code == f"{step.execution_id}_2"
    after = factories.step(step.execution, node=3, permit=step)
    permitted = StepRun.objects.filter(gate.Gate().permits(), pk=after.pk)
    assert not permitted.exists()

    say(approval, operator)

    step.refresh_from_db()
    assert (step.state, step.outcome) == ("succeeded", "approved")
    assert permitted.exists()
    Execution.objects.update(plan_sha256="c" * 64)
    StepRun.objects.filter(pk=after.pk).update(plan_sha256="c" * 64)
    assert not permitted.exists()


def test_it_permits_steps_behind_the_gate_only_after_the_yes(default_policy: Policy, operator: Person) -> None:
    execution = held()
    step = factories.step(execution)
    permitted = StepRun.objects.filter(gate.Gate().permits(), pk=step.pk)
    approval = ask(execution)
    assert not permitted.exists()
    say(approval, operator)
    assert permitted.exists()
    gate.Gate().supersede(execution, "计划变了", timezone.now())
    assert not permitted.exists()
