"""The figures of the dashboard and of stats/, from rows whose figures are known by heart.

It is half past midnight in Shanghai: the portal's day began half an hour ago, the database's is still yesterday's.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client

from approvals.models import Approval
from fta.models import Alert, Business, Execution, Person, Switch
from fta.web.figures import Share
from notify.models import Delivery
from tests import factories
from tests.fta.web.conftest import Open

NOW = datetime(2026, 3, 9, 16, 30, tzinfo=UTC)
HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _now() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def alert(business: Business | None, ago: timedelta, outcome: str = "matched", **fields: Any) -> Alert:
    """Make an alert received so long ago; `resolved` is how much later it was."""
    at, resolved = NOW - ago, fields.pop("resolved", None)
    if resolved is not None:
        fields |= {"status": "resolved", "resolved_at": at + resolved}
    return factories.alert(
        host=None, business=business, received_at=at, last_seen_at=at, starts_at=at, outcome=outcome, **fields
    )


def run(cause: Alert, state: str, begun: timedelta | None = None, **fields: Any) -> Execution:
    started = None if begun is None else cause.received_at + begun
    return factories.execution(alert=cause, state=state, received_at=cause.received_at, started_at=started, **fields)


def delivery(**fields: Any) -> None:
    made = {"kind": "email", "event": "x.y", "state": "sent", "created_at": NOW - HOUR}
    made |= {"sent_at": NOW} if fields.get("state", "sent") == "sent" else {}
    Delivery.objects.create(dedup_key=f"d{Delivery.objects.count()}", **made | fields)


def answered(execution: Execution, seconds: int | None, state: str = "approved") -> None:
    at = NOW - 2 * HOUR
    decided = None if seconds is None else at + seconds * SECOND
    code = f"c{Approval.objects.count()}"
    Approval.objects.create(
        code=code, first_code=code, kind="gate", execution=execution, state=state, message="m",
        created_at=at, expires_at=NOW, decided_at=decided,
    )  # fmt: skip


@pytest.fixture
def lived(game: Business, pay: Business) -> None:
    """Ten alerts of the game business in seven days, one of pay, one of nobody."""
    healed = run(alert(game, HOUR, resolved=600 * SECOND, repeat_count=3), "succeeded", 20 * SECOND, healed="healed")
    failed = run(alert(game, HOUR / 6, resolved=300 * SECOND), "failed", 40 * SECOND)
    run(alert(game, 2 * HOUR), "skipped", verdict="skip")
    run(alert(game, 3 * DAY), "skipped", verdict="wait")
    run(alert(game, DAY), "below_threshold", verdict="below")
    run(alert(game, 3 * HOUR), "skipped", verdict="approve")  # refused by a person
    run(alert(game, 4 * HOUR, "shielded"), "shielded")
    alert(game, 5 * HOUR, "unmatched")
    back = alert(game, 6 * DAY + HOUR / 3, resolved=900 * SECOND)  # ten past midnight
    run(back, "succeeded", 60 * SECOND, healed="relapsed")
    alert(game, 7 * DAY - HOUR / 6, resolved=-60 * SECOND)  # was over before it was received
    alert(game, 7 * DAY + HOUR / 6)  # before the period
    other = run(alert(pay, HOUR / 2, resolved=100 * SECOND), "succeeded", 100 * SECOND, healed="healed")
    alert(None, HOUR, "unmatched")
    by_hand = {"received_at": NOW - HOUR, "started_at": NOW, "state": "succeeded", "business": game}
    factories.execution(**by_hand)  # answers no alert

    delivery(execution=healed)
    delivery(alert=failed.alert)
    delivery(alert=failed.alert, provider={"digest": 1})  # went out within another
    delivery(alert=failed.alert, sent_at=None)  # called off
    delivery(alert=failed.alert, state="failed")
    delivery(execution=other)
    delivery(event="channel.test")
    for seconds in (60, 300):
        answered(healed, seconds)
    answered(failed, 120, "refused")
    answered(failed, None, "pending")
    answered(other, 1000)


def shown(person: Person, browser: Open, days: int = 7) -> Any:
    answer = browser(person).get(f"/?days={days}")
    assert answer.status_code == 200
    return answer


def of(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = answer.context["figures"]
    return found


GAME = {
    "mtta": 40 * SECOND,
    "mttr": 600 * SECOND,
    "alerts": 10,
    "converged": 3,
    "healed": 1,
    "verified": Share(1, 2),
    "noise": Share(11, 13),
    "told": 13,
    "sent": 2,
    "wait": 120.0,
    "decisions": 3,
}
ALL = {
    "mtta": 55 * SECOND,
    "mttr": 475 * SECOND,
    "alerts": 12,
    "converged": 3,
    "healed": 2,
    "verified": Share(2, 3),
    "noise": Share(12, 15),
    "told": 15,
    "sent": 3,
    "wait": 210.0,
    "decisions": 4,
}
PAY = {
    "mtta": 100 * SECOND,
    "mttr": 100 * SECOND,
    "alerts": 1,
    "converged": 0,
    "healed": 1,
    "verified": Share(1, 1),
    "noise": Share(0, 1),
    "told": 1,
    "sent": 1,
    "wait": 1000.0,
    "decisions": 1,
}
NOTHING = {name: None if name in ("mtta", "mttr", "wait") else 0 for name in GAME}
NOTHING |= {"verified": Share(0, 0), "noise": Share(0, 0)}


def test_each_sees_the_figures_of_the_own_businesses(
    lived: None, admin: Person, operator: Person, viewer: Person, approver: Person, stranger: Person, browser: Open
) -> None:
    wanted = {admin: ALL, operator: GAME, viewer: GAME, approver: PAY, stranger: NOTHING}
    assert {person: of(shown(person, browser)) for person in wanted} == wanted


def test_a_day_is_counted_from_now(lived: None, operator: Person, browser: Open) -> None:
    found = of(shown(operator, browser, 1))
    assert (found["alerts"], found["converged"], found["healed"], found["told"]) == (7, 2, 1, 10)
    assert (found["mtta"], found["mttr"], found["verified"]) == (30 * SECOND, 450 * SECOND, Share(1, 1))
    assert of(shown(operator, browser, 30))["alerts"] == 11


def test_the_page_shows_every_figure(lived: None, operator: Person, browser: Open) -> None:
    text = shown(operator, browser).content.decode()
    for words in (
        ">40 秒<", ">10 分钟<", "告警 → 收敛 → 自愈", ">10<", "收敛 3 条，自愈 1 条", "50.0<small>%", "1 / 2", "84.6<small>%",
        "13 次告警，2 条消息", ">2 分钟<", "3 次决定", "已收敛",
    ):  # fmt: skip
        assert words in text, words


def test_without_a_sample_there_is_no_figure(admin: Person, browser: Open) -> None:
    answer = shown(admin, browser)
    assert of(answer) == NOTHING
    assert answer.context["by_business"] == []
    assert [sum(series["data"]) for series in answer.context["chart"]["series"]] == [0] * 4
    assert answer.content.decode().count(">—<") == 5


def test_businesses_are_told_apart(lived: None, admin: Person, operator: Person, browser: Open) -> None:
    def rows(person: Person) -> list[tuple[Any, ...]]:
        found = shown(person, browser).context["by_business"]
        return [(row.name, row.alerts, row.converged, row.executions, row.verified) for row in found]

    game = ("游戏大区", 10, 3, 3, Share(1, 2))
    assert rows(operator) == [game]
    assert rows(admin) == [game, ("支付", 1, 0, 1, Share(1, 1)), ("未归属", 1, 0, 0, Share(0, 0))]


def chart(person: Person, browser: Open, days: int) -> tuple[list[str], dict[str, list[int]]]:
    found = shown(person, browser, days).context["chart"]
    return found["labels"], {series["state"]: series["data"] for series in found["series"]}


def test_days_are_whole_ones_of_the_portals_time_zone(lived: None, operator: Person, browser: Open) -> None:
    labels, series = chart(operator, browser, 7)
    assert labels == ["03-04", "03-05", "03-06", "03-07", "03-08", "03-09", "03-10"]
    assert series == {
        "skipped": [0, 0, 0, 0, 0, 3, 0],
        "converging": [0, 0, 0, 1, 0, 2, 0],
        "succeeded": [0, 0, 0, 0, 0, 1, 0],
        "failed": [1, 0, 0, 0, 0, 0, 1],
    }
    labels, series = chart(operator, browser, 1)
    assert labels == ["03-09", "03-10"]
    assert series == {"skipped": [3, 0], "converging": [2, 0], "succeeded": [1, 0], "failed": [0, 1]}
    assert len(chart(operator, browser, 30)[0]) == 30


def test_a_failure_of_a_message_about_an_alert_is_counted_for_its_business(
    lived: None, operator: Person, approver: Person, browser: Open
) -> None:
    counts = [shown(person, browser).context["failed_deliveries"] for person in (operator, approver)]
    assert counts == [1, 0]


def test_a_halt_is_told_to_those_whom_it_concerns(
    operator: Person, approver: Person, stranger: Person, browser: Open
) -> None:
    Switch.objects.create(scope="business", key="game", reason="数据库割接", created_by="lisi")
    found = ["数据库割接" in shown(person, browser).content.decode() for person in (operator, approver, stranger)]
    assert found == [True, False, False]


def test_stats_say_the_same(lived: None, game: Business, client: Client) -> None:
    factories.api_key("stats-key-0123456789abcdef", "viewer", game)

    def stats(days: int) -> Any:
        headers = {"Authorization": "Bearer stats-key-0123456789abcdef"}
        return client.get(f"/api/v1/stats/?days={days}", headers=headers).json()

    found = stats(7)
    states = {state: count for state, count in found.pop("executions").items() if count}
    assert states == {"succeeded": 3, "failed": 1, "skipped": 3, "below_threshold": 1, "shielded": 1}
    judged = {"pending": 0, "resolved": 0, "healed": 1, "not_healed": 0, "relapsed": 1}
    assert found == {"days": 7, "alerts": 10, "converged": 3, "healed": 1, "judged": judged}
    assert (stats(1)["alerts"], stats(1)["converged"]) == (7, 2)
