"""A storm of five hundred: each held execution keeps its own approval, people get one message and give one decision."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from approvals.models import Approval, Policy
from fta import pipeline
from fta.models import Business, ConfigVersion, Execution, Incident, Person
from notify.models import Delivery
from tests import factories
from tests.conftest import only_on_postgres

STORM = 500


@pytest.mark.postgres
@pytest.mark.timeout(600)
def test_five_hundred_held_are_five_hundred_approvals_and_one_decision(
    game: Business, operator: Person, client: Client
) -> None:
    only_on_postgres("a minute of work")
    Policy.objects.create(name="default", stages=[{"approvers": [{"role": "operator"}]}])
    factories.rule(match={}, package=factories.package("clean", risk="high"))
    factories.convergence_rule("异常防御", function="defense", count=1, dimensions=["business", "alert_type"])
    ConfigVersion.bump("rules")
    ConfigVersion.bump("convergence")
    now = timezone.now()
    for number in range(STORM + 1):
        at = now + timedelta(milliseconds=number)
        ip = f"127.0.{4 + number // 250}.{1 + number % 250}"
        alert = factories.alert(target=ip, host=factories.host(ip), received_at=at, starts_at=at)
        pipeline.process(alert, at)

    held = Execution.objects.filter(state=Execution.State.HELD)
    assert (held.count(), Approval.objects.filter(state="pending").count(), Incident.objects.count()) == (500, 500, 1)
    # The message, and one update on how it grew, which waits for its five minutes.
    assert Delivery.objects.filter(event="approval.asked").values("dedup_key").distinct().count() == 2

    client.force_login(operator.user, backend="django.contrib.auth.backends.ModelBackend")
    page = f"/incidents/{Incident.objects.get().pk}/"
    listed = re.findall(r'name="picked" value="([^"]+)"', client.get(page).content.decode())
    assert len(set(listed)) == STORM
    answer = {"incident": Incident.objects.get().pk, "picked": listed, "answer": "approve", "comment": "交换机已换"}
    said = client.post("/approvals/decide/", answer, follow=True).content.decode()

    assert f"已同意 {STORM} 个" in said
    assert Approval.objects.filter(state="approved", decided_by=operator.user).count() == STORM
    assert Execution.objects.filter(state=Execution.State.READY).count() == STORM + 1
