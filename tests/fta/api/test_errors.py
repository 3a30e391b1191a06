"""What the API says when it says no: one form, and never a fault of its own whatever the body holds."""

import json
from typing import Any

import pytest
from django.test import Client

from fta.models import ApiKey, AuditEntry, Business, Execution
from tests.fta.api import world
from tests.fta.api.conftest import Call, call, key_of
from tests.fta.api.test_rights import ROUTES, SAID, address
from tests.fta.api.world import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def made(game: Business) -> World:
    return world.build(game)


@pytest.mark.parametrize("value", [None, "wrong-key-0123456789", "Ünknown", "x" * 5000])
def test_it_lets_nobody_in_without_a_key(value: str | None, made: World) -> None:
    answer = call(value, "GET", "alerts/")
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.error["code"] == ("not_authenticated" if value is None else "authentication_failed")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", f"Basic {key_of('operator')}", key_of("operator")])
def test_it_takes_no_other_scheme(header: str, made: World) -> None:
    answer = Client().get("/api/v1/alerts/", headers={"Authorization": header})
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.json()["error"]["code"] == "not_authenticated"


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


def ids(routes: list[tuple[str, str]]) -> list[str]:
    return [name for _path, name in routes]


@pytest.mark.parametrize(("path", "name"), TAKING, ids=ids(TAKING))
def test_a_body_that_is_no_request_is_a_400(path: str, name: str, made: World, admin: Call) -> None:
    rows = AuditEntry.objects.count()
    optional = ("nothing",) if name == "backtests" else ()  # every field of it may be left out
    for kind, body in ODD.items():
        if kind in optional:
            continue
        raw = body.encode("utf-8", "surrogatepass")
        answer = Client(raise_request_exception=False).post(
            f"/api/v1/{address(path, name, made)}",
            raw,
            content_type="application/json",
            headers={"Authorization": f"Bearer {key_of('admin')}"},
        )
        assert answer.status_code == 400, f"{kind}: {answer.content[:200]!r}"
        error = answer.json()["error"]
        assert set(error) == {"code", "message", "fields"}
        assert error["code"] in ("invalid", "parse_error"), kind
    assert AuditEntry.objects.count() == rows


def test_a_body_that_is_not_json_is_a_415(made: World) -> None:
    rows = AuditEntry.objects.count()
    for path, name in TAKING:
        answer = Client(raise_request_exception=False).post(
            f"/api/v1/{address(path, name, made)}",
            "decision=approve&reason=x",
            content_type="application/x-www-form-urlencoded",
            headers={"Authorization": f"Bearer {key_of('admin')}"},
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type"), name
    assert AuditEntry.objects.count() == rows


WRONG: list[Any] = [
    None, True, -1, 0, 10**40, 1.5, 1e308, "", " ", "x\u0000y", "x" * 100_000, "\ud800", "‮\u200b<script>", [], ["x"], [[]], {},
    {"x": {"y": []}}, [None],
]  # fmt: skip
FIELDS: dict[str, Any] = {
    "execution-abort": {"reason": "看过了"},
    "execution-retry": {"reason": "看过了", "node": 1, "only": True},
    "execution-resolve-unknown": {"step": 1, "done": True, "reason": "看过日志"},
    "approval-decide": {"decision": "approve", "comment": "好", "plan_sha256": "0" * 64},
    "package-run": {"ip": world.IP, "params": {}, "reason": "演练", "dry_run": True},
    "switch": {"scope": "business", "key": "game", "reason": "割接", "minutes": 5},
    "backtests": {"days": 1, "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "rules": [], "convergence_rules": []},
}  # fmt: skip


@pytest.mark.parametrize(("path", "name"), TAKING, ids=ids(TAKING))
def test_a_wrong_value_of_any_field_is_never_a_fault_of_ours(path: str, name: str, made: World) -> None:
    whole = FIELDS.get(name) or SAID[name, "post"]
    for field in whole:
        for value in WRONG:
            answer = call(key_of("admin"), "POST", address(path, name, made), whole | {field: value})
            assert answer.status < 500, f"{field}={str(value)[:60]!r}: {answer.status}"
            if answer.status >= 400:
                assert answer.error["code"], field


@pytest.mark.parametrize(
    "path", ["executions/{}/", "executions/{}/abort/", "alerts/{}/", "deliveries/{}/", "rules/{}/"]
)
def test_what_is_not_there_is_a_404(path: str, made: World, operator: Call) -> None:
    method = "POST" if path.endswith("abort/") else "GET"
    for key in ("0", "-1", "x", "9" * 40, "%00", "%F0%9F", "987654"):
        answer = operator(method, path.format(key), {"reason": "看过了"} if method == "POST" else None)
        assert (answer.status, answer.error["code"]) == (404, "not_found"), key


def test_an_unknown_address_is_a_404_too(made: World, operator: Call, admin: Call) -> None:
    for path in ("", "nothing", "nothing/", "alerts/1/nothing/", "rules/backtest/x/", "%00/", "nothing/?state=x"):
        for method in ("GET", "POST", "PUT", "DELETE"):
            answer = admin(method, path, {} if method != "GET" else None)
            assert (answer.status, answer.error["code"]) == (404, "not_found"), path
        assert call(None, "GET", path).error["code"] == "not_found"
    led = operator("GET", "alerts?limit=1")
    assert (led.status, led.headers["Location"]) == (301, "/api/v1/alerts/?limit=1")
    assert operator("POST", f"executions/{made.held.pk}/abort", {"reason": "看过了"}).error["code"] == "not_found"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("executions/?alert=x", "alert"),
        ("executions/?since=yesterday", "since"),
        ("alerts/?since=1", "since"),
        ("approvals/?state=perhaps", "state"),
        ("approvals/?state=pending,perhaps", "state"),
        ("approvals/?execution=x", "execution"),
        ("deliveries/?state=perhaps", "state"),
        ("switch/?scope=perhaps", "scope"),
    ],
)
def test_a_filter_that_makes_no_sense_is_named(path: str, field: str, made: World, admin: Call) -> None:
    answer = admin("DELETE" if path.startswith("switch") else "GET", path)
    assert (answer.status, answer.error["code"]) == (400, "invalid")
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
