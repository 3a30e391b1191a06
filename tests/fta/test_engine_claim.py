"""Claims: one winner, ghosts refused, leases judged by the database."""

from datetime import timedelta

import pytest
from django.core.exceptions import FieldError
from django.db import connection
from django.utils import timezone

from fta import audit
from fta.engine import claim
from fta.lib.secrets import SealBroken, redact, seal, unseal
from fta.models import AuditEntry, Credential, StepRun
from tests import factories

pytestmark = pytest.mark.django_db


def _step() -> StepRun:
    return factories.step(factories.execution(state="running"))


def test_it_lets_one_worker_claim_a_row() -> None:
    step = _step()
    fence = claim.claim(StepRun, step.pk, "ready", "running")
    with pytest.raises(claim.NotClaimed):
        claim.claim(StepRun, step.pk, "ready", "running")
    step.refresh_from_db()
    assert (step.state, step.fence, fence) == ("running", 1, 1)
    assert step.lease_until is not None
    assert step.lease_until > timezone.now()


def test_it_refuses_the_result_of_a_ghost() -> None:
    step = _step()
    fence = claim.claim(StepRun, step.pk, "ready", "running")
    StepRun.objects.filter(pk=step.pk).update(fence=fence + 1)
    assert not claim.renew(StepRun, step.pk, fence, "running")
    with pytest.raises(claim.LostLease):
        claim.finish(StepRun, step.pk, fence, "running", "succeeded")
    step.refresh_from_db()
    assert step.state == "running"


def test_it_does_not_claim_before_its_time_and_finds_lapsed_leases() -> None:
    step = _step()
    StepRun.objects.filter(pk=step.pk).update(not_before=timezone.now() + timedelta(minutes=1))
    with pytest.raises(claim.NotClaimed):
        claim.claim(StepRun, step.pk, "ready", "running")
    StepRun.objects.filter(pk=step.pk).update(
        not_before=None, state="running", lease_until=timezone.now() - timedelta(seconds=1)
    )
    assert claim.lapsed(StepRun, "running", 10) == [step.pk]


def test_it_names_the_first_audit_row_that_was_touched() -> None:
    rows = [audit.record("lisi", "rule.change", ("fta.rule", str(n)), n=n) for n in range(5)]
    assert audit.verify() is None
    AuditEntry.objects.filter(pk=rows[2].pk).update(actor="mallory")
    broken = audit.verify()
    assert broken is not None
    assert broken.pk == rows[2].pk


def test_it_names_the_row_after_one_that_was_deleted() -> None:
    rows = [audit.record("lisi", "rule.change", ("fta.rule", str(n))) for n in range(3)]
    AuditEntry.objects.filter(pk=rows[1].pk).delete()
    broken = audit.verify()
    assert broken is not None
    assert broken.pk == rows[2].pk


def test_it_seals_secrets_and_opens_them_only_in_their_column() -> None:
    sealed = seal("s3cret-value", "fta.credential.secret")
    assert "s3cret" not in sealed
    assert unseal(sealed, "fta.credential.secret") == "s3cret-value"
    with pytest.raises(SealBroken):
        unseal(sealed, "wechat.wecomapp.secret")
    assert "s3cret-value" not in redact("the key is s3cret-value, and access_token=abcdef&x=1")
    assert "abcdef" not in redact("access_token=abcdef&x=1")
    for path in ("/intake/grafana/path secret 01/", "/o/intake/rest/path-secret-01"):
        assert "01" not in redact(f"Bad Request: {path}")
    assert redact("Bad Request: /intake/grafana/") == "Bad Request: /intake/grafana/"


def test_it_stores_ciphertext_and_refuses_lookups_by_value() -> None:
    Credential.objects.create(name="k", kind="token", secret="tok-123456")
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM fta_credential")
        raw = cursor.fetchone()[0]
    assert raw.startswith("enc1:")
    assert Credential.objects.get(name="k").secret == "tok-123456"
    with pytest.raises(FieldError):
        Credential.objects.filter(secret="tok-123456").exists()
