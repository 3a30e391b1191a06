"""How incidents end, how long a storm is one, and that a group has one open incident however many engines there are."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from fta.convergence import converge
from fta.convergence import engine as convergence_engine
from fta.models import Execution, Inbox, Incident, Member
from tests import factories
from tests.conftest import only_on_postgres
from tests.fta.convergence.storm import arrive, rule, run_due


def test_it_closes_an_incident_that_was_quiet_and_opens_another(now: datetime, heard: list[Any]) -> None:
    rule("relate", count=1, window=60)
    arrive(now)
    arrive(now)
    arrive(now + timedelta(seconds=50))
    arrive(now + timedelta(seconds=111))
    arrive(now + timedelta(seconds=112))
    old, new = Incident.objects.order_by("id")
    assert (old.state, old.execution_count) == ("closed", 3)
    assert (new.state, new.execution_count) == ("open", 2)
    names = [name for name, _ in heard]
    assert names == ["incident_opened", "incident_joined", "incident_closed", "incident_opened"]


def test_it_caps_an_incident_at_a_day_and_remembers_who_came_before(now: datetime) -> None:
    rule("wait_when_running", count=1)
    arrive(now)
    arrive(now)
    later = now + timedelta(hours=24, seconds=1)
    Incident.objects.update(last_joined_at=later - timedelta(seconds=10))
    Member.objects.update(received_at=later - timedelta(seconds=10))
    _, verdict = arrive(later)
    assert verdict.kind == "wait"
    assert list(Incident.objects.order_by("id").values_list("state", "execution_count")) == [("closed", 2), ("open", 1)]


@pytest.mark.parametrize(
    ("function", "quiet", "age", "joins"),
    [
        ("relate", {"seconds": 60}, {}, True),
        ("relate", {"seconds": 60, "microseconds": 1}, {}, False),
        ("defense", {"minutes": 30}, {}, True),
        ("defense", {"minutes": 30, "seconds": 1}, {}, False),
        ("relate", {}, {"hours": 24}, True),
        ("relate", {}, {"hours": 24, "microseconds": 1}, False),
    ],
)
def test_it_ends_exactly_when_it_says(
    now: datetime, function: str, quiet: dict[str, int], age: dict[str, int], joins: bool
) -> None:
    rule(function, count=1, window=60)
    arrive(now)
    arrive(now)
    Incident.objects.update(opened_at=now - timedelta(**age), last_joined_at=now - timedelta(**quiet))
    arrive(now)
    first = Incident.objects.earliest("pk")
    assert (first.state, first.execution_count) == (("open", 3) if joins else ("closed", 2))


def test_it_joins_a_storm_within_half_an_hour(now: datetime) -> None:
    rule("defense", count=1, window=60)
    arrive(now)
    arrive(now)
    assert arrive(now + timedelta(minutes=29))[1].kind == "approve"
    assert arrive(now + timedelta(minutes=58))[1].kind == "approve"
    assert Incident.objects.get().execution_count == 4
    assert arrive(now + timedelta(minutes=89))[1].kind == "proceed"


def test_it_gives_an_incident_of_one_business_to_that_business(now: datetime, game: Any) -> None:
    rule("relate", count=1, dimensions=["business", "alert_type"])
    rule("relate", count=1, dimensions=["alert_type"])
    arrive(now)
    arrive(now)
    assert [incident.business for incident in Incident.objects.order_by("id")] == [game, None]


def test_it_never_has_two_open_incidents_of_one_group(now: datetime) -> None:
    rule("relate", count=1)
    arrive(now)
    arrive(now)
    incident = Incident.objects.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        Incident.objects.create(
            rule=incident.rule, group_key=incident.group_key, function="relate", opened_at=now, last_joined_at=now
        )


def make_incident(now: datetime, function: str = "relate", **fields: Any) -> Incident:
    fields.setdefault("opened_at", now)
    fields.setdefault("last_joined_at", now)
    key = hashlib.sha256(str(Incident.objects.count()).encode()).hexdigest()
    made = rule(function, window=60)
    return Incident.objects.create(rule=made, group_key=key, function=function, **fields)


def test_it_closes_what_nobody_joins_any_more(now: datetime, heard: list[Any]) -> None:
    quiet = make_incident(now, last_joined_at=now - timedelta(seconds=61))
    busy = make_incident(now, last_joined_at=now - timedelta(seconds=30))
    storm = make_incident(now, "defense", last_joined_at=now - timedelta(minutes=29))
    day = make_incident(now, opened_at=now - timedelta(hours=25))
    run_due()
    run_due()
    states = {item.pk: item.state for item in Incident.objects.all()}
    assert states == {quiet.pk: "closed", busy.pk: "open", storm.pk: "open", day.pk: "closed"}
    assert [name for name, _ in heard] == ["incident_closed"] * 2


def test_it_closes_nothing_while_alerts_wait_to_be_read(now: datetime) -> None:
    incident = make_incident(now, last_joined_at=now - timedelta(minutes=10))
    Inbox.objects.create(source=factories.source(), kind="rest", raw=b"{}", received_at=now - timedelta(minutes=10))
    run_due()
    incident.refresh_from_db()
    assert incident.state == "open"


def test_it_takes_its_locks_in_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    class Cursor:
        def __enter__(self) -> "Cursor":
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def execute(self, _: str, params: list[int]) -> None:
            taken.extend(params)

    class Connection:
        vendor = "postgresql"

        def cursor(self) -> Cursor:
            return Cursor()

    monkeypatch.setattr(convergence_engine, "connection", Connection())
    keys = [hashlib.sha256(word.encode()).hexdigest() for word in "abcdef"]
    convergence_engine.lock(keys)
    assert taken == sorted(taken)
    assert all(-(1 << 63) <= number < 1 << 63 for number in taken)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_it_opens_one_incident_when_many_come_at_once() -> None:
    only_on_postgres("SQLite has one writer")
    factories.host()
    at = timezone.now()
    rule("defense", count=1)
    rule("skip_when_running", count=3)
    runs = [factories.execution(alert=factories.alert(received_at=at), received_at=at) for _ in range(40)]

    def one(execution: Execution) -> str:
        try:
            return converge(Execution.objects.get(pk=execution.pk), at).kind
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        said = sorted(pool.map(one, runs))
    assert said == ["approve"] * 2 + ["proceed"] + ["skip"] * 37
    for incident in Incident.objects.all():
        assert sorted(incident.members.values_list("ordinal", flat=True)) == list(range(1, 41))
        assert incident.execution_count == 40
    assert Incident.objects.count() == 2
