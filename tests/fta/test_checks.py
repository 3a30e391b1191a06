"""System checks: plugs, sealing keys, sealed columns, allowed destinations."""

from typing import Any

import pytest
from django.core.checks import CheckMessage, Tags, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from fta.models import Credential


class Empty:
    """Loads, and can nothing."""


def found(number: int, **options: Any) -> list[CheckMessage]:
    return [each for each in run_checks(**options) if each.id == f"fta.E{number:03}"]


def test_it_has_nothing_to_report_of_the_settings_as_they_are() -> None:
    assert [each for each in run_checks() if str(each.id).startswith("fta.")] == []


@pytest.mark.parametrize("name", ["FTA_APPROVAL_GATE", "FTA_MESSENGER"])
@pytest.mark.parametrize(
    ("path", "number", "word"),
    [
        ("", 1, "not set"),
        ("approvals.gate.NoSuchGate", 2, "does not load"),
        ("no.such.module.Gate", 2, "does not load"),
        ("tests.fta.test_checks.Empty", 3, "lacks"),
    ],
)
def test_it_refuses_to_start_without_a_plug(name: str, path: str, number: int, word: str, settings: Any) -> None:
    setattr(settings, name, path)
    (problem,) = found(number)
    assert problem.is_serious()
    assert name in problem.msg
    assert word in problem.msg
    assert problem.hint
    with pytest.raises(SystemCheckError, match=f"fta.E{number:03}"):
        call_command("check")


def test_it_names_what_a_gate_lacks(settings: Any) -> None:
    settings.FTA_APPROVAL_GATE = "tests.fta.test_checks.Empty"
    (problem,) = found(3)
    for method in ("ask_execution", "permits", "approved", "withdraw"):
        assert method in problem.msg


@pytest.mark.parametrize("name", ["FTA_WORK_KINDS", "FTA_CONFIG_SECTIONS"])
def test_it_looks_at_each_plug_of_a_list(name: str, settings: Any) -> None:
    paths = getattr(settings, name)
    setattr(settings, name, [*paths, paths[0], "fta.nowhere.Kind", "tests.fta.test_checks.Empty"])
    assert [len(found(number)) for number in (2, 3, 4)] == [1, 1, 1]
    assert paths[0] in found(4)[0].msg
    setattr(settings, name, [])
    assert len(found(1)) == 1


def test_it_warns_of_keys_that_can_be_guessed_without_printing_them(settings: Any) -> None:
    settings.FTA_SECRET_KEYS = ["a-key-that-is-long-enough-0123456789", "hunter2"]
    (problem,) = [each for each in run_checks(include_deployment_checks=True) if each.id == "fta.W005"]
    assert "Key 2" in problem.msg
    assert "hunter2" not in f"{problem.msg}{problem.hint}"


@pytest.mark.django_db
def test_it_tells_of_columns_whose_key_is_gone(settings: Any) -> None:
    Credential.objects.create(name="empty", kind="password", secret="")
    Credential.objects.create(name="root", kind="password", secret="hunter2-hunter2")
    old = settings.FTA_SECRET_KEYS
    assert found(6, tags=[Tags.database], databases=["default"]) == []
    settings.FTA_SECRET_KEYS = ["another-key-that-is-long-enough-0123"]
    (problem,) = found(6, tags=[Tags.database], databases=["default"])
    assert "fta.credential.secret" in problem.msg
    assert found(6) == []  # without a database to ask, nothing is asked
    settings.FTA_SECRET_KEYS = [*settings.FTA_SECRET_KEYS, *old]
    assert found(6, tags=[Tags.database], databases=["default"]) == []


@pytest.mark.parametrize(
    "entry",
    [
        "api.example.com",
        "api.example.com:8443",
        "localhost:9",
        "cmdb_1",
        "10.0.0.7",
        "10.0.0.7:8080",
        "10.0.0.0/8",
        "fd00::/8",
        "::1",
        "[::1]:8080",
        " 10.1.0.0/16 ",
    ],
)
def test_it_reads_destinations(entry: str, settings: Any) -> None:
    settings.FTA_HTTP_ALLOW = [entry]
    assert found(7) == []


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "http://api.example.com",
        "api.example.com/path",
        "*.example.com",
        "10.0.0.0/33",
        "10.0.0.256",
        "host:0",
        "host:70000",
        "host:http",
        "a b",
        "[::g]:80",
        "user@host",
    ],
)
def test_it_refuses_what_allows_nothing(entry: str, settings: Any) -> None:
    settings.FTA_HTTP_ALLOW = ["10.0.0.0/8", entry]
    (problem,) = found(7)
    assert repr(entry) in problem.msg
