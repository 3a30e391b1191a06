"""Variables: whitelisted names, filled in as data."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from fta.healing import variables
from tests import factories

PARAMETERS = [{"name": "path", "type": "string"}, {"name": "token", "type": "secret"}]
NODES = [{"id": 1, "type": "http"}]


def test_it_finds_names_in_nested_values() -> None:
    value = {"a": ["${ip}", {"b": "x ${ labels.job } ${nope}"}], "c": 5, "${key}": None}
    assert variables.names_in(value) == {"ip", "labels.job", "nope"}


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("${ip} ${host.name} ${ip_bak} ${alert_type} ${severity} ${content} ${source_time}", []),
        ("${business} ${set} ${module} ${operator} ${operators} ${execution.id} ${execution.url}", []),
        ("${labels.job} ${labels.k8s/app} ${alert_context|key} ${params.path} ${node.1.json.id}", []),
        ("${nope} ${IP}", ["IP", "nope"]),
        ("${params.other}", ["params.other"]),
        ("${params.token}", ["params.token"]),
        ("${node.2.output}", ["node.2.output"]),
        ("${node.1.}", ["node.1."]),
        ("${labels.} ${alert_context|}", ["alert_context|", "labels."]),
        ("${ENV:HOME} ${}", ["", "ENV:HOME"]),
        ("${ip.__class__} ${execution.__dict__}", ["execution.__dict__", "ip.__class__"]),
    ],
)
def test_it_names_unknown_variables(text: str, unknown: list[str]) -> None:
    assert variables.check({"x": [text]}, PARAMETERS, NODES) == unknown


def test_it_renders_in_one_pass() -> None:
    values = {"content": "${ip} {{7*7}} $(id)", "ip": "10.0.0.1", "labels.a": "${", "labels.b": "ip}"}
    assert variables.render("${content}|${ip}", values) == "${ip} {{7*7}} $(id)|10.0.0.1"
    assert variables.render("${labels.a}${labels.b}", values) == "${ip}"


def test_a_missing_value_is_empty_and_other_types_stay() -> None:
    assert variables.render({"a": "<${ip_bak}>", "n": 3, "l": [True, None]}, {}) == {
        "a": "<>",
        "n": 3,
        "l": [True, None],
    }


@pytest.mark.parametrize("value", ['","admin":"1', "\\", '"', "\n", "}]", "\u2028", "</script>"])
def test_a_value_cannot_break_json_written_as_text(value: str) -> None:
    rendered = variables.render('{"a": ["${content}"]}', {"content": value})
    assert json.loads(str(rendered)) == {"a": [value]}


def test_text_that_only_looks_like_json_is_rendered_as_text() -> None:
    assert variables.render("[${severity}] {x", {"severity": "error"}) == "[error] {x"


@pytest.mark.django_db
def test_it_takes_the_values_from_the_alert_and_the_inventory(settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Shanghai"
    host = factories.host()
    alert = factories.alert(
        labels={"job": "node", "n": 3},
        context={"key": "v", "deep": {"a": 1}, "none": None},
        starts_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        content="/data 98%",
    )
    execution = factories.execution(alert=alert, host=host, business=host.business)
    values = variables.values_of(alert, host, execution, {"path": "/data", "n": 5, "on": True}, ["lisi", "wangwu"])
    assert values.pop("execution.url") in ("", f"/executions/{execution.pk}/")
    assert values == {
        "execution.id": str(execution.pk),
        "ip": "127.0.0.10",
        "host.name": "local-1",
        "set": "shanghai-1",
        "module": "web",
        "business": "game",
        "alert_type": "disk_full",
        "severity": "critical",
        "content": "/data 98%",
        "source_time": "2026-01-02 11:04:05",
        "labels.job": "node",
        "labels.n": "3",
        "alert_context|key": "v",
        "alert_context|deep": '{"a": 1}',
        "alert_context|none": "",
        "operator": "lisi",
        "operators": "lisi,wangwu",
        "params.path": "/data",
        "params.n": "5",
        "params.on": "true",
    }


@pytest.mark.django_db
def test_every_value_that_it_offers_is_a_name_that_it_allows() -> None:
    alert = factories.alert(labels={"job": "node"}, context={"key": "v"})
    values = variables.values_of(alert, factories.host(), factories.execution(alert=alert), {"path": "x"}, [])
    values |= variables.node_values(1, {"json": {"id": 5, "list": ["a"]}}, "out", "succeeded")
    assert variables.check([f"${{{name}}}" for name in values], PARAMETERS, NODES) == []
    assert values["node.1.json.id"] == "5"
    assert values["node.1.json.list.0"] == "a"
    assert (values["node.1.output"], values["node.1.state"]) == ("out", "succeeded")


@pytest.mark.django_db
def test_without_a_host_the_alert_gives_the_address_if_it_is_one() -> None:
    execution = factories.execution(business=factories.business())
    source = factories.source()
    at_host = factories.alert(source=source, target="10.9.9.9", host=None)
    at_service = factories.alert(source=source, target="db-vip", target_kind="service", host=None)
    assert variables.values_of(at_host, None, execution, {}, [])["ip"] == "10.9.9.9"
    assert variables.values_of(at_service, None, execution, {}, [])["ip"] == ""
    assert "ip" not in variables.values_of(None, None, execution, {}, [])


def test_a_huge_result_offers_a_bounded_number_of_fields() -> None:
    assert len(variables.node_values(1, {"items": list(range(5000))})) <= 203
