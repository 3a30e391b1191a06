"""Migrations run while processes of the release before go on writing, and on tables that years have filled."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, migrations
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from tests import factories

OWN = ("fta", "notify", "approvals", "wechat")


def test_a_process_of_the_release_before_can_leave_out_every_column_that_was_added() -> None:
    loader = MigrationLoader(None)
    models = loader.project_state().models
    needed = []
    for (app, name), migration in sorted(loader.disk_migrations.items()):
        if app not in OWN or name.startswith("0001_"):
            continue
        for operation in migration.operations:
            if not isinstance(operation, migrations.AddField) or operation.field.many_to_many:
                continue
            model = models.get((app, operation.model_name_lower))
            field = model.fields.get(operation.name) if model else None
            if field is not None and not field.null and not field.has_db_default():
                needed.append(f"{app}.{operation.model_name}.{operation.name} ({name})")
    assert needed == [], "NOT NULL without db_default"


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no time limit")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("number", "before", "statement"),
    [
        ("0006_execution_event_kind", "0005_person_unreached", 'CREATE INDEX "execution_event_kind"'),
        ("0008_member_ended", "0007_void_when_resolved", 'UPDATE "fta_member"'),
    ],
)
def test_what_goes_over_a_large_table_has_no_time_limit(number: str, before: str, statement: str) -> None:
    factories.host()
    limits: list[str] = []

    def watch(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if str(sql).startswith(statement):
            limits.append(_limit())
        return execute(sql, params, many, context)

    usual = _limit()
    try:
        MigrationExecutor(connection).migrate([("fta", before)])
        with connection.execute_wrapper(watch):
            MigrationExecutor(connection).migrate([("fta", number)])
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())
    assert (limits, _limit()) == (["0"], usual)
    assert usual != "0"


def _limit() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return str(cursor.fetchone()[0])
