"""Pages of rules, convergence rules and shields."""

import importlib
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from fta.backtest import starting
from fta.convergence import converge, validate_rule
from fta.engine.loop import Engine
from fta.matching import compile_match
from fta.models import AuditEntry, BacktestRun, Business, ConfigVersion, ConvergenceRule, Person, Rule, Shield
from fta.web import conditions
from tests import factories

OFFERED = {"business": ["game", "pay"], "source": ["rest"], "severity": ["critical", "error"]}


@pytest.fixture
def as_operator(client: Client, operator: Person) -> Client:
    client.force_login(operator.user)
    return client


@pytest.fixture
def as_admin(client: Client, admin: Person) -> Client:
    client.force_login(admin.user)
    return client


def rule_data(**changes: Any) -> dict[str, Any]:
    data = {
        "name": "磁盘写满",
        "priority": "10",
        "enabled": "on",
        "package": "",
        "mode": "auto",
        "timeout": "40",
        "verify_within": "10",
        "verify_stay": "30",
        "alert_type_how": "glob",
        "alert_type": "disk*",
        "business": ["game"],
        "action": "save",
    }
    return data | changes


def test_it_saves_every_condition(as_operator: Client, game: Business) -> None:
    factories.source()
    package = factories.package(business=game, parameters=[{"name": "path", "type": "string"}])
    data = rule_data(
        package=str(package.pk),
        parameters="path=/data",
        severity=["critical", "error"],
        source=["rest"],
        set="shanghai-1\r\nshanghai-2",
        ip="10.0.0.0/8\r\n127.0.0.1",
        content="9[0-9]%",
        labels="app=web\nzone!=b\nrack=~^r\nenv in a, b\nowner exists",
        hours_from="22:00",
        hours_to="06:00",
        days=["1", "2"],
        rest="host: {prefix: web-}",
        stale_after="15",
    )

    answer = as_operator.post("/rules/new/", data)

    assert answer.status_code == 302, answer.context["form"].errors
    rule = Rule.objects.get()
    assert rule.match == {
        "alert_type": {"glob": "disk*"},
        "business": "game",
        "source": "rest",
        "severity": ["critical", "error"],
        "set": ["shanghai-1", "shanghai-2"],
        "ip": ["10.0.0.0/8", "127.0.0.1"],
        "content": {"regex": "9[0-9]%"},
        "labels": {
            "app": "web",
            "zone": {"not": "b"},
            "rack": {"regex": "^r"},
            "env": ["a", "b"],
            "owner": {"exists": True},
        },
        "hours": {"from": "22:00", "to": "06:00", "days": [1, 2]},
        "host": {"prefix": "web-"},
    }
    assert (rule.package, rule.parameters, rule.timeout, rule.stale_after) == (package, {"path": "/data"}, 2400, 900)
    assert AuditEntry.objects.get().verb == "rule.add"
    assert ConfigVersion.current("rules") == 1


def test_it_keeps_what_the_form_cannot_show(as_operator: Client, game: Business) -> None:
    match = {"alert_type": {"not": "x"}, "business": "game", "labels": {"app": "web", "zone": {"prefix": "cn-"}}}
    rule = factories.rule(match=match)
    page = as_operator.get(f"/rules/{rule.pk}/edit/")
    form = page.context["form"]
    shown = {name: form[name].value() for name in form.fields}
    data = {name: value for name, value in shown.items() if value not in (None, False)} | {"action": "save"}

    answer = as_operator.post(f"/rules/{rule.pk}/edit/", data | {"priority": "7"})

    assert answer.status_code == 302, answer.context["form"].errors
    rule.refresh_from_db()
    assert (rule.match, rule.priority) == (match, 7)
    assert AuditEntry.objects.get().data["changes"] == {"priority": [100, 7]}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"alert_type_how": "regex", "alert_type": "("}, "alert_type"),
        ({"labels": "what"}, "labels"),
        ({"labels": "a=1\na=2"}, "labels"),
        ({"hours_from": "25:00"}, "hours_from"),
        ({"rest": "nonsense: 1"}, "rest"),
        ({"rest": "alert_type: x"}, "rest"),
        ({"rest": "a: &a [x]\nb: *a"}, "rest"),
        ({"rest": "{"}, "rest"),
        ({"business": []}, "business"),
        ({"business": ["pay"]}, "business"),
        ({"rest": "business: {not: x}", "business": []}, "business"),
        ({"timeout": "0"}, "timeout"),
        ({"parameters": "a=1"}, "parameters"),
        ({"name": ""}, "name"),
    ],
)
def test_it_refuses_and_says_where(as_operator: Client, pay: Business, changes: dict[str, Any], field: str) -> None:
    answer = as_operator.post("/rules/new/", rule_data(**changes))

    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == [field]
    assert not Rule.objects.exists()
    assert not AuditEntry.objects.exists()


def test_it_drafts_a_rule_from_an_alert(as_operator: Client, game: Business, pay: Business) -> None:
    alert = factories.alert(alert_type="mem_high", title="内存 <b>过高</b>", business=game)
    foreign = factories.alert(business=pay)

    page = as_operator.get(f"/rules/new/?alert={alert.pk}")

    assert page.context["form"]["alert_type"].value() == "mem_high"
    assert page.context["form"]["business"].value() == ["game"]
    assert "告警类型为 mem_high" in page.content.decode()
    assert "<b>过高" not in page.content.decode()
    for strange in (foreign.pk, "²", "x", "9" * 30):
        assert as_operator.get(f"/rules/new/?alert={strange}").status_code == 404
        assert as_operator.get(f"/shields/new/?alert={strange}").status_code == 404


def test_it_previews_without_saving(as_operator: Client) -> None:
    answer = as_operator.post("/rules/new/", rule_data(action="preview", name=""))

    assert "当告警满足：业务为 game，告警类型形如 disk*，就只记录，不处理。" in answer.content.decode()
    assert not Rule.objects.exists()


def test_it_lists_by_priority_and_hides_what_is_foreign(as_operator: Client) -> None:
    factories.rule("后", match={"business": "game"}, priority=20)
    factories.rule("先", match={}, priority=10)
    factories.rule("外", match={"business": "pay"}, priority=5)

    listed = as_operator.get("/rules/").context["listed"]

    assert [(item.rule.name, item.mine) for item in listed] == [("先", False), ("后", True)]


def test_it_leaves_global_rules_to_admins(as_operator: Client, admin: Person) -> None:
    rule = factories.rule(match={})
    for url in (f"/rules/{rule.pk}/enable/", f"/rules/{rule.pk}/archive/", f"/rules/{rule.pk}/edit/"):
        assert as_operator.post(url, rule_data(on="0")).status_code == 404
    rule.refresh_from_db()
    assert (rule.enabled, rule.archived) == (True, False)

    as_operator.force_login(admin.user)
    assert as_operator.post(f"/rules/{rule.pk}/enable/", {"on": "0"}).status_code == 302
    rule.refresh_from_db()
    assert not rule.enabled
    assert AuditEntry.objects.get().data["changes"] == {"enabled": [True, False]}


def test_it_lets_viewers_read_only_and_strangers_see_nothing(client: Client, viewer: Person, stranger: Person) -> None:
    factories.rule(match={"business": "game"})
    client.force_login(viewer.user)
    assert len(client.get("/rules/").context["listed"]) == 1
    for url in ("/rules/new/", "/shields/new/", "/convergence-rules/new/", "/packages/new/"):
        assert client.post(url, {}).status_code == 403
    client.force_login(stranger.user)
    assert client.get("/rules/").context["listed"] == []
    client.logout()
    assert client.get("/rules/").status_code == 302


WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=6).filter(
    lambda word: word == word.strip()
)
TEXT = st.one_of(
    WORDS,
    st.lists(WORDS, min_size=2, max_size=3),
    st.fixed_dictionaries({"glob": WORDS}),
    st.fixed_dictionaries({"regex": st.one_of(WORDS, st.lists(WORDS, min_size=2, max_size=2))}),
    st.fixed_dictionaries({"not": WORDS}),
    st.fixed_dictionaries({"exists": st.booleans()}),
    st.fixed_dictionaries({"prefix": WORDS, "not": WORDS}),
)
MATCHES = st.dictionaries(
    st.sampled_from(["source", "alert_type", "severity", "business", "set", "module", "ip", "content", "host"]), TEXT
).flatmap(lambda match: st.dictionaries(WORDS, TEXT).map(lambda labels: match | ({"labels": labels} if labels else {})))


@given(MATCHES)
def test_it_loses_no_condition_between_the_form_and_the_rule(match: dict[str, Any]) -> None:
    shown, rest = conditions.split(match, OFFERED)
    posted = shown | {"labels": conditions.label_conditions(shown.get("labels", ""))}

    again, twice = conditions.merge(conditions.join(posted), rest)

    assert (again, twice) == (match, [])


def shield_data(**changes: Any) -> dict[str, Any]:
    now = timezone.localtime()
    data = {
        "name": "割接",
        "starts_at": now.strftime("%Y-%m-%dT%H:%M"),
        "ends_at": (now + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M"),
        "repeat": "once",
        "reason": "计划内变更",
        "enabled": "on",
        "business": ["game"],
        "set": "shanghai-1",
    }
    return data | changes


def test_it_shields_and_ends(as_operator: Client, game: Business) -> None:
    assert as_operator.post("/shields/new/", shield_data()).status_code == 302
    shield = Shield.objects.get()
    assert (shield.match, shield.author) == ({"business": "game", "set": "shanghai-1"}, "lisi")
    assert compile_match(shield.match)

    assert as_operator.post(f"/shields/{shield.pk}/end/").status_code == 302

    shield.refresh_from_db()
    assert not shield.enabled
    assert list(AuditEntry.objects.order_by("id").values_list("verb", flat=True)) == ["shield.add", "shield.change"]
    assert ConfigVersion.current("shields") == 2
    assert [standing for _s, _t, standing, _m in as_operator.get("/shields/").context["listed"]] == ["ended"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"reason": ""}, "reason"),
        ({"ends_at": "2020-01-01T00:00"}, "ends_at"),
        ({"repeat": "daily", "starts_at": "2030-01-01T00:00", "ends_at": "2030-01-02T01:00"}, "ends_at"),
    ],
)
def test_it_refuses_a_shield(as_operator: Client, changes: dict[str, Any], field: str) -> None:
    answer = as_operator.post("/shields/new/", shield_data(**changes))

    assert list(answer.context["form"].errors) == [field]
    assert not Shield.objects.exists()


def convergence_data(**changes: Any) -> dict[str, Any]:
    data = {
        "name": "同机同类",
        "alert_types": "disk_full, disk_io",
        "window": "300",
        "count": "1",
        "same_0": "host",
        "same_1": "alert_type",
        "same_2": "",
        "labels": "app",
        "function": "skip_when_success",
        "priority": "30",
        "enabled": "on",
        "remark": "同一台机器同一类告警只修一次",
    }
    return data | changes


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


@pytest.mark.parametrize(
    ("url", "data", "draft"),
    [
        ("/rules/new/", rule_data(), "rules"),
        ("/convergence-rules/new/", convergence_data(), "convergence_rules"),
    ],
)
def test_it_backtests_what_the_form_says_without_saving(
    as_admin: Client, game: Business, settings: Any, url: str, data: dict[str, Any], draft: str
) -> None:
    settings.FTA_WORK_KINDS = ["fta.backtest.BacktestKind"]
    factories.host()
    since = timezone.now() - timedelta(hours=3)
    for number in range(3):
        factories.alert(received_at=since, alert_type=f"disk_{number}", outcome="unmatched")
    page = as_admin.get(url).content.decode()
    assert 'name="action" value="backtest"' in page
    assert "最近 30 天" in page

    answer = as_admin.post(url, data | {"action": "backtest", "replay_days": "1"})

    run = BacktestRun.objects.get()
    assert not Rule.objects.exists()
    assert not ConvergenceRule.objects.exists()
    assert (run.total, run.request[draft][0]["name"], run.request["businesses"]) == (3, data["name"], None)
    text = answer.content.decode()
    assert f'hx-get="/backtests/{run.pk}/"' in text
    assert "正在重放：0 / 3 条" in text
    assert f'value="{data["name"]}"' in text  # what was written is still there

    Engine(work=["backtest"]).drain()
    part = as_admin.get(f"/backtests/{run.pk}/", headers={"hx-request": "true"}).content.decode()
    assert "<html" not in part
    assert "hx-get" not in part
    assert "3 条真实告警重放" in part
    whole = as_admin.get(f"/backtests/{run.pk}/").content.decode()
    assert "<html" in whole
    for word in ("直接执行", "被拦下", "审批请求", "其中夜间（0–7 点）", "当时实际一致的有 3 / 3 条"):
        assert word in whole
    assert ("现行 0，多 3" in whole) is (draft == "rules")  # a rule takes what nothing took


def test_it_shows_where_a_draft_differs(as_operator: Client, game: Business, settings: Any) -> None:
    settings.FTA_WORK_KINDS = ["fta.backtest.BacktestKind"]
    factories.host()
    alert = factories.alert(received_at=timezone.now() - timedelta(hours=1), title="<b>", outcome="unmatched")
    as_operator.post("/rules/new/", rule_data(action="backtest"))
    run = BacktestRun.objects.get()
    assert run.request["businesses"] == [game.pk]
    Engine(work=["backtest"]).drain()
    text = as_operator.get(f"/backtests/{run.pk}/").content.decode()
    assert "会不同的 1 条" in text
    assert f"/alerts/{alert.pk}/" in text
    assert "未接入 1" in text
    assert "只记录 1" in text


def test_it_keeps_a_backtest_to_whom_it_belongs(
    as_operator: Client, game: Business, stranger: Person, admin: Person
) -> None:
    as_operator.post("/rules/new/", rule_data(action="backtest"))
    url = f"/backtests/{BacktestRun.objects.get().pk}/"
    assert as_operator.get(url).status_code == 200
    assert as_operator.post(url).status_code == 405
    as_operator.force_login(stranger.user)
    assert as_operator.get(url).status_code == 404
    as_operator.force_login(admin.user)
    assert as_operator.get(url).status_code == 200
    as_operator.logout()
    assert as_operator.get(url).status_code == 302


def test_it_does_not_backtest_what_it_would_not_save(as_operator: Client, game: Business) -> None:
    answer = as_operator.post("/rules/new/", rule_data(action="backtest", timeout="0"))
    assert list(answer.context["form"].errors) == ["timeout"]
    assert not BacktestRun.objects.exists()


def test_it_says_why_there_is_no_backtest(as_operator: Client, game: Business, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "MOST_ALERTS", 0)
    factories.alert(received_at=timezone.now() - timedelta(hours=1), outcome="matched", host=None, business=game)
    text = as_operator.post("/rules/new/", rule_data(action="backtest")).content.decode()
    assert "不能回测：这段时间有 1 条告警" in text
    assert not BacktestRun.objects.exists()


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
