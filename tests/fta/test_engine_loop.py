"""The engine's own parts: leases kept alive while the work is outside the database."""

import time

import pytest
from django.test import override_settings

from fta.engine import claim
from fta.engine.claim import beating
from fta.models import StepRun
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


def _claimed() -> tuple[StepRun, int]:
    step = factories.step(factories.execution(state="running"))
    return step, claim.claim(StepRun, step.pk, "ready", "running")


def test_it_renews_the_lease_of_long_work() -> None:
    with override_settings(FTA_LEASE_SECONDS=1):
        step, fence = _claimed()
        step.refresh_from_db()
        first = step.lease_until
        with beating(StepRun, step.pk, fence, "running") as beat:
            until = time.monotonic() + 5
            while step.lease_until == first and time.monotonic() < until:
                time.sleep(0.02)
                step.refresh_from_db()
        assert first is not None
        assert step.lease_until is not None
        assert step.lease_until > first
        assert not beat.lost.is_set()


def test_it_tells_a_worker_whose_work_was_taken_over() -> None:
    with override_settings(FTA_LEASE_SECONDS=1):
        step, fence = _claimed()
        with beating(StepRun, step.pk, fence, "running") as beat:
            StepRun.objects.filter(pk=step.pk).update(fence=fence + 1)
            assert beat.lost.wait(2)
