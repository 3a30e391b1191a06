"""Episodes: repeats, the end, the next one, what was only noted, and ends that come first."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from fta import signals
from fta.intake import store
from fta.models import Alert, AlertEvent, Inbox, Source
from tests import factories
from tests.fta.intake.posting import body, post, process

pytestmark = pytest.mark.django_db


def test_it_counts_repeats_and_closes_the_episode(client: Client, rest: Source) -> None:
    for _ in range(3):
        post(client, body())
    process()
    alert = Alert.objects.get()
    assert (alert.repeat_count, alert.status) == (2, "firing")
    post(client, body(status="resolved"))
    process()
    alert.refresh_from_db()
    assert alert.status == "resolved"
    assert alert.resolved_at is not None
    # the same message again is an old one: it opens nothing
    post(client, body(source_time="2020-01-01 00:00:00"))
    post(client, body(source_time="2020-01-01 00:00:00"))
    process()
    assert Alert.objects.filter(status="firing").count() <= 1


def test_it_opens_a_new_episode_when_the_problem_comes_back(client: Client, rest: Source) -> None:
    times = ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"]
    post(client, body(source_time=times[0]))
    post(client, body(source_time=times[1], status="resolved"))
    post(client, body(source_time=times[2]))
    post(client, body(source_time=times[0]))  # a late repeat of the first episode
    process()
    assert list(Alert.objects.order_by("id").values_list("status", flat=True)) == ["resolved", "firing"]


def test_it_records_a_late_resolved_without_applying_it(client: Client, rest: Source) -> None:
    post(client, body(source_time="2026-01-01T02:00:00Z"))
    post(client, body(source_time="2026-01-01T01:00:00Z", status="resolved"))
    process()
    assert Alert.objects.get().status == "firing"
    assert list(AlertEvent.objects.filter(status="resolved").values_list("applied", flat=True)) == [False]


def test_it_keeps_a_resolved_with_nothing_open(client: Client, rest: Source) -> None:
    post(client, body(status="resolved"))
    process()
    assert not Alert.objects.exists()
    assert AlertEvent.objects.get().applied is False


NOTED = {
    "rest": [{"status": "no_data", "ip": "unknown-host"}, {"status": "acknowledged"}],
    "grafana": [{"state": "no_data", "evalMatches": []}, {"state": "pending"}],
}
FIRING = {"rest": {"status": "firing"}, "grafana": {"state": "alerting"}}


def word_of(kind: str, word: dict[str, Any]) -> dict[str, Any]:
    """A body of this kind about one problem."""
    if kind == "rest":
        return body(**word)
    matches = [{"metric": "disk", "value": 98, "tags": {"instance": "127.0.0.10:9100"}}]
    return {"ruleId": 7, "ruleName": "disk_full", "ruleUrl": "http://g/d/1", "evalMatches": matches, **word}


@pytest.mark.parametrize(("kind", "noted"), [(kind, word) for kind, words in NOTED.items() for word in words])
@pytest.mark.parametrize("together", [True, False])
def test_it_heals_what_fires_after_it_was_only_noted(
    kind: str, noted: dict[str, Any], together: bool, client: Client, rest: Source
) -> None:
    Source.objects.update(kind=kind)
    factories.rule(package=factories.package())
    fired: list[Any] = []

    def hear(alerts: list[Alert], **kwargs: Any) -> None:
        fired.extend(alert.status for alert in alerts)

    signals.alerts_fired.connect(hear)
    try:
        for word in (noted, noted, FIRING[kind], FIRING[kind]):
            post(client, word_of(kind, word), f"/intake/{kind}/")
            if not together:
                process()
        process()
    finally:
        signals.alerts_fired.disconnect(hear)
    alert = Alert.objects.get()
    assert (alert.status, alert.outcome, alert.host and alert.host.ip) == ("firing", "matched", "127.0.0.10")
    assert alert.repeat_count == (1 if noted.get("state") == "pending" else 3)
    said = Inbox.objects.order_by("pk")[2]
    assert (alert.inbox, alert.received_at) == (said, said.received_at)
    assert alert.executions.get().received_at == said.received_at
    assert [result["duplicate"] for inbox in Inbox.objects.order_by("pk")[2:] for result in inbox.results] == [
        False,
        True,
    ]
    assert fired == ["firing"]


def test_it_gives_a_firing_its_whole_time_though_it_was_noted_long_ago(client: Client, rest: Source) -> None:
    rule = factories.rule(package=factories.package(), stale_after=60)
    post(client, body(status="no_data", source_time="2026-01-01T00:00:00Z"))
    process()
    Alert.objects.update(received_at=datetime(2026, 1, 1, tzinfo=UTC))
    post(client, body())
    process()
    alert = Alert.objects.get()
    execution = alert.executions.get()
    assert execution.state not in ("recorded", "skipped")
    assert execution.deadline_at - execution.received_at == timedelta(seconds=rule.timeout)
    assert alert.last_seen_at - execution.received_at == timedelta()


def test_it_fires_once_when_another_engine_took_up_the_firing(
    client: Client, rest: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.rule(package=factories.package())
    post(client, body(status="no_data"))
    process()
    stale = Alert.objects.select_related("source", "host__business", "business").get()
    post(client, body())
    process()
    real, seen = store._open_episodes, [stale]

    def look(wave: Any) -> Any:
        """See once what was there before the other engine's commit."""
        return {(stale.source_id, stale.fingerprint): seen.pop()} if seen else real(wave)

    monkeypatch.setattr(store, "_open_episodes", look)
    post(client, body())
    process()
    alert = Alert.objects.get()
    assert (alert.status, alert.outcome, alert.repeat_count, alert.executions.count()) == ("firing", "matched", 2, 1)
    assert list(Inbox.objects.values_list("state", "attempts")) == [("done", 0)] * 3
    assert seen == []


def test_it_is_not_fired_again_by_an_old_word_or_by_a_noted_one(client: Client, rest: Source) -> None:
    factories.rule(package=factories.package())
    times = ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"]
    post(client, body(source_time=times[0]))
    post(client, body(source_time=times[1], status="resolved"))
    post(client, body(source_time=times[2], status="no_data"))
    post(client, body(source_time=times[0]))  # of the first episode
    process()
    old, noted = Alert.objects.order_by("pk")
    assert (old.status, noted.status, noted.outcome, noted.executions.count()) == (
        "resolved",
        "no_data",
        "not_firing",
        0,
    )
    for status in ("firing", "acknowledged", "no_data", "firing"):
        post(client, body(source_time="2026-01-01T03:00:00Z", status=status))
    process()
    noted.refresh_from_db()
    assert (noted.status, noted.outcome, noted.executions.count()) == ("acknowledged", "matched", 1)


GROUP = {"labels": {"alertname": "disk_full", "instance": "127.0.0.10:9100"}, "fingerprint": "f0"}
START, END = "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("kind", ["alertmanager", "grafana"])
@pytest.mark.parametrize(
    ("end", "starts_at", "status"),
    [
        ({"startsAt": START, "endsAt": END}, START, "resolved"),
        ({"startsAt": START, "endsAt": END}, "2026-01-01T01:00:00Z", "firing"),  # the next episode
        ({"startsAt": START}, START, "firing"),  # nobody says that it ended after its start
        ({"startsAt": START, "endsAt": START}, START, "firing"),
        ({"endsAt": END}, None, "firing"),  # nothing names the episode
    ],
)
def test_it_keeps_an_episode_as_over_whose_end_came_first(
    kind: str, end: dict[str, str], starts_at: str | None, status: str, together: bool, client: Client, rest: Source
) -> None:
    Source.objects.update(kind=kind)
    factories.rule(package=factories.package())
    start = {"startsAt": starts_at} if starts_at else {}
    for word in ({"status": "resolved", **end}, {"status": "firing", **start}, {"status": "firing", **start}):
        post(client, {"alerts": [{**GROUP, **word}]}, f"/intake/{kind}/")
        if not together:
            process()
    process()
    alert = Alert.objects.get()
    assert alert.status == status
    if status == "resolved":
        assert (alert.outcome, alert.executions.count()) == ("not_firing", 0)
        assert alert.resolved_at == datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
        assert alert.outcome_detail
        assert set(alert.events.values_list("status", "applied")) == {("resolved", True), ("firing", True)}
        assert [r["status"] for r in Inbox.objects.order_by("pk")[1].results] == ["resolved"]
    else:
        assert alert.executions.count() == 1


def test_it_does_not_take_the_one_time_of_a_push_for_two(client: Client, rest: Source) -> None:
    factories.rule(package=factories.package())
    for status in ("resolved", "firing"):
        post(client, body(status=status, source_time=START))
    process()
    assert Alert.objects.get().status == "firing"
