"""Many at once: the narrow way of machines, bodies that share a commit, alerts that share a transaction."""

import json
import threading
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from fta.engine.loop import Engine
from fta.intake import kind, store
from fta.models import Alert, AlertEvent, Inbox, Source
from tests import factories
from tests.conftest import only_on_postgres

SECRET = "source-secret-0123456789"


def body(number: int, **more: Any) -> dict[str, Any]:
    return {"source_id": f"e-{number}", "alert_type": "disk_full", "ip": "127.0.0.10", "content": "/data", **more}


def post(client: Client, data: Any, **headers: str) -> Any:
    headers = {"X-Secret": SECRET, **headers}
    return client.post("/intake/rest/", json.dumps(data), content_type="application/json", headers=headers)


@pytest.mark.django_db
def test_it_answers_machines_without_a_session_and_with_the_headers_of_pages(client: Client) -> None:
    factories.source()
    for answer in (
        post(client, body(1)),
        client.get("/healthz/"),
        post(client, body(1), **{"X-Secret": "wrong-secret-00"}),
    ):
        assert answer["X-Frame-Options"] == "DENY"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
        assert int(answer["Content-Length"]) == len(answer.content)
        assert not answer.cookies
    assert client.get("/intake/rest/", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/intake/").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_it_keeps_every_body_of_senders_that_come_at_once() -> None:
    factories.source()
    answers: list[Any] = []

    def send(sender: int) -> None:
        try:
            answers.extend(post(Client(), body(sender * 10 + number)) for number in range(5))
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [202] * 40
    told = {answer.json()["inbox"] for answer in answers}
    assert told == set(Inbox.objects.values_list("pk", flat=True))
    assert len(told) == 40


@pytest.mark.django_db(transaction=True)
def test_it_takes_no_body_of_a_source_that_was_closed_a_moment_ago() -> None:
    factories.source()
    assert post(Client(), body(1)).status_code == 202
    Source.objects.update(options={"severity": {"x": "info"}})  # a change that lets the sender in as before
    assert post(Client(), body(2)).status_code == 202
    Source.objects.update(enabled=False)
    assert post(Client(), body(3)).status_code == 401
    assert Inbox.objects.count() == 2


@pytest.mark.django_db
def test_it_stores_many_bodies_in_their_order_with_few_queries(
    client: Client, django_assert_max_num_queries: Any
) -> None:
    factories.source()
    factories.host("127.0.0.10")
    for number in range(20):
        post(client, body(number))
    post(client, body(3))
    post(client, body(4, status="resolved"))
    post(client, body(4, source_time="2030-01-01T00:00:00Z"))
    with django_assert_max_num_queries(150):  # 23 bodies: a further query for each would be seen
        Engine(work=["inbox"]).drain()
    assert Alert.objects.count() == 21
    assert set(Inbox.objects.values_list("state", flat=True)) == {"done"}
    assert Alert.objects.get(external_id="e-3").repeat_count == 1
    assert list(Alert.objects.filter(external_id="e-4").order_by("id").values_list("status", flat=True)) == [
        "resolved",
        "firing",
    ]
    assert not AlertEvent.objects.filter(alert=None).exists()


@pytest.mark.django_db
def test_it_lets_a_bad_body_harm_none_of_those_taken_with_it(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    factories.source()
    real = store.store

    def fail_on_two(wave: list[store.Said]) -> Any:
        if any(item.parsed.external_id == "e-2" for item in wave):
            raise RuntimeError("boom")
        return real(wave)

    monkeypatch.setattr(kind, "store", fail_on_two)
    for number in range(5):
        post(client, body(number))
    Engine(work=["inbox"]).drain()
    states = list(Inbox.objects.order_by("id").values_list("state", "attempts"))
    assert states == [("done", 0), ("done", 0), ("new", 1), ("done", 0), ("done", 0)]
    assert sorted(Alert.objects.values_list("external_id", flat=True)) == ["e-0", "e-1", "e-3", "e-4"]


@pytest.mark.django_db
def test_it_marks_no_alert_because_a_lock_was_not_to_be_had(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    factories.source()
    post(client, body(1))
    Inbox.objects.update(attempts=kind.ONE_BY_ONE_AFTER)

    def locked(*args: object) -> None:
        raise OperationalError("deadlock detected")

    with monkeypatch.context() as patch:
        patch.setattr("fta.pipeline.process", locked)
        kind.InboxKind().do(Inbox.objects.get().pk)
    assert (Inbox.objects.get().state, Alert.objects.count()) == ("new", 0)
    Inbox.objects.update(not_before=None)
    Engine(work=["inbox"]).drain()
    assert [alert.outcome for alert in Alert.objects.all()] == ["unmatched"]


@pytest.mark.django_db
def test_it_keeps_the_order_of_a_source_and_goes_on_with_others(client: Client) -> None:
    """Another engine is at the first source: a body that came later must not overtake those that it has in hand."""
    only_on_postgres("SQLite has one writer")
    busy, other = factories.source(), factories.source("other", secret="other-secret-0123456789")
    post(client, body(1))
    post(client, body(2), **{"X-Secret": "other-secret-0123456789"})
    first, second = Inbox.objects.order_by("id")
    assert (first.source, second.source) == (busy, other)
    elsewhere = connection.copy()
    try:
        with elsewhere.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", [kind._SOURCE_LOCK, busy.pk])
        kind.InboxKind().do(first.pk)
        assert list(Inbox.objects.order_by("id").values_list("state", flat=True)) == ["new", "done"]
    finally:
        elsewhere.close()
    kind.InboxKind().do(first.pk)
    assert set(Inbox.objects.values_list("state", flat=True)) == {"done"}
