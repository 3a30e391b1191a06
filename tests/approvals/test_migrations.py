"""Migrations meet rows: a fresh database says nothing of an update."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from approvals.models import Approval
from tests.approvals.conftest import ask, held, policy

BEFORE, AFTER = ("approvals", "0002_duties_moved"), ("approvals", "0003_codes_of_rounds")


def migrate(to: tuple[str, str]) -> None:
    MigrationExecutor(connection).migrate([to])


@pytest.mark.django_db(transaction=True)
def test_rounds_that_were_asked_before_they_had_codes_get_theirs(game: object) -> None:
    policy()
    execution = held()
    for _round in range(2):
        ask(execution)
        execution.refresh_from_db()
    try:
        migrate(BEFORE)
        with connection.cursor() as cursor:
            cursor.execute("SELECT DISTINCT code FROM approvals_approval")
            assert cursor.fetchall() == [(f"{execution.pk}_0",)]
    finally:
        migrate(AFTER)
    rows = Approval.objects.order_by("round").values_list("first_code", "code", "round")
    assert list(rows) == [
        (f"{execution.pk}_0", f"{execution.pk}_0", 1),
        (f"{execution.pk}_0", f"{execution.pk}_0_2", 2),
    ]
