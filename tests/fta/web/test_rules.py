"""Pages of rules, convergence rules and shields."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from fta.matching import compile_match
from fta.models import AuditEntry, Business, ConfigVersion, Person, Rule, Shield
from fta.web import conditions
from tests import factories
from tests.fta.web.rule_forms import rule_data

OFFERED = {"business": ["game", "pay"], "source": ["rest"], "severity": ["critical", "error"]}


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
        void_when_resolved="on",
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
    assert rule.void_when_resolved
    assert AuditEntry.objects.get().verb == "rule.add"
    assert ConfigVersion.current("rules") == 1


def test_it_switches_off_the_mail_about_failures(as_operator: Client, game: Business) -> None:
    assert as_operator.get("/rules/new/").context["form"]["mail_maintainers"].value() is True
    for sent, kept in (("", {"mail_maintainers": False}), ("on", {})):
        rule = Rule.objects.first()
        address = f"/rules/{rule.pk}/edit/" if rule else "/rules/new/"
        assert as_operator.post(address, rule_data(mail_maintainers=sent)).status_code == 302
        rule = Rule.objects.get()
        assert rule.notify == kept
        shown = as_operator.get(f"/rules/{rule.pk}/edit/").context["form"]["mail_maintainers"].value()
        assert shown is rule.mails_maintainers is (sent == "on")


def test_a_rule_that_is_wrong_can_be_moved_and_switched_off_but_not_on(as_operator: Client, game: Business) -> None:
    match = {"business": "game", "alert_type": ""}  # as an older version took it
    rule, other = factories.rule("旧", match, priority=10), factories.rule("新", {"business": "game"}, priority=20)
    for address, data in (("enable", {"on": "0"}), ("move", {"before": "0"}), ("enable", {"on": "1"})):
        answer = as_operator.post(f"/rules/{rule.pk}/{address}/", data)
        assert answer.status_code == 302
    rule.refresh_from_db()
    assert (rule.enabled, rule.priority > other.priority) == (False, True)
    assert "「旧」不能启用，请先编辑：match.alert_type" in as_operator.get("/rules/").content.decode()


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


def test_it_refuses_an_alerts_word_for_the_server_of_a_request(as_operator: Client, game: Business) -> None:
    call = {"id": 1, "type": "http", "params": {"url": "${params.to}/done"}}
    package = factories.package("hook", business=game, nodes=[call], parameters=[{"name": "to", "type": "string"}])
    data = rule_data(package=str(package.pk), parameters="to=${labels.cb}")
    answer = as_operator.post("/rules/new/", data)
    assert "${labels.cb}" in str(answer.context["form"].errors["parameters"])
    assert as_operator.post("/rules/new/", data | {"parameters": "to=https://${ip}"}).status_code == 302
