"""The pages of convergence rules: what the form says is what is kept, and a business may do without a global rule."""

import importlib
from typing import Any

import pytest
from django.apps import apps
from django.test import Client
from django.utils import timezone

from fta.convergence import converge, validate_rule
from fta.models import AuditEntry, Business, ConfigVersion, ConvergenceRule
from tests import factories
from tests.fta.web.rule_forms import convergence_data


def test_it_saves_a_global_convergence_rule_with_an_exception(as_admin: Client, game: Business, pay: Business) -> None:
    answer = as_admin.post("/convergence-rules/new/", convergence_data(blocked_by=[str(pay.pk)]))

    assert answer.status_code == 302, answer.context["form"].errors
    rule = ConvergenceRule.objects.get()
    assert (rule.alert_types, rule.window, rule.dimensions) == (
        ["disk_full", "disk_io"],
        300,
        ["host", "alert_type", "label:app"],
    )
    assert (rule.business, list(rule.blocked_by.all())) == (None, [pay])
    assert AuditEntry.objects.get().verb == "convergence_rule.add"
    assert "disk_full、disk_io：5 分钟内，同主机同告警类型同标签 app超过 1 条 → 成功后跳过" in (
        as_admin.get("/convergence-rules/").content.decode()
    )


def test_it_keeps_dimensions_with_values(as_admin: Client) -> None:
    explicit = {"name": "set", "values": ["a", "b"]}
    rule = factories.convergence_rule(dimensions=["host", explicit])
    form = as_admin.get(f"/convergence-rules/{rule.pk}/edit/").context["form"]
    data = convergence_data(same_1="", labels="", explicit=form["explicit"].value(), name=rule.name)

    assert as_admin.post(f"/convergence-rules/{rule.pk}/edit/", data).status_code == 302
    rule.refresh_from_db()
    assert rule.dimensions == ["host", explicit]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"remark": ""}, "remark"),
        ({"count": "0"}, "count"),
        ({"window": "7"}, "window"),
        ({"same_0": "", "same_1": "", "labels": ""}, "__all__"),
        ({"explicit": "- {name: moon}"}, "explicit"),
        ({"business": ""}, "business"),
    ],
)
def test_it_refuses_a_convergence_rule(
    as_operator: Client, game: Business, changes: dict[str, Any], field: str
) -> None:
    data = convergence_data(**({"business": str(game.pk)} | changes))

    answer = as_operator.post("/convergence-rules/new/", data)

    assert list(answer.context["form"].errors) == [field]
    assert not ConvergenceRule.objects.exists()


def test_it_lets_a_business_do_without_a_global_rule(as_operator: Client, game: Business, pay: Business) -> None:
    rule = factories.convergence_rule()
    url = f"/convergence-rules/{rule.pk}/block/"

    assert as_operator.post(url, {"business": game.pk, "blocked": "on"}).status_code == 302
    assert list(rule.blocked_by.all()) == [game]
    assert AuditEntry.objects.get().verb == "convergence_rule.block"
    assert ConfigVersion.current("convergence") == 1

    assert as_operator.post(url, {"business": pay.pk, "blocked": "on"}).status_code == 404
    assert as_operator.post(f"/convergence-rules/{rule.pk}/enable/", {"on": "0"}).status_code == 404
    assert as_operator.post(url, {"business": game.pk}).status_code == 302
    assert not rule.blocked_by.exists()


def test_it_blocks_a_shipped_rule_for_the_alerts_of_a_business(
    as_operator: Client, game: Business, pay: Business
) -> None:
    rule = factories.convergence_rule(dimensions=["alert_type"], function="defense")
    ConfigVersion.bump("convergence")
    for ip, business in (("127.0.0.10", game), ("127.0.0.30", pay)):
        factories.host(ip, ip, business=business)
    now = timezone.now()

    def verdicts(ip: str) -> list[str]:
        return [converge(factories.execution(alert=factories.alert(target=ip)), now).kind for _ in range(2)]

    as_operator.post(f"/convergence-rules/{rule.pk}/block/", {"business": game.pk, "blocked": "on"})

    assert verdicts("127.0.0.10") == ["proceed", "proceed"]
    assert verdicts("127.0.0.30") == ["proceed", "approve"]


def test_it_ships_three_convergence_rules_to_a_new_portal_only(db: None) -> None:
    shipped = importlib.import_module("fta.migrations.0003_default_convergence_rules")
    shipped.make_defaults(apps, None)
    shipped.make_defaults(apps, None)
    rows = [
        (row.dimensions, row.window, row.count, row.function, row.business, row.enabled)
        for row in ConvergenceRule.objects.order_by("priority")
    ]
    assert rows == [
        (["host", "alert_type"], 300, 1, "skip_when_success", None, True),
        (["host", "package"], 300, 1, "skip_when_success", None, True),
        (["business", "alert_type"], 300, 20, "defense", None, True),
    ]
    assert all(row.remark and not validate_rule(row.__dict__) for row in ConvergenceRule.objects.all())
    assert ConfigVersion.current("convergence") == 1

    ConvergenceRule.objects.exclude(function="defense").delete()
    shipped.make_defaults(apps, None)
    assert ConvergenceRule.objects.count() == 1
