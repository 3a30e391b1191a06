"""What the API says when it says no: one form, and never a fault of its own whatever the body holds."""

import json
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from fta.api.paging import Pages
from fta.models import ApiKey, AuditEntry, Business, Execution
from tests.fta.api import world
from tests.fta.api.conftest import Call, call, key_of, send
from tests.fta.api.test_rights import ROUTES, SAID, address
from tests.fta.api.world import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def made(game: Business) -> World:
    return world.build(game)


def test_it_lets_nobody_in_without_a_key() -> None:
    for value in (None, "wrong-key-0123456789", "Ünknown", "x" * 5000):
        answer = call(value, "GET", "alerts/")
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert answer.error["code"] == ("not_authenticated" if value is None else "authentication_failed")


def test_it_takes_no_other_scheme() -> None:
    for header in ("", "Bearer", "Bearer ", f"Basic {key_of('operator')}", key_of("operator")):
        answer = send("GET", "alerts/", None, "", {"Authorization": header})
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert answer.error["code"] == "not_authenticated"


def test_it_takes_the_key_from_no_address_and_no_session(made: World, admin: Call) -> None:
    key = key_of("admin")
    client = Client()
    client.force_login(
        ApiKey.objects.get(user__groups__name="admin").user, backend="django.contrib.auth.backends.ModelBackend"
    )
    for path in ("/api/v1/alerts/", f"/api/v1/alerts/?key={key}&token={key}"):
        assert client.get(path).status_code == 401
    assert admin("GET", "alerts/").status == 200


@pytest.mark.parametrize("by", ["key", "user"])
def test_a_disabled_key_opens_nothing(by: str, made: World, operator: Call) -> None:
    assert operator("GET", "alerts/").status == 200
    key = ApiKey.objects.get(user__groups__name="operator", user__person__businesses__code="game")
    assert key.last_used_at is not None
    if by == "key":
        ApiKey.objects.filter(pk=key.pk).update(enabled=False)
    else:
        key.user.is_active = False
        key.user.save()
    for method, path in (("GET", "alerts/"), ("POST", f"approvals/{made.approval.pk}/decide/")):
        refused = operator(method, path, {"decision": "approve"} if method == "POST" else None)
        assert (refused.status, refused.error["code"]) == (401, "authentication_failed")
        assert refused.headers["WWW-Authenticate"] == "Bearer"
    made.approval.refresh_from_db()
    assert made.approval.state == "pending"


def test_addresses_name_the_methods_that_they_take(made: World, admin: Call) -> None:
    for path, name, method in ROUTES:
        if name in ("schema", "docs"):  # not JSON
            continue
        allowed = {known for _path, other, known in ROUTES if other == name}
        wrong = next(each for each in ("put", "patch", "delete", "get", "post") if each not in allowed)
        answer = admin(wrong.upper(), address(path, name, made), {})
        assert (answer.status, answer.error["code"]) == (405, "method_not_allowed"), name
        assert method.upper() in answer.headers["Allow"]


BODILESS = {"channel-test", "delivery-resend"}
TAKING = [(path, name) for path, name, method in ROUTES if method == "post" and name not in BODILESS]
ODD = {
    "list": "[]", "text": '"x"', "null": "null", "number": "7", "true": "true", "nothing": "", "half": '{"a":', "word": "nope",
    "deep": "[" * 50_000, "nested": '{"a":' * 5_000 + "1" + "}" * 5_000, "NaN": '{"minutes": NaN, "reason": NaN}',
    "digits": '{"minutes": ' + "9" * 6_000 + "}", "twins": '{"reason": "a", "reason": []}', "bytes": "\ud800",
}  # fmt: skip


def test_a_body_that_is_no_request_is_a_400(made: World) -> None:
    rows = AuditEntry.objects.count()
    for path, name in TAKING:
        for kind, body in ODD.items():
            if (name, kind) == ("backtests", "nothing"):  # every field of it may be left out
                continue
            raw = body.encode("utf-8", "surrogatepass")
            answer = call(key_of("admin"), "POST", address(path, name, made), raw)
            assert answer.status == 400, f"{name}, {kind}: {answer.status}"
            assert answer.error["code"] in ("invalid", "parse_error"), (name, kind)
    assert AuditEntry.objects.count() == rows


def test_a_body_that_is_not_json_is_a_415(made: World) -> None:
    rows, form = AuditEntry.objects.count(), "application/x-www-form-urlencoded"
    for path, name in TAKING:
        answer = call(key_of("admin"), "POST", address(path, name, made), "decision=approve&reason=x", form)
        assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type"), name
    assert AuditEntry.objects.count() == rows


WRONG: list[Any] = [
    None, True, -1, 10**40, 1e308, "", "x\u0000y", "x" * 100_000, "\ud800", [None], [[]], {"x": {"y": []}},
]  # fmt: skip
FIELDS: dict[str, Any] = {
    "execution-abort": {"reason": "看过了"},
    "execution-retry": {"reason": "看过了", "node": 1, "only": True},
    "execution-resolve-unknown": {"step": 1, "done": True, "reason": "看过日志"},
    "approval-decide": {"decision": "approve", "comment": "好", "plan_sha256": "0" * 64},
    "package-mode": {"mode": "shadow", "reason": "先看一周"},
    "package-run": {"ip": world.IP, "params": {}, "reason": "演练", "dry_run": True},
    "switch": {"scope": "business", "key": "game", "reason": "割接", "minutes": 5},
    "backtests": {"days": 1, "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "rules": [], "convergence_rules": []},
}  # fmt: skip


def test_a_wrong_value_of_any_field_is_never_a_fault_of_ours(made: World) -> None:
    for path, name in TAKING:
        whole = FIELDS.get(name) or SAID[name, "post"]
        with transaction.atomic():
            for field in whole:
                refuse_or_take(address(path, name, made), whole, field)
            transaction.set_rollback(True)


def test_a_wrong_value_of_any_field_of_a_draft_is_never_a_fault_of_ours(made: World) -> None:
    rule = SAID["rule-list", "post"] | {
        "id": made.keys["rule"],
        "package": "clean-disk",
        "timeout": 60,
        "stale_after": 60,
    }
    storming = SAID["convergence-rule-list", "post"] | {"window": "5m", "count": 2, "alert_types": ["x"]}
    for kind, whole in (("rules", rule), ("convergence_rules", storming)):
        for field in whole:
            refuse_or_take("rules/backtest/", whole, field, kind)


def refuse_or_take(path: str, whole: Any, field: str, listed: str = "") -> None:
    """Try every wrong value of a field of the body, or of an item that the body lists."""
    for value in WRONG:
        said = whole | {field: value}
        answer = call(key_of("admin"), "POST", path, {listed: [said]} if listed else said)
        assert answer.status < 500, f"{path} {field}={str(value)[:60]!r}: {answer.status}"
        assert answer.status < 400 or answer.error["code"], field


def test_what_is_not_there_is_a_404(operator: Call) -> None:
    for path in ("executions/{}/", "executions/{}/abort/", "alerts/{}/", "deliveries/{}/", "rules/{}/"):
        method = "POST" if path.endswith("abort/") else "GET"
        for key in ("0", "-1", "x", "9" * 40, "%00", "%F0%9F", "987654"):
            answer = operator(method, path.format(key), {"reason": "看过了"} if method == "POST" else None)
            assert (answer.status, answer.error["code"]) == (404, "not_found"), path.format(key)


def test_an_unknown_address_is_a_404_too(made: World, operator: Call, admin: Call) -> None:
    for path in ("", "nothing", "nothing/", "alerts/1/nothing/", "rules/backtest/x/", "%00/", "nothing/?state=x"):
        for method in ("GET", "POST", "PUT", "DELETE"):
            answer = admin(method, path, {} if method != "GET" else None)
            assert (answer.status, answer.error["code"]) == (404, "not_found"), path
        assert call(None, "GET", path).error["code"] == "not_found"
    led = operator("GET", "alerts?limit=1")
    assert (led.status, led.headers["Location"]) == (301, "/api/v1/alerts/?limit=1")
    assert operator("POST", f"executions/{made.held.pk}/abort", {"reason": "看过了"}).error["code"] == "not_found"


def test_a_filter_that_makes_no_sense_is_named(admin: Call) -> None:
    for path, field in (
        ("executions/?alert=x", "alert"),
        ("executions/?since=yesterday", "since"),
        ("alerts/?since=1", "since"),
        ("executions/?state=bogus", "state"),
        ("executions/?state=held,bogus", "state"),
        ("alerts/?status=bogus", "status"),
        ("alerts/?severity=fatal", "severity"),
        ("alerts/?outcome=bogus", "outcome"),
        ("packages/?mode=bogus", "mode"),
        ("packages/?risk=bogus", "risk"),
        ("incidents/?state=bogus", "state"),
        ("approvals/?state=perhaps", "state"),
        ("approvals/?state=pending,perhaps", "state"),
        ("approvals/?execution=x", "execution"),
        ("deliveries/?state=perhaps", "state"),
        ("switch/?scope=perhaps", "scope"),
    ):
        answer = admin("DELETE" if path.startswith("switch") else "GET", path)
        assert (answer.status, answer.error["code"]) == (400, "invalid"), path
        assert list(answer.error["fields"]) == [field]


def test_odd_queries_are_no_fault_of_ours(made: World, admin: Call) -> None:
    many = "9" * 5000
    for query in (
        "limit=-1",
        "limit=x",
        f"limit={many}",
        "offset=-5",
        f"offset={many[:40]}",
        f"alert={many[:40]}",
        "state=%00",
    ):
        answer = admin("GET", f"executions/?{query}")
        assert answer.status in (200, 400), query
        assert answer.status == 200 or answer.error["code"] == "invalid"
    assert Execution.objects.count() == 2
    assert admin("GET", f"executions/?offset={many[:40]}").json["results"] == []
    assert f"limit={Pages.max_limit}" in str(admin("GET", f"executions/?limit={many[:40]}&offset=5").json["previous"])


def test_the_error_names_each_field(made: World, admin: Call) -> None:
    answer = admin("POST", f"executions/{made.lost.pk}/resolve-unknown/", {"step": "x", "done": "perhaps"})
    assert answer.status == 400
    assert set(answer.error["fields"]) == {"step", "done", "reason"}
    assert all(isinstance(text, str) for told in answer.error["fields"].values() for text in told)


def test_a_large_body_is_refused(made: World) -> None:
    body = json.dumps({"reason": "x" * 3_000_000})
    answer = call(key_of("admin"), "POST", f"executions/{made.lost.pk}/retry/", body)
    assert answer.status in (400, 413)
    made.lost.refresh_from_db()
    assert made.lost.state == "unknown"
