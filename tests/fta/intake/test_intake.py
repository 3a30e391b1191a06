"""The intake at its doors: credentials, limits, refusals with a reason, odd words."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError
from django.test import Client, override_settings

from fta import pipeline
from fta.lib.secrets import digest
from fta.models import Alert, Inbox, Source
from tests import factories
from tests.fta.intake.posting import SECRET, body, post, process

pytestmark = pytest.mark.django_db


def test_it_stores_the_body_before_it_answers(client: Client, rest: Source) -> None:
    answer = post(client, body())
    assert answer.status_code == 202
    inbox = Inbox.objects.get()
    assert answer.json() == {"accepted": 1, "inbox": inbox.pk}
    assert json.loads(bytes(inbox.raw)) == body()
    assert (inbox.state, Alert.objects.count()) == ("new", 0)
    process()
    alert = Alert.objects.get()
    assert (alert.alert_type, alert.target, alert.host and alert.host.ip) == ("disk_full", "127.0.0.10", "127.0.0.10")
    assert (alert.business and alert.business.code, alert.registered, alert.outcome) == ("game", True, "unmatched")
    inbox.refresh_from_db()
    assert inbox.state == "done"
    assert inbox.results[0]["id"] == alert.pk


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Secret": SECRET},
        {"Authorization": f"Bearer {SECRET}"},
        {"Authorization": "Basic " + base64.b64encode(f"grafana:{SECRET}".encode()).decode()},
    ],
)
def test_it_takes_the_credential_where_tools_can_put_it(client: Client, rest: Source, headers: dict[str, str]) -> None:
    assert post(client, body(), **headers).status_code == 202


def test_it_takes_the_credential_in_the_path_with_and_without_the_slash(client: Client, rest: Source) -> None:
    for path in (f"/intake/rest/{SECRET}/", f"/intake/rest/{SECRET}"):
        assert post(client, body(), path, Accept="*/*").status_code == 202


@pytest.mark.parametrize("headers", [{"Accept": "*/*"}, {"X-Secret": "wrong"}, {"Authorization": "Bearer wrong"}])
def test_it_refuses_a_wrong_credential(client: Client, rest: Source, headers: dict[str, str]) -> None:
    assert post(client, body(), **headers).status_code == 401
    assert not Inbox.objects.exists()


@pytest.mark.parametrize(
    "path",
    ["/intake/rest/wrong/", "/intake/rest/x", "/intake/rest/a-secret-of-nobody/", "/event/api/demo%00/"],
)
def test_it_refuses_a_wrong_credential_in_the_path(client: Client, rest: Source, path: str) -> None:
    assert post(client, body(), path, Accept="*/*").status_code == 401


def test_it_refuses_the_secret_of_another_kind_or_of_a_disabled_source(client: Client, rest: Source) -> None:
    assert post(client, {"alerts": []}, "/intake/alertmanager/").status_code == 401
    Source.objects.update(enabled=False)
    assert post(client, body()).status_code == 401


def test_it_takes_the_old_secret_only_while_it_is_being_rotated(client: Client, rest: Source) -> None:
    now = datetime.now(UTC)
    Source.objects.update(
        secret_digest=digest("the-new-secret-0123"),
        previous_digest=digest(SECRET),
        previous_until=now + timedelta(hours=1),
    )
    assert post(client, body()).status_code == 202
    Source.objects.update(previous_until=now - timedelta(seconds=1))
    assert post(client, body()).status_code == 401


def test_it_admits_only_the_listed_addresses(client: Client, rest: Source) -> None:
    Source.objects.update(cidrs=["192.0.2.0/24"])
    assert post(client, body()).status_code == 401
    Source.objects.update(cidrs=["127.0.0.0/8"])
    assert post(client, body()).status_code == 202


def test_it_knows_an_address_in_the_form_of_a_socket_for_both_kinds(client: Client, rest: Source) -> None:
    Source.objects.update(cidrs=["10.0.0.0/8"])
    for address, status in (("::ffff:10.0.0.1", 202), ("::ffff:11.0.0.1", 401), ("fe80::1", 401)):
        answer = client.post(
            "/intake/rest/", body(), "application/json", headers={"X-Secret": SECRET}, REMOTE_ADDR=address
        )
        assert answer.status_code == status, address
    assert Inbox.objects.get().remote_ip == "10.0.0.1"


def test_it_does_not_believe_a_forged_forwarded_header(client: Client, rest: Source) -> None:
    Source.objects.update(cidrs=["192.0.2.0/24"])
    forged = {"X-Secret": SECRET, "X-Forwarded-For": "192.0.2.7"}
    assert post(client, body(), **forged).status_code == 401
    with override_settings(TRUSTED_PROXIES=1):
        assert post(client, body(), **forged).status_code == 202


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"{", "not JSON"),
        (b"null", "must be an object"),
        (b'"x"', "must be an object"),
        (b"[]", "is empty"),
        (b"[" * 100_000, "JSON"),
        (b'{"source_id": "a", "ip": "127.0.0.10", "v": ' + b"9" * 5000 + b"}", "JSON"),
        ({"ip": "127.0.0.10"}, "source_id"),
        ({"source_id": "a"}, "ip"),
        (body(status="odd"), "status"),
        (body(source_time="yesterday"), "source_time"),
        (body(source_time="9999-12-31T23:59:59Z"), "source_time"),
        (body(source_time=253402300799), "source_time"),
        (body(labels={str(n): "x" for n in range(65)}), "labels"),
        (body(labels={"a": "x" * 1025}), "labels.a"),
        (body(labels={"a": {"b": 1}}), "labels.a"),
        ([body(source_id=str(n)) for n in range(1001)], "1001 alerts"),
    ],
)
def test_it_says_why_it_cannot_read_and_keeps_the_body(client: Client, rest: Source, data: Any, word: str) -> None:
    answer = post(client, data)
    assert answer.status_code == 400
    assert word in answer.json()["error"]["message"]
    inbox = Inbox.objects.get()
    assert inbox.state == "rejected"
    assert word in inbox.error


def test_it_refuses_what_is_too_large_or_compressed(client: Client, rest: Source) -> None:
    assert post(client, b'{"a": "' + b"x" * (1024 * 1024) + b'"}').status_code == 413
    assert post(client, body(), **{"X-Secret": SECRET, "Content-Encoding": "gzip"}).status_code == 415
    assert not Inbox.objects.exists()


def test_it_answers_other_methods_and_unknown_kinds_clearly(client: Client, rest: Source) -> None:
    assert client.get("/intake/rest/", headers={"X-Secret": SECRET}).status_code == 405
    answer = post(client, body(), "/intake/nothing/")
    assert answer.status_code == 404
    assert "alertmanager" in answer.json()["error"]["message"]


def test_it_answers_503_when_the_database_fails(client: Client, rest: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr(Inbox, "save", fail)
    answer = post(client, body())
    assert answer.status_code == 503
    assert answer["Retry-After"]


def test_it_answers_what_is_kept_when_the_database_is_lost_then(
    client: Client, rest: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*args: object, **kwargs: object) -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr(Inbox.objects, "filter", lost)
    answer = post(client, body(), "/intake/rest/?wait=1")
    monkeypatch.undo()
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "inbox": Inbox.objects.get().pk, "alerts": []})


@pytest.mark.parametrize(
    ("data", "headers", "status", "word"),
    [
        (body(), {}, 200, ""),
        ([body(), {"content": "of what?"}], {}, 400, "[1]"),
        ("{", {}, 400, "not JSON"),
        (body(), {"X-Secret": "wrong"}, 401, "credential"),
    ],
)
def test_it_only_checks_what_is_sent_to_be_validated(
    client: Client, rest: Source, data: Any, headers: dict[str, str], status: int, word: str
) -> None:
    answer = post(client, data, "/intake/rest/?validate=1", **headers)
    assert answer.status_code == status
    assert answer.json() == {"valid": 1} if status == 200 else word in answer.json()["error"]["message"]
    assert (post(client, data, "/event/api/demo-app/?validate=1", **headers).status_code) == status
    assert Inbox.objects.count() == 0


def test_it_keeps_a_query_that_every_database_takes_and_that_cannot_be_mistaken(client: Client, rest: Source) -> None:
    assert post(client, body(), "/intake/rest/?x=%00a%26relay%3D1&relay=1&secret=s").status_code == 202
    assert Inbox.objects.get().query == "x=a%26relay%3D1"


def test_it_answers_the_same_idempotency_key_as_the_first_time(client: Client, rest: Source) -> None:
    headers = {"X-Secret": SECRET, "Idempotency-Key": "k-1"}
    first = post(client, body(), **headers)
    again = post(client, body(), **headers)
    assert (again.status_code, again.json()) == (202, first.json())
    assert Inbox.objects.count() == 1
    assert post(client, body(source_id="e-2"), **headers).status_code == 422


def test_it_tells_long_idempotency_keys_apart(client: Client, rest: Source) -> None:
    for end, number in (("a", 1), ("b", 2), ("a", 2)):
        headers = {"X-Secret": SECRET, "Idempotency-Key": "k" * 200 + end}
        assert post(client, body(source_id=end), **headers).status_code == 202
        assert Inbox.objects.count() == number


def test_it_writes_labels_as_json_does(client: Client, rest: Source) -> None:
    post(client, body(labels={"canary": True, "prod": False, "shard": 3, "none": None}))
    process()
    assert Alert.objects.get().labels == {"canary": "true", "prod": "false", "shard": "3", "none": ""}


def test_it_takes_an_unregistered_host_to_the_sources_business(client: Client, rest: Source) -> None:
    post(client, body(ip="127.0.0.200"))
    process()
    alert = Alert.objects.get()
    assert (alert.host, alert.registered, alert.business and alert.business.code) == (None, False, "game")


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1", "localhost", "{HOST.IP}"])
def test_it_keeps_an_alert_whose_target_is_unusable(client: Client, rest: Source, ip: str) -> None:
    factories.rule(package=factories.package())
    post(client, body(ip=ip))
    process()
    alert = Alert.objects.get()
    assert alert.outcome == "unusable_target"
    assert not alert.executions.exclude(state="recorded").exists()


def test_it_stores_hostile_text_as_text(client: Client, rest: Source) -> None:
    post(client, body(content="a\x00b\ud800 {{7*7}} $(reboot) <script>", labels={"k\x00": "v\u202e"}))
    process()
    alert = Alert.objects.get()
    assert alert.content == "ab? {{7*7}} $(reboot) <script>"
    assert alert.labels == {"k": "v\u202e"}


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.123456789+08:00", datetime(2026, 1, 1, 19, 4, 5, 123456, tzinfo=UTC)),
        ("2026-01-02 11:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (1767323045, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (1767323045000, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("1767323045", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ],
)
def test_it_reads_times_in_every_form(client: Client, rest: Source, text: Any, moment: datetime) -> None:
    post(client, body(source_time=text))
    process()
    assert Alert.objects.get().starts_at == moment


def test_it_keeps_a_number_that_no_database_takes_as_text(client: Client, rest: Source) -> None:
    raw = json.dumps(body(context={"a": 1})).replace('{"a": 1}', '{"a": 1e999, "b": [-1e999]}')
    assert post(client, raw).status_code == 202
    process()
    assert Alert.objects.get().context == {"a": "inf", "b": ["-inf"]}


def test_it_reads_base64_content_as_the_original_does(client: Client, rest: Source) -> None:
    post(client, body(alarm_content=base64.b64encode("磁盘".encode()).decode(), format="base64", content=None))
    process()
    assert Alert.objects.get().content == "磁盘"


def test_it_answers_the_originals_push_with_its_codes(client: Client, rest: Source) -> None:
    original = {
        "ip": "127.0.0.10",
        "source_id": "o-1",
        "source_time": "2026-01-02 11:04:05",
        "alarm_type": "api_default",
        "alarm_content": "FAILURE",
        "alarm_context": {"key": "value"},
    }
    good = post(client, original, "/event/api/demo-app/")
    assert (good.status_code, good.json()["result"], good.json()["code"]) == (200, True, 1200)
    bad = post(client, {"ip": "127.0.0.10"}, "/event/api/demo-app/")
    assert (bad.status_code, bad.json()["result"], bad.json()["code"]) == (400, False, 1400)
    assert post(client, original, "/event/api/other-app/").status_code == 401
    assert post(client, original, "/event/api/demo-app/", **{"X-Secret": "wrong"}).json()["code"] == 1400
    process()
    alert = Alert.objects.get()
    assert (alert.alert_type, alert.context) == ("api_default", {"key": "value"})


def test_it_loses_only_the_alert_that_cannot_be_processed(
    client: Client, rest: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pipeline.process

    def fail_on_two(alert: Alert, now: datetime) -> Any:
        if alert.external_id == "e-2":
            raise RuntimeError("boom")
        return real(alert, now)

    monkeypatch.setattr(pipeline, "process", fail_on_two)
    post(client, [body(source_id=f"e-{n}") for n in (1, 2, 3)])
    for _ in range(3):
        Inbox.objects.update(not_before=None)
        process()
    assert Inbox.objects.get().state == "done"
    outcomes = dict(Alert.objects.values_list("external_id", "outcome"))
    assert outcomes == {"e-1": "unmatched", "e-2": "fault", "e-3": "unmatched"}


def test_it_marks_a_body_as_poison_that_always_fails(
    client: Client, rest: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(client, body())

    def fail(*args: object) -> Any:
        raise RuntimeError("boom")

    monkeypatch.setattr("fta.intake.kind.store", fail)
    for _ in range(6):
        Inbox.objects.update(not_before=None)
        process()
    inbox = Inbox.objects.get()
    assert (inbox.state, inbox.attempts) == ("poison", 5)
    assert "boom" in inbox.error
