"""rules/, convergence-rules/, shields/ and packages/: the configuration file's items, one at a time."""

from typing import Any

import pytest

from fta.models import AuditEntry, Business, ConfigVersion, ConvergenceRule, Package, PackageVersion, Rule, Shield
from tests import factories
from tests.fta.api.conftest import Call
from tests.fta.api.items import CACHES, CONVERGENCE, KINDS, PACKAGE, RULE, SHIELD, VERBS, address

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("package")]


def test_it_keeps_every_field_of_a_rule(operator: Call) -> None:
    answer = operator("POST", "rules/", RULE)
    assert answer.status == 201, answer.json
    rule = Rule.objects.get()
    plain = RULE | {"timeout": 2400, "stale_after": 900, "verify": {"within": 300, "stay": 900}}
    assert {name: answer.json[name] for name in plain} == plain
    assert set(answer.json) == {*plain, "id", "updated_at"}
    assert answer.json["id"] == rule.pk
    assert operator("GET", f"rules/{rule.pk}/").json == answer.json


def test_it_keeps_every_field_of_a_convergence_rule(operator: Call) -> None:
    answer = operator("POST", "convergence-rules/", CONVERGENCE)
    assert answer.status == 201, answer.json
    plain = CONVERGENCE | {"window": 300}
    assert answer.json == plain | {"id": ConvergenceRule.objects.get().pk, "enabled": True, "blocked_by": []}


def test_it_keeps_every_field_of_a_shield(operator: Call) -> None:
    answer = operator("POST", "shields/", SHIELD)
    assert answer.status == 201, answer.json
    shield = Shield.objects.get()
    author = AuditEntry.objects.get(verb="shield.add").actor
    assert answer.json == SHIELD | {"id": shield.pk, "author": author, "enabled": True}
    assert shield.author.startswith("api:")


def test_it_keeps_every_field_of_a_package(operator: Call) -> None:
    answer = operator("POST", "packages/", PACKAGE)
    assert answer.status == 201, answer.json
    made = Package.objects.get(key="clean-tmp")
    assert answer.json["nodes"][0].items() >= {"id": 1, "type": "sleep", "params": {"seconds": 1}}.items()
    assert answer.json["budget"] == {"max_hosts": 3, "window": 600, "scope": "set"}
    for name in ("key", "name", "business", "description", "risk", "mode", "parameters"):
        assert answer.json[name] == PACKAGE[name]
    assert (answer.json["version"], made.current and made.current.note) == (1, "第一版")
    versions = operator("GET", "packages/clean-tmp/versions/").json
    assert [row["number"] for row in versions["results"]] == [1]
    assert set(versions["results"][0]) == {"number", "sha256", "author", "note", "created_at", "parameters", "nodes"}


@pytest.mark.parametrize("kind", KINDS)
def test_it_tells_the_trail_and_every_process(kind: str, operator: Call) -> None:
    before = ConfigVersion.current(CACHES[kind])
    made = operator("POST", f"{kind}/", KINDS[kind][1])
    assert made.status == 201, made.json
    assert operator("PATCH", address(kind, made.json), {"name": "新名"}).json["name"] == "新名"
    assert operator("DELETE", address(kind, made.json)).status == 204
    verbs = [row.verb for row in AuditEntry.objects.order_by("pk") if row.verb != "package.save"]
    assert verbs == [f"{VERBS[kind]}.{verb}" for verb in ("add", "change", "archive")]
    assert ConfigVersion.current(CACHES[kind]) >= before + 3
    row = KINDS[kind][0].objects.get(name="新名")
    assert row.archived
    assert operator("GET", address(kind, made.json)).status == 404
    assert made.json["name"] not in [item["name"] for item in operator("GET", f"{kind}/").json["results"]]


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_each_fault_beside_its_field_and_writes_nothing(kind: str, operator: Call) -> None:
    rows = KINDS[kind][0].objects.count()
    answer = operator("POST", f"{kind}/", KINDS[kind][1] | {"name": 7 * ["x"], "surprise": 1})
    assert (answer.status, answer.error["code"]) == (400, "invalid")
    assert "must be text" in answer.error["fields"]["name"][0]
    assert "unknown key" in answer.error["fields"]["surprise"][0]
    assert KINDS[kind][0].objects.count() == rows


def test_it_takes_no_body_that_is_no_item(operator: Call) -> None:
    for kind in KINDS:
        for body in ("[]", '"x"', "null", "{", "", "[" * 100_000):
            answer = operator("POST", f"{kind}/", body)
            assert answer.status == 400, (kind, body[:9])
            assert answer.error["code"] in ("invalid", "parse_error")


SLEEP = {"id": 1, "type": "sleep", "params": {"seconds": 1}}
CODES = {"submit": {"path": "/a", "id": "id", "status": ["ok"]}, "poll": {"path": "/p", "state": "s"}, "states": {}}
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("rules", {"timeout": "a while"}, "timeout"),
    ("rules", {"timeout": 5}, "timeout"),
    ("rules", {"mode": "sometimes"}, "mode"),
    ("rules", {"package": "nothing"}, "package"),
    ("rules", {"parameters": {"pfad": "/"}}, "parameters"),
    ("rules", {"package": "hook", "parameters": {"to": "${labels.cb}"}}, "parameters"),
    ("rules", {"match": {"business": "game", "color": "red"}}, "match.color"),
    ("rules", {"match": {"business": "game", "content": {"regex": "("}}}, "match.content.regex"),
    ("rules", {"match": {"business": "game", "alert_type": ""}}, "match.alert_type"),
    ("rules", {"notify": {"channels": ["wecom"]}}, "notify.channels[0]"),
    ("rules", {"notify": {"mail_maintainers": "no"}}, "notify.mail_maintainers"),
    ("rules", {"verify": {"within": 1, "often": 2}}, "verify.often"),
    ("convergence-rules", {"dimensions": []}, "dimensions"),
    ("convergence-rules", {"dimensions": ["host", "moon"]}, "dimensions[1]"),
    ("convergence-rules", {"dimensions": [{"name": "set", "values": []}]}, "dimensions[0]"),
    ("convergence-rules", {"function": "guess"}, "function"),
    ("convergence-rules", {"window": 0}, "window"),
    ("convergence-rules", {"remark": None}, "remark"),
    ("convergence-rules", {"remark": ""}, "remark"),
    ("convergence-rules", {"business": "nowhere"}, "business"),
    ("shields", {"to": "2026-01-30T03:00:00+08:00"}, "to"),
    ("shields", {"repeat": "daily", "to": "2026-02-01T01:00:01+08:00"}, "to"),
    ("shields", {"to": "2026-02-07T01:00:01+08:00"}, "to"),
    ("shields", {"from": "soon"}, "from"),
    ("shields", {"reason": None}, "reason"),
    ("shields", {"reason": ""}, "reason"),
    ("shields", {"reason": "a\x00b"}, "reason"),
    ("shields", {"to": "9999-12-31T23:59:59Z"}, "to"),
    ("packages", {"key": "a/b"}, "key"),
    ("packages", {"key": "new"}, "key"),
    ("packages", {"key": "clean-disk"}, "key"),
    ("packages", {"risk": "none"}, "risk"),
    ("packages", {"nodes": []}, "nodes"),
    ("rules", {"approval_policy": "nope"}, "approval_policy"),
    ("rules", {"priority": 10**30}, "priority"),
    ("packages", {"nodes": [{"id": 1, "type": "wish"}]}, "nodes[0].type"),
    ("packages", {"nodes": [{"id": 1, "type": []}]}, "nodes[0].type"),
    ("packages", {"nodes": [SLEEP | {"polcy": "idempotent"}]}, "nodes[0].polcy"),
    ("packages", {"nodes": [SLEEP | {"acting": False}]}, "nodes[0].acting"),
    ("packages", {"nodes": [SLEEP | {"name": "长" * 129}]}, "nodes[0].name"),
    ("packages", {"nodes": [SLEEP | {"name": ["x"]}]}, "nodes[0].name"),
    ("packages", {"nodes": [SLEEP | {"next": {"success": [None]}}]}, "nodes[0].next"),
    ("packages", {"nodes": [SLEEP | {"params": {"seconds": "1\0"}}]}, "nodes[0].params.seconds"),
    ("packages", {"nodes": [{"id": 1, "type": "job", "params": {"url": "http://a", "system": CODES}}]}, "nodes[0].params.system"),
    ("packages", {"nodes": [{"id": 1, "type": "approval", "params": {"message": "m", "policy": "nope"}}]},
     "nodes[0].params.policy"),
    ("packages", {"nodes": [{"id": 1, "type": "notify", "params": {"message": "m", "channels": ["nope"]}}]},
     "nodes[0].params.channels[0]"),
    ("packages", {"parameters": [{"name": "a", "type": []}]}, "parameters[0]"),
    ("packages", {"parameters": [{"name": "a", "defualt": 1}]}, "parameters[0].defualt"),
    ("packages", {"parameters": [{"name": "a", "type": "choice", "choices": [{}]}]}, "parameters[0]"),
    ("packages", {"parameters": [{"name": "a", "required": "no"}]}, "parameters[0]"),
    ("packages", {"parameters": [{"name": "a", "default": "x" * 8193}]}, "parameters[0]"),
    ("packages", {"budget": {"max_hosts": 0}}, "budget.max_hosts"),
    ("packages", {"budget": {"max_percent": 101}}, "budget.max_percent"),
    ("packages", {"budget": {"max_hosts": 1, "window": "120d"}}, "budget.window"),
    ("packages", {"budget": {"max_hosts": 1, "window": 0}}, "budget.window"),
    ("packages", {"nodes": [{"id": 1, "type": "sleep", "params": {"seconds": 1}, "next": {"success": [9]}}]}, "nodes[0]"),
    ("packages", {"parameters": [{"name": "A b"}]}, "parameters[0]"),
    ("packages", {"budget": {"max_hosts": -1}}, "budget.max_hosts"),
]  # fmt: skip


def test_it_names_what_is_wrong(operator: Call, game: Business) -> None:
    call = {"id": 1, "type": "http", "params": {"url": "${params.to}/done"}}
    factories.package("hook", business=game, nodes=[call], parameters=[{"name": "to", "type": "string"}])
    for kind, change, field in WRONG:
        rows = KINDS[kind][0].objects.count()
        answer = operator("POST", f"{kind}/", KINDS[kind][1] | change)
        assert (answer.status, answer.error["code"]) == (400, "invalid"), change
        assert list(answer.error["fields"]) == [field]
        assert KINDS[kind][0].objects.count() == rows


@pytest.mark.parametrize("kind", ["rules", "convergence-rules", "shields"])
def test_it_refuses_a_name_that_is_taken(kind: str, operator: Call) -> None:
    assert operator("POST", f"{kind}/", KINDS[kind][1]).status == 201
    answer = operator("POST", f"{kind}/", KINDS[kind][1])
    assert (answer.status, list(answer.error["fields"])) == (400, ["name"])


def test_it_takes_a_shield_as_long_as_its_period_and_a_timeout_of_a_minute(operator: Call) -> None:
    assert operator("POST", "shields/", SHIELD | {"repeat": "daily", "to": "2026-02-01T01:00:00+08:00"}).status == 201
    assert operator("POST", "rules/", RULE | {"timeout": "59s"}).status == 400
    made = operator("POST", "rules/", RULE | {"timeout": "60s", "stale_after": 0}).json
    assert (made["timeout"], made["stale_after"]) == (60, 0)
    Rule.objects.update(notify={"sms": True})  # as an older version took it, and nobody read it
    changed = operator("PATCH", f"rules/{made['id']}/", {"priority": 5}).json
    assert (changed["stale_after"], changed["notify"]) == (0, {})


def test_put_replaces_and_patch_changes(operator: Call) -> None:
    made = operator("POST", "rules/", RULE).json
    path = f"rules/{made['id']}/"
    changed = operator("PATCH", path, {"priority": 5, "enabled": False}).json
    assert changed == made | {"priority": 5, "enabled": False, "updated_at": changed["updated_at"]}
    replaced = operator("PUT", path, {"name": "磁盘写满", "match": {"business": "game"}})
    assert replaced.status == 200
    wanted: dict[str, Any] = {
        "priority": 100,
        "enabled": True,
        "package": None,
        "parameters": {},
        "stale_after": None,
        "void_when_resolved": False,
        "timeout": 2400,
        "mode": "auto",
    }
    assert {name: replaced.json[name] for name in wanted} == wanted
    assert operator("PUT", path, {"match": {"business": "game"}}).error["fields"].keys() == {"name"}


def test_a_change_of_nodes_is_a_new_version_and_the_old_one_stays(operator: Call) -> None:
    operator("POST", "packages/", PACKAGE)
    nodes = [{"id": 1, "name": "等", "type": "sleep", "params": {"seconds": 2}}]
    answer = operator("PATCH", "packages/clean-tmp/", {"nodes": nodes, "note": "慢一点"})
    assert (answer.status, answer.json["version"]) == (200, 2)
    assert operator("PATCH", "packages/clean-tmp/", {"risk": "high"}).json["version"] == 2
    old, new = PackageVersion.objects.filter(package__key="clean-tmp").order_by("number")
    assert (old.nodes[0]["params"], new.nodes[0]["params"]) == ({"seconds": 1}, {"seconds": 2})
    assert (new.note, new.author) == ("慢一点", AuditEntry.objects.filter(verb="package.save").last().actor)  # type: ignore[union-attr]
    assert Package.objects.get(key="clean-tmp").budget == {"max_hosts": 3, "window": 600, "scope": "set"}


def test_put_of_a_package_needs_no_key_and_takes_no_other(operator: Call) -> None:
    operator("POST", "packages/", PACKAGE)
    plain = {name: value for name, value in PACKAGE.items() if name != "key"}
    assert operator("PUT", "packages/clean-tmp/", plain | {"name": "换名"}).json["name"] == "换名"
    assert list(operator("PUT", "packages/clean-tmp/", plain | {"key": "other"}).error["fields"]) == ["key"]


def test_neither_put_nor_patch_sets_how_far_a_package_may_go(operator: Call) -> None:
    operator("POST", "packages/", PACKAGE | {"mode": "shadow"})
    for verb, body in (("PATCH", {"mode": "auto"}), ("PUT", PACKAGE | {"mode": "approval"})):
        answer = operator(verb, "packages/clean-tmp/", body)
        assert (answer.status, list(answer.error["fields"])) == (400, ["mode"])
        assert "POST packages/clean-tmp/mode/" in answer.error["fields"]["mode"][0]
    plain = {name: value for name, value in PACKAGE.items() if name != "mode"}
    for verb, body in (("PATCH", {"mode": "shadow", "risk": "high"}), ("PUT", plain)):
        assert operator(verb, "packages/clean-tmp/", body).json["mode"] == "shadow"
    assert Package.objects.get(key="clean-tmp").mode == "shadow"


def test_a_faulty_package_leaves_nothing_of_itself(operator: Call) -> None:
    operator("POST", "packages/", PACKAGE)
    answer = operator("PATCH", "packages/clean-tmp/", {"name": "换名", "nodes": [{"id": 2, "type": "sleep"}]})
    assert answer.status == 400
    assert Package.objects.get(key="clean-tmp").name == "清理"
    assert PackageVersion.objects.filter(package__key="clean-tmp").count() == 1


def test_a_package_in_use_is_not_archived(operator: Call) -> None:
    operator("POST", "rules/", RULE)
    answer = operator("DELETE", "packages/clean-disk/")
    assert (answer.status, answer.error["code"]) == (409, "conflict")
    assert "磁盘写满" in answer.error["message"]
    assert not Package.objects.get(key="clean-disk").archived


def test_the_lists_are_narrowed(operator: Call, admin: Call) -> None:
    operator("POST", "rules/", RULE)
    admin("POST", "rules/", RULE | {"name": "全部", "match": {}, "enabled": False, "package": None, "parameters": {}})

    def names(query: str) -> list[str]:
        return [row["name"] for row in admin("GET", f"rules/?{query}").json["results"]]

    assert names("") == ["磁盘写满", "全部"]
    assert names("business=game") == ["磁盘写满"]
    assert names("business=pay") == []
    assert names("enabled=false") == ["全部"]
    assert names("package=clean-disk") == ["磁盘写满"]
    assert names("name=全部") == ["全部"]
    admin("POST", "convergence-rules/", CONVERGENCE)
    assert admin("GET", "convergence-rules/?business=game").json["count"] == 1
    assert admin("GET", "convergence-rules/?business=pay").json["count"] == 0
    admin("POST", "shields/", SHIELD)
    assert admin("GET", "shields/?business=game&repeat=weekly").json["count"] == 1
    assert admin("GET", "shields/?business=pay").json["count"] == 0
    assert admin("GET", "packages/?business=game&mode=auto,shadow").json["count"] == 1
    assert admin("GET", "packages/?business=pay").json["count"] == 0


@pytest.mark.parametrize("value", [10**30, -(10**30), "x\u0000y"])
def test_it_answers_what_no_column_can_hold(value: Any, operator: Call) -> None:
    field = "name" if isinstance(value, str) else "priority"
    answer = operator("POST", "rules/", RULE | {field: value})
    assert answer.status in (201, 400)  # a zero byte is text for SQLite, and none for PostgreSQL
    if not isinstance(value, str):
        assert answer.error["code"] == "invalid"
        assert not Rule.objects.exists()


def test_a_rules_parameters_may_name_what_the_alert_knows(operator: Call) -> None:
    named = RULE | {"parameters": {"path": "/data/${ip}/${labels.app}"}}
    made = operator("POST", "rules/", named)
    assert (made.status, made.json["parameters"]) == (201, named["parameters"])
    factories.package("by-ip", parameters=[{"name": "address", "type": "ip", "required": True}])
    assert operator("PATCH", f"rules/{made.json['id']}/", {"package": "by-ip", "parameters": {}}).status == 400
    answer = operator("PATCH", f"rules/{made.json['id']}/", {"package": "by-ip", "parameters": {"address": "${ip}"}})
    assert answer.status == 200, answer.json
    for wrong in ({"address": "nowhere"}, {"address": "${moon}"}, {"address": "${ip}", "other": "${ip}"}):
        refused = operator("PATCH", f"rules/{made.json['id']}/", {"parameters": wrong})
        assert (refused.status, list(refused.error["fields"])) == (400, ["parameters"])
