"""doctor, post_alert, ensure_admin: what an operator runs on the machine itself."""

import socket
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from fta import audit
from fta.management.commands import doctor
from fta.models import Alert, AuditEntry, Credential, Heartbeat, Inbox, PackageVersion, Person, StepRun
from notify.models import Channel, Delivery
from tests import factories
from tests.stage import free_port

pytestmark = pytest.mark.django_db


def run(name: str, *args: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command(name, *args, stdout=out, stderr=out, no_color=True)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


def part(said: str, name: str) -> tuple[str, str]:
    """Return the state of a part, and its line with the remedy."""
    lines = said.splitlines()
    (at,) = [at for at, line in enumerate(lines) if line[6:].startswith(f"{name}: ")]
    remedy = lines[at + 1] if at + 1 < len(lines) and "->" in lines[at + 1] else ""
    return lines[at][:4].strip(), f"{lines[at]}\n{remedy}"


@pytest.fixture
def engine() -> Heartbeat:
    now = timezone.now()
    return Heartbeat.objects.create(worker="host-1", role="engine", started_at=now, beat_at=now)


# --- doctor ----------------------------------------------------------------------------------------------------------


def test_it_finds_a_good_installation_well(engine: Heartbeat, settings: Any) -> None:
    settings.DEBUG = True
    Credential.objects.create(name="root", kind="password", secret="hunter2-hunter2")
    audit.record("lisi", "rule.add", ("fta.rule", "1"))
    code, said = run("doctor")
    assert code == 0, said
    assert "0 fail" in said
    parts = ("database", "broker", "static files", "system checks", "clock", "engine", "due work", "wecom", "channels")
    assert [part(said, name)[0] for name in parts] == ["ok"] * len(parts)
    assert part(said, "secrets")[1].startswith("ok    secrets: 1 sealed values open")
    assert audit.head()[:16] in part(said, "audit")[1]
    assert "hunter2" not in said


def test_it_fails_without_an_engine_and_says_how_to_start_one() -> None:
    code, said = run("doctor")
    assert code == 1
    state, text = part(said, "engine")
    assert state == "fail"
    assert "manage.py engine" in text
    assert said.rstrip().endswith("1 fail")


def test_it_fails_when_the_engine_is_silent(engine: Heartbeat) -> None:
    Heartbeat.objects.update(beat_at=timezone.now() - timedelta(minutes=2))
    code, said = run("doctor")
    assert (code, part(said, "engine")[0]) == (1, "fail")
    assert "host-1, heartbeat 0:02:0" in said


@pytest.mark.parametrize(("age", "state"), [(0, "ok"), (60, "warn"), (600, "fail")])
def test_it_judges_the_oldest_due_work(engine: Heartbeat, age: int, state: str) -> None:
    step = factories.step(factories.execution(state="running"), state="ready")
    StepRun.objects.filter(pk=step.pk).update(created_at=timezone.now() - timedelta(seconds=age))
    Inbox.objects.create(
        source=factories.source(), kind="rest", raw=b"{}", received_at=timezone.now() - timedelta(days=1),
        not_before=timezone.now() + timedelta(hours=1),
    )  # fmt: skip
    code, said = run("doctor")
    found, text = part(said, "due work")
    assert (found, code) == (state, int(state == "fail"))
    assert "(step)" in text
    assert ("another" in text) == (state != "ok")


def test_it_names_each_sealed_value_that_does_not_open(engine: Heartbeat, settings: Any) -> None:
    old = settings.FTA_SECRET_KEYS
    row = Credential.objects.create(name="root", kind="password", secret="hunter2-hunter2")
    settings.FTA_SECRET_KEYS = ["another-key-that-is-long-enough-0123"]
    code, said = run("doctor")
    assert code == 1
    state, text = part(said, "secrets")
    assert state == "fail"
    assert f"fta.credential.secret of row {row.pk}" in text
    assert "FTA_SECRET_KEYS" in text
    assert part(said, "fta.E006")[0] == "fail"
    settings.FTA_SECRET_KEYS = old
    with connection.cursor() as cursor:  # altered in place: the key is known, the value no longer fits
        cursor.execute("SELECT secret FROM fta_credential")
        sealed = cursor.fetchone()[0]
        cursor.execute(
            "UPDATE fta_credential SET secret = %s", [sealed[:-4] + ("AAA=" if sealed[-4:] != "AAA=" else "BBB=")]
        )
    code, said = run("doctor")
    assert (code, part(said, "secrets")[0]) == (1, "fail")


def test_it_names_failing_channels_and_what_wecom_said(engine: Heartbeat) -> None:
    now = timezone.now()
    Channel.objects.create(name="wecom", kind="wecom_app", last_failed_at=now, last_error="60020 not allow ip")
    Channel.objects.create(name="mail", kind="email", last_failed_at=now, last_ok_at=now + timedelta(seconds=1))
    Channel.objects.create(name="off", kind="email", last_failed_at=now, enabled=False)
    row = Delivery.objects.create(
        kind="wecom_app",
        event="x",
        dedup_key="k",
        state="failed",
        last_error="60020",
        remedy="加入可信 IP",
        created_at=now,
    )
    code, said = run("doctor")
    assert code == 0  # alerts still heal
    assert part(said, "channel")[1].startswith("warn  channel: wecom fails: 60020 not allow ip")
    assert part(said, "wecom")[0] == "warn"
    assert "加入可信 IP" in part(said, "wecom")[1]
    Delivery.objects.filter(pk=row.pk).update(state="sent")
    assert part(run("doctor")[1], "wecom")[0] == "ok"


def test_it_warns_of_a_broker_that_is_away(engine: Heartbeat, settings: Any) -> None:
    settings.CELERY_BROKER_URL = f"redis://:broker-password@127.0.0.1:{free_port()}/0"
    code, said = run("doctor")
    assert (code, part(said, "broker")[0]) == (0, "warn")
    assert "broker-password" not in said
    settings.CELERY_BROKER_URL = "redis://:broker/password@127.0.0.1"
    said = run("doctor")[1]
    assert part(said, "broker")[0] == "warn"
    assert "password" not in part(said, "broker")[1]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        assert part(run("doctor")[1], "broker")[0] == "ok"


def test_it_reports_system_checks_with_their_hints(engine: Heartbeat, settings: Any) -> None:
    settings.FTA_APPROVAL_GATE = ""
    code, said = run("doctor")
    assert code == 1
    assert part(said, "fta.E001")[0] == "fail"
    assert "dotted path" in part(said, "fta.E001")[1]


def test_it_asks_for_collected_files_in_production(engine: Heartbeat, settings: Any, tmp_path: Any) -> None:
    settings.DEBUG, settings.STATIC_ROOT = False, tmp_path
    said = run("doctor")[1]
    assert part(said, "static files")[0] == "warn"
    assert "collectstatic" in said
    (tmp_path / "staticfiles.json").write_text("{}")
    assert part(run("doctor")[1], "static files")[0] == "ok"


def test_it_sees_clocks_that_are_apart(engine: Heartbeat, monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds, state in ((5, "warn"), (60, "fail")):
        ahead = timezone.now() + timedelta(seconds=seconds)
        monkeypatch.setattr(doctor.timezone, "now", lambda ahead=ahead: ahead)
        found = doctor.clock()
        monkeypatch.undo()
        assert (found.state, "NTP" in found.remedy) == (state, True)


def test_it_asks_no_more_of_a_database_that_is_not_migrated() -> None:
    MigrationRecorder.Migration.objects.filter(app="notify").delete()
    code, said = run("doctor")
    assert code == 1
    state, text = part(said, "database")
    assert (state, "migrate" in text, "notify.0001_initial" in text) == ("fail", True, True)
    assert "engine: " not in said


def test_it_says_when_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: object) -> None:
        raise OperationalError("connection refused\n\tis it running?")

    monkeypatch.setattr(doctor, "MigrationExecutor", away)
    code, said = run("doctor")
    assert code == 1
    assert "fail  database: does not answer: connection refused is it running?" in said
    assert "DATABASE_URL" in said


# --- ensure_admin ----------------------------------------------------------------------------------------------------


def test_it_makes_one_administrator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_PASSWORD", "a-first-password")
    assert run("ensure_admin") == (0, "admin: created\n")
    user = User.objects.get(username="admin")
    assert user.check_password("a-first-password")
    assert (user.is_superuser, user.is_staff, [group.name for group in user.groups.all()]) == (True, True, ["admin"])
    assert Person.objects.filter(user=user).count() == 1


def test_it_keeps_the_password_of_an_administrator_who_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_PASSWORD", "a-first-password")
    run("ensure_admin", "--username", "boss")
    monkeypatch.setenv("ADMIN_PASSWORD", "another-password")
    assert run("ensure_admin", "--username", "boss") == (0, "boss: exists\n")
    monkeypatch.delenv("ADMIN_PASSWORD")
    assert run("ensure_admin", "--username", "boss") == (0, "boss: exists\n")
    assert User.objects.get().check_password("a-first-password")


def test_it_makes_no_administrator_without_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADMIN_PASSWORD", raising=False)
    with pytest.raises(CommandError, match="ADMIN_PASSWORD"):
        call_command("ensure_admin")
    assert not User.objects.exists()


# --- post_alert ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_it_posts_an_alert_to_a_portal(live_server: Any) -> None:
    factories.source(secret="source-secret-0123456789")
    url = f"{live_server.url}/intake/rest/"
    code, said = run(
        "post_alert", "--url", url, "--secret", "source-secret-0123456789", "--id", "a-1", "--ip", "127.0.0.11"
    )
    assert code == 0
    assert said.startswith("202 ")
    box = Inbox.objects.get()
    assert b'"a-1"' in bytes(box.raw)
    assert b"127.0.0.11" in bytes(box.raw)
    assert not Alert.objects.exists()  # the engine's to make

    with pytest.raises(CommandError, match="disk_full"):
        call_command("post_alert", "--url", url, "--secret", "wrong-secret-0123456789", stdout=StringIO())
    assert Inbox.objects.count() == 1


def test_it_says_that_nobody_listens() -> None:
    url = f"http://127.0.0.1:{free_port()}/intake/rest/"
    with pytest.raises(CommandError) as raised:
        call_command("post_alert", "--url", url, "--secret", "source-secret-0123456789")
    assert str(raised.value)
    assert not Inbox.objects.exists()


# --- reseal ----------------------------------------------------------------------------------------------------------


def test_it_seals_everything_anew_so_that_the_old_key_can_go(settings: Any) -> None:
    old = settings.FTA_SECRET_KEYS
    key = Credential.objects.create(name="root", kind="password", secret="hunter2-hunter2")
    channel = Channel.objects.create(name="mail", kind="email", config={"to": ["a@example.com"]})
    version = factories.package().current
    assert version is not None
    PackageVersion.objects.filter(pk=version.pk).update(secrets={"token": "t0ken-t0ken"})
    settings.FTA_SECRET_KEYS = ["another-key-that-is-long-enough-0123", *old]
    late = Credential.objects.create(name="late", kind="password", secret="sealed-with-the-new-key")

    code, said = run("reseal")
    assert code == 0
    assert "fta.credential.secret: 1 of 2 sealed anew" in said
    assert said.splitlines()[-1].startswith("3 sealed anew")
    entry = AuditEntry.objects.get(verb="secrets.reseal")
    assert entry.data["count"] == 3
    assert run("reseal")[1].splitlines()[-1].startswith("0 sealed anew")
    assert AuditEntry.objects.filter(verb="secrets.reseal").count() == 1

    settings.FTA_SECRET_KEYS = settings.FTA_SECRET_KEYS[:1]
    for row in (key, late, channel, version):
        row.refresh_from_db()
    assert (key.secret, late.secret) == ("hunter2-hunter2", "sealed-with-the-new-key")
    assert (channel.config, version.secrets) == ({"to": ["a@example.com"]}, {"token": "t0ken-t0ken"})


def test_it_names_what_no_key_opens_and_seals_the_rest(settings: Any) -> None:
    old = settings.FTA_SECRET_KEYS
    settings.FTA_SECRET_KEYS = ["a-key-that-somebody-has-lost-0123456789"]
    lost = Credential.objects.create(name="lost", kind="password", secret="hunter2-hunter2")
    settings.FTA_SECRET_KEYS = old
    Credential.objects.create(name="kept", kind="password", secret="hunter3-hunter3")
    settings.FTA_SECRET_KEYS = ["another-key-that-is-long-enough-0123", *old]
    code, said = run("reseal")
    assert code == 1
    assert f"fta.credential.secret of row {lost.pk}: " in said
    assert said.splitlines()[-1].startswith("1 sealed anew")
    assert "hunter" not in said
