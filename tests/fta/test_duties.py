"""Duty lists: whose turn it is."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from fta.models import Duty, Person
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def people() -> list[Person]:
    return [factories.person(name) for name in "abch"]


def day(text: str) -> datetime:
    """Return noon of a day of 2026 in the portal's zone."""
    return timezone.make_aware(datetime.fromisoformat(f"2026-{text}T12:00"))


@pytest.mark.parametrize(
    ("rotation", "before", "after"),
    [
        # Shanghai: 08:59 and 09:00 of a Monday, then of a Tuesday
        ("week", datetime(2026, 1, 5, 0, 59, tzinfo=UTC), datetime(2026, 1, 5, 1, 0, tzinfo=UTC)),
        ("day", datetime(2026, 1, 6, 0, 59, tzinfo=UTC), datetime(2026, 1, 6, 1, 0, tzinfo=UTC)),
    ],
)
def test_it_turns_at_the_handover(rotation: str, before: datetime, after: datetime) -> None:
    Duty.objects.create(name="d", rotation=rotation, people=["a", "b"])
    length = timedelta(days=1 if rotation == "day" else 7)
    turns = [
        Duty.objects.on_duty("d", at) for at in (before, after, after + length - timedelta(minutes=1), after + length)
    ]
    assert turns in (["a", "b", "b", "a"], ["b", "a", "a", "b"])


def test_a_replacement_goes_before_the_turn_and_before_a_holiday() -> None:
    cover = {"person": "c", "from": day("10-02").isoformat(), "to": day("10-03").isoformat()}
    holiday = {"name": "国庆节", "from": "2026-10-01", "to": "2026-10-07"}
    row = Duty(name="d", people=["a"], overrides=[cover], holidays=[holiday], holiday_people=["h"])
    assert [row.on_duty(day(text)) for text in ("09-30", "10-01", "10-02", "10-03", "10-08")] == list("ahcha")
    assert [(turn.username, turn.why) for turn in row.turns(day("09-30"), day("10-08"))] == [
        ("a", ""), ("h", "国庆节"), ("c", "override"), ("h", "国庆节"), ("a", "")
    ]  # fmt: skip


def test_a_holiday_begins_at_the_handover_and_changes_nothing_without_people_of_its_own() -> None:
    holiday = {"name": "元旦", "from": "2026-01-01", "to": "2026-01-01"}
    row = Duty(name="d", people=["a"], holidays=[holiday], holiday_people=["h"])
    midnight = day("01-01").replace(hour=0)
    moments = [midnight + timedelta(hours=hours) for hours in (8, 9, 32, 33)]
    assert [row.on_duty(at) for at in moments] == list("ahha")
    row.holiday_people = []
    assert {row.on_duty(at) for at in moments} == {"a"}


def test_whoever_has_left_is_passed_over() -> None:
    Person.objects.filter(user__username="a").update(active=False)
    cover = {"person": "a", "from": day("01-05").isoformat(), "to": day("01-06").isoformat()}
    row = Duty(name="d", rotation="day", people=["a", "b", "c"], overrides=[cover])
    on = [row.on_duty(day(f"01-{number:02}")) for number in range(5, 11)]
    assert sorted(on) == ["b"] * 4 + ["c"] * 2
    assert Duty(name="e", people=["a"]).on_duty(day("01-05")) == ""


def test_nobody_is_on_duty_in_a_list_that_is_not_there() -> None:
    assert Duty.objects.on_duty("unknown", timezone.now()) == ""
    assert Duty(name="d", people=[]).on_duty(timezone.now()) == ""


@pytest.mark.parametrize("span", [timedelta(days=14), timedelta(hours=1)])
def test_the_turns_of_a_span_leave_no_gap(span: timedelta) -> None:
    row: Any = Duty(name="d", rotation="day", people=["a", "b"])
    begins = day("03-01")
    turns = list(row.turns(begins, begins + span))
    assert (turns[0].begins, turns[-1].ends) == (begins, begins + span)
    assert all(one.ends == two.begins for one, two in itertools.pairwise(turns))
