"""Plans: validated at save, frozen, hashed, and compared with what is true now."""

import json
from typing import Any

import pytest
from django.utils import timezone

from fta.healing import plan
from fta.healing.parameters import resolve
from fta.healing.runners import RUNNERS
from fta.models import AuditEntry, ConfigVersion, Execution, Host, Package, PackageVersion
from tests import factories
from tests.fta import stage
from tests.fta.stage import ACT, Actor, node

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture(autouse=True)
def _actor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RUNNERS, "act", Actor())


def _messages(nodes: list[Any], parameters: list[Any] | None = None) -> list[tuple[str, int | None]]:
    return [(problem.path, problem.node) for problem in plan.validate(nodes, parameters or [])]


def test_it_accepts_a_sound_package() -> None:
    nodes = [node(1, success=[2, 3], params={"to": "${ip} ${params.path} ${labels.job}"}), node(2), node(3)]
    assert plan.validate(nodes, [{"name": "path", "type": "string", "default": "/tmp"}]) == []


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([], ("nodes", None)),
        ([node(2)], ("nodes", None)),
        ([node(1), node(1)], ("nodes[1]", 1)),
        ([node(1, success=2), node(2, success=3), node(3, failure=2)], ("nodes[1]", 2)),
        ([node(1), node(7)], ("nodes[1]", 7)),
        ([node(1, success=9)], ("nodes[0]", 1)),
        ([node(1, "nonsense")], ("nodes[0].type", 1)),
        ([{**ACT, "id": "1"}], ("nodes[0].id", None)),
        (["text"], ("nodes[0].id", None)),
        ([node(1, policy="twice")], ("nodes[0].policy", 1)),
        ([node(1, join="some")], ("nodes[0].join", 1)),
        ([node(1, timeout="2d")], ("nodes[0].timeout", 1)),
        ([node(1, retries={"count": 99})], ("nodes[0].retries", 1)),
        ([node(1, retries={"count": 1, "delay": "soon"})], ("nodes[0].retries", 1)),
        ([{**ACT, "next": {"maybe": 1}}], ("nodes[0].next", 1)),
        ([{**ACT, "next": {"success": "1"}}], ("nodes[0].next", 1)),
        ([node(1, params={"bad": 1})], ("nodes[0].params.bad", 1)),
        ([node(1, params={"to": "${password}"})], ("nodes[0].params.to", 1)),
        ([node(1, params={"to": "${params.missing}"})], ("nodes[0].params.to", 1)),
        ([node(1, params={"to": "${node.8.x}"})], ("nodes[0].params.to", 1)),
    ],
)
def test_it_refuses_a_faulty_package_and_names_the_node(nodes: list[Any], expected: tuple[str, int | None]) -> None:
    assert expected in _messages(nodes)


@pytest.mark.parametrize(
    "parameter",
    [
        {"name": "Path"},
        {"name": "a", "type": "file"},
        {"name": "a", "type": "choice"},
        {"name": "a", "type": "integer", "default": "x"},
        {"name": "a", "pattern": "(?=x)"},
        {"name": "a", "type": "secret", "default": "s3cret"},
        "a",
    ],
)
def test_it_refuses_a_faulty_parameter(parameter: Any) -> None:
    assert _messages([ACT], [parameter]) == [("parameters[0]", None)]


@pytest.mark.parametrize(
    ("parameter", "given", "expected"),
    [
        ({"type": "integer"}, "12", 12),
        ({"type": "number"}, "1.5", 1.5),
        ({"type": "boolean"}, "false", False),
        ({"type": "choice", "choices": ["a", 2]}, 2, 2),
        ({"type": "choice", "choices": [80, 443]}, "443", 443),
        ({"type": "choice", "choices": ["80", 80]}, 80, 80),
        ({"type": "choice", "choices": [True, False]}, "false", False),
        ({"type": "choice", "choices": ["80"]}, 80, "80"),
        ({"type": "ip"}, "::0001", "::1"),
        ({"type": "hostname"}, "web-1.example", "web-1.example"),
        ({"type": "string", "default": "/tmp"}, "", "/tmp"),
        ({"pattern": "/var/[a-z]+"}, "/var/log", "/var/log"),
    ],
)
def test_it_fits_values_to_their_type(parameter: dict[str, Any], given: Any, expected: Any) -> None:
    assert resolve([{"name": "a", **parameter}], {"a": given}) == ({"a": expected}, [])


@pytest.mark.parametrize(
    ("parameter", "given"),
    [
        ({"type": "integer"}, "1.5"),
        ({"type": "integer"}, True),
        ({"type": "number"}, "nan"),
        ({"type": "boolean"}, "maybe"),
        ({"type": "choice", "choices": ["a"]}, "b"),
        ({"type": "choice", "choices": [1]}, True),
        ({"type": "string"}, "x" * 8193),
        ({"type": "ip"}, "10.0.0.256"),
        ({"type": "hostname"}, "a;reboot"),
        ({"pattern": "/var/[a-z]+"}, "/var/log;rm"),
        ({"required": True}, ""),
        ({"type": "string"}, ["a"]),
        ({"type": "secret"}, "s3cret"),
    ],
)
def test_it_names_values_that_do_not_fit(parameter: dict[str, Any], given: Any) -> None:
    values, problems = resolve([{"name": "a", **parameter}], {"a": given})
    assert values.get("a") is None
    assert len(problems) == 1
    assert "a" in problems[0]


def test_it_saves_an_immutable_version_and_bumps_the_configuration() -> None:
    package = Package.objects.create(key="p", name="套餐", mode="auto")
    secret = {"name": "token", "type": "secret"}
    first = plan.save_version(package, [ACT], [secret], {"token": "t0ken-1", "other": "x"}, "lisi", "初版", NOW)
    same = plan.save_version(package, [ACT], [secret], {}, "lisi", "", NOW)
    assert same == first, "what is the same is no new version"
    second = plan.save_version(package, [node(1, timeout="5m")], [secret], {}, "lisi", "", NOW)
    third = plan.save_version(package, [node(1, timeout="5m")], [secret], {"token": "t0ken-2"}, "lisi", "", NOW)
    assert [(v.number, v.secrets) for v in (first, second, third)] == [
        (1, {"token": "t0ken-1"}),
        (2, {"token": "t0ken-1"}),
        (3, {"token": "t0ken-2"}),
    ]
    package.refresh_from_db()
    assert package.current == third
    assert second.nodes[0]["timeout"] == 300
    assert first.sha256 == plan.content_sha256([ACT], [secret])
    assert ConfigVersion.current("packages") == 3
    saved = AuditEntry.objects.filter(verb="package.save", actor="lisi")
    assert [row.data["version"] for row in saved.order_by("id")] == [1, 2, 3]
    assert "t0ken" not in json.dumps(list(saved.values_list("data", flat=True)))


def test_it_refuses_to_save_a_faulty_package() -> None:
    package = Package.objects.create(key="p", name="套餐")
    with pytest.raises(plan.InvalidPackage) as caught:
        plan.save_version(package, [node(1, success=1)], [], {}, "lisi", "", NOW)
    assert [problem.node for problem in caught.value.problems] == [1]
    assert not PackageVersion.objects.exists()


def _frozen(**fields: Any) -> Execution:
    factories.host(operators=[factories.person("lisi", "operator")])
    parameters = [{"name": "path", "type": "string", "default": "/tmp"}, {"name": "token", "type": "secret"}]
    package = factories.package("act", nodes=[ACT], parameters=parameters)
    rule = factories.rule(package=package, parameters=fields.pop("parameters", {"path": "/data/${labels.disk}"}))
    alert = factories.alert(labels={"disk": "sda"}, context={"k": "v"})
    return stage.ready(package=package, rule=rule, alert=alert, **fields)


def test_it_freezes_what_would_be_done_and_for_whom() -> None:
    execution = _frozen()
    data = execution.plan
    assert data["parameters"] == {"path": "/data/sda"}
    assert data["hosts"][0]["ip"] == "127.0.0.10"
    assert data["package"]["version"] == 1
    assert data["nodes"][0]["acting"] is True
    assert data["variables"]["operators"] == "lisi"
    assert data["variables"]["alert_context|k"] == "v"
    assert data["variables"]["params.path"] == "/data/sda"
    assert data["variables"]["execution.id"] == str(execution.pk)
    assert data["problems"] == []
    assert plan.is_intact(execution)
    assert plan.drift(execution) == []


def test_it_says_in_the_plan_that_a_hostile_value_does_not_fit() -> None:
    execution = _frozen()
    assert execution.rule is not None
    assert execution.version is not None
    execution.version.parameters = [{"name": "path", "type": "string", "pattern": "/data/sd[a-z]"}]
    assert execution.alert is not None
    execution.alert.labels = {"disk": "sda; rm -rf / ${ip}"}
    made = plan.freeze(execution, execution.rule, execution.version, execution.rule.parameters, NOW)
    assert made.data["parameters"] == {"path": None}
    assert len(made.problems) == 1


def test_it_hashes_the_same_value_to_the_same_text_in_every_database() -> None:
    assert plan.canonical({"b": 1e16, "a": [1.0, 2.5, "中"]}) == '{"a":[1,2.5,"中"],"b":10000000000000000}'
    assert plan.sha256_of({"a": 1.0}) == plan.sha256_of({"a": 1})


def test_it_says_what_changed_since_the_freeze() -> None:
    execution = _frozen()
    package = execution.package
    assert package is not None
    package.current = PackageVersion.objects.create(package=package, number=2, nodes=[ACT], sha256="1" * 64)
    package.save()
    Host.objects.update(connection="ssh", ssh_user="root")
    assert execution.rule is not None
    execution.rule.parameters = {"path": "/"}
    execution.rule.save()
    execution = Execution.objects.get(pk=execution.pk)
    lines = plan.drift(execution)
    assert len(lines) == 4
    assert "v1 → v2" in lines[0]
    assert "参数已修改" in lines[1]
    assert any("连接方式" in line and "none → ssh" in line for line in lines)
    Host.objects.update(archived=True)
    assert "已不在清单里" in plan.drift(execution)[-1]


def test_it_sees_that_a_plan_was_altered() -> None:
    execution = _frozen()
    execution.plan["parameters"]["path"] = "/"
    assert not plan.is_intact(execution)
    assert plan.drift(execution) == ["计划内容与其校验值不符"]
