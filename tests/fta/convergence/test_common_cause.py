"""Common cause: what the alerts of an incident share beyond its dimensions."""

import threading
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from fta.convergence import close, common_cause
from fta.convergence.kind import IncidentKind
from fta.models import Incident
from tests import factories
from tests.conftest import only_on_postgres
from tests.fta.convergence.storm import arrive, rule, run_due


def test_it_finds_the_common_cause_after_five_minutes(now: datetime) -> None:
    rule("common_cause", count=2, dimensions=["business"])
    for number in range(4):
        factories.host(f"127.0.2.{number}", f"h{number}", set_name="s1" if number else "s2", module=f"m{number}")
        arrive(now, target=f"127.0.2.{number}", labels={"rack": "r7" if number < 2 else str(number)})
    run_due()
    assert "shared" not in Incident.objects.get().findings
    Incident.objects.update(opened_at=now - timedelta(minutes=5, seconds=1))
    run_due()
    found = Incident.objects.get().findings
    shared = {(item["name"], item["value"]): item["share"] for item in found["shared"]}
    assert shared[("set", "s1")] == 0.75
    assert shared[("label:rack", "r7")] == 0.5
    assert not {"business", "module", "host"} & {name for name, _ in shared}
    assert IncidentKind().due(10, timezone.now()) == []


@pytest.mark.parametrize("by_hand", [False, True])
def test_it_finds_the_common_cause_of_what_ends_before_anybody_looked(
    now: datetime, heard: list[Any], by_hand: bool
) -> None:
    rule("common_cause", count=1, dimensions=["business"])
    for _ in range(2):
        arrive(now, labels={f"l{number}": "x" for number in range(25)})
    if by_hand:
        close(Incident.objects.get(), now)
    else:
        arrive(now + timedelta(minutes=5, seconds=1))  # closes it
    incident = Incident.objects.get()
    assert incident.state == "closed"
    assert {f"label:l{number}" for number in range(25)} <= {item["name"] for item in incident.findings["shared"]}
    assert [name for name, _ in heard] == ["incident_opened", "incident_analysed", "incident_closed"]


def test_an_analysis_leaves_what_others_write_meanwhile(now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    _part(now)

    def hide(execution: Any) -> dict[str, str]:
        Incident.objects.update(findings={"hidden_by": 7})
        return {}

    monkeypatch.setattr(common_cause, "values_of", hide)
    run_due()
    found = Incident.objects.get().findings
    assert (found["hidden_by"], found["shared"]) == (7, [])


@pytest.mark.django_db(transaction=True)
def test_what_takes_an_incident_in_leaves_its_analysis(now: datetime) -> None:
    only_on_postgres("SQLite has one writer")
    rule(count=2, dimensions=["business"])
    part = _part(now)
    factories.host("127.0.0.11", "web-11")
    analysed = threading.Event()

    def analyse() -> None:
        try:
            with transaction.atomic():
                IncidentKind().do(part.pk)
                analysed.set()
                time.sleep(0.7)  # the other comes to the row before this is committed
        finally:
            connection.close()

    engine = threading.Thread(target=analyse)
    engine.start()
    analysed.wait(10)
    arrive(now, target="127.0.0.11")
    engine.join(10)
    part.refresh_from_db()
    assert ("shared" in part.findings, "hidden_by" in part.findings, part.visible) == (True, True, False)


def _part(now: datetime) -> Incident:
    """Return an incident of one host that is to be analysed."""
    rule("common_cause", count=1, dimensions=["host"])
    for _ in range(2):
        arrive(now)
    Incident.objects.update(opened_at=now - timedelta(minutes=5, seconds=1))
    return Incident.objects.get()


def test_it_counts_a_third_as_common() -> None:
    rows = [{"rack": "r1"}] * 34 + [{"rack": str(number)} for number in range(100, 166)]
    assert [item["value"] for item in common_cause.shared_values(rows)] == ["r1"]
    assert common_cause.shared_values([*rows[1:], {"rack": "x"}]) == []
    assert common_cause.shared_values([{"rack": "r1"}]) == []
