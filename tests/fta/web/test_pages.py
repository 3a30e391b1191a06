"""Every page opens for those who may see it, shows what is there and hides what is not theirs."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from django.test import Client
from django.utils import timezone

from approvals.models import Approval, ApprovalAdmin
from fta import audit, ports
from fta.models import Business, Credential, Execution, Heartbeat, Inbox, Incident, Person
from fta.templatetags.audit_words import verb_word
from tests import factories
from tests.fta.web.conftest import Open, run_of

PAGES = [
    "/", "/now/", "/alerts/", "/alerts/?view=resolved", "/alerts/?view=unmatched", "/alerts/?view=unregistered", "/incidents/",
    "/executions/", "/inventory/", "/inventory/businesses/", "/inventory/people/", "/sources/", "/sources/inbox/", "/health/",
    "/switch/", "/search/?q=nothing",
]  # fmt: skip


@pytest.mark.parametrize("url", [*PAGES, "/audit/"])
def test_it_opens_empty_pages(url: str, admin: Person, browser: Open) -> None:
    answer = browser(admin).get(url)
    assert answer.status_code == 200
    assert "style=" not in answer.content.decode()


@pytest.mark.parametrize("url", PAGES)
def test_it_shows_a_stranger_nothing(url: str, stranger: Person, running: Execution, browser: Open) -> None:
    answer = browser(stranger).get(url)
    assert answer.status_code == 200
    text = answer.content.decode()
    assert "磁盘写满" not in text
    assert "local-1" not in text


@pytest.mark.parametrize("url", [*PAGES, "/audit/", "/executions/1/"])
def test_it_asks_for_a_sign_in(url: str, db: None) -> None:
    answer = Client().get(url)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/login/")


def test_it_signs_in_and_out(operator: Person) -> None:
    client = Client()
    assert client.get("/login/").status_code == 200
    answer = client.post("/login/", {"username": "lisi", "password": factories.PASSWORD})
    assert answer.headers["Location"] == "/"
    assert client.post("/logout/").headers["Location"] == "/login/"
    assert client.get("/").status_code == 302


def test_it_lists_alerts_with_what_became_of_them(operator: Person, running: Execution, browser: Open) -> None:
    text = browser(operator).get("/alerts/").content.decode()
    assert "磁盘写满" in text
    assert f"#{running.pk}" in text
    assert "is-running" in text


def test_it_folds_a_storm_into_one_row_and_unfolds_it(operator: Person, storm: Incident, browser: Open) -> None:
    client = browser(operator)
    folded = client.get("/alerts/").content.decode()
    assert "游戏大区 Ping 不可达" in folded
    assert "Ping 不可达 3" not in folded
    assert "Ping 不可达 3" in client.get(f"/alerts/?incident={storm.pk}").content.decode()


def test_it_narrows_alerts_and_ignores_nonsense(operator: Person, running: Execution, browser: Open) -> None:
    client = browser(operator)
    assert "磁盘写满" in client.get("/alerts/?severity=critical&q=127.0.0.10").content.decode()
    assert "没有符合筛选的告警" in client.get("/alerts/?severity=info").content.decode()
    assert "磁盘写满" in client.get("/alerts/?severity=nonsense&before=x&view=y").content.decode()


def test_it_says_how_many_newer_alerts_there_are(operator: Person, running: Execution, browser: Open) -> None:
    client = browser(operator)
    assert running.alert is not None
    assert not client.get(f"/alerts/newer/?since={running.alert.pk}").content.strip()
    factories.alert()
    assert "1 条新告警" in client.get(f"/alerts/newer/?since={running.alert.pk}").content.decode()


def test_it_shows_an_alert_as_text_whatever_it_says(operator: Person, game: Business, browser: Open) -> None:
    alert = factories.alert(title="<script>alert(1)</script>", labels={"<i>": "<b>"}, outcome="unmatched")
    text = browser(operator).get(f"/alerts/{alert.pk}/").content.decode()
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "未接入" in text


def test_a_foreign_row_does_not_exist(approver: Person, running: Execution, storm: Incident, browser: Open) -> None:
    client = browser(approver)  # of another business
    assert running.alert is not None
    assert running.host is not None
    for url in (
        f"/alerts/{running.alert.pk}/", f"/executions/{running.pk}/", f"/executions/{running.pk}/live/",
        f"/incidents/{storm.pk}/", f"/inventory/hosts/{running.host.pk}/", f"/sources/{running.alert.source_id}/",
    ):  # fmt: skip
        assert client.get(url).status_code == 404, url


def test_it_shows_an_incident_with_its_counts(operator: Person, storm: Incident, browser: Open) -> None:
    client = browser(operator)
    assert "待一次决定" in client.get("/incidents/").content.decode()
    text = client.get(f"/incidents/{storm.pk}/").content.decode()
    assert "lobby-6" in text
    assert "有 5 个等待审批，没有请示到你" in text


def test_it_decides_the_listed_approvals_of_an_incident(operator: Person, storm: Incident, browser: Open) -> None:
    now = timezone.now()
    Incident.objects.filter(pk=storm.pk).update(
        findings={"shared": [{"name": "label:switch", "value": "tor-7", "count": 5, "share": 0.83}], "looked_at": 6}
    )
    ApprovalAdmin.objects.create(person=operator)
    runs = list(storm.executions.filter(state="held"))
    for run in runs:
        ports.gate().ask_execution(run, ["批量异常"], now)
    client = browser(operator)
    text = client.get(f"/incidents/{storm.pk}/").content.decode()
    assert "驳回 5 个" in text
    assert "标签 switch" in text
    assert "83%" in text
    assert "5 个，一次决定" in client.get("/").content.decode()
    picked = re.findall(r'name="picked" value="([^"]+)"', text)
    action = re.findall(r'method="post" action="([^"]+/decide/)"', text)[0]
    assert len(picked) == 5
    client.post(action, {"picked": picked[:4], "answer": "refuse", "comment": "不换", "incident": storm.pk})
    assert Approval.objects.filter(state="refused").count() == 4
    assert storm.executions.filter(state="held").count() == 1


def test_it_pages_by_id_in_both_directions(operator: Person, game: Business, browser: Open) -> None:
    alerts = [factories.alert(title=f"告警{n:03}") for n in range(60)]
    client = browser(operator)
    first = client.get("/alerts/").content.decode()
    assert "告警059" in first
    assert "告警009" not in first
    second = client.get(f"/alerts/?before={alerts[10].pk}").content.decode()
    assert "告警009" in second
    assert "告警010" not in second
    assert f"after={alerts[9].pk}" in second
    third = client.get(f"/alerts/?after={alerts[9].pk}").content.decode()
    assert "告警059" in third
    assert "告警009" not in third


def test_it_shows_what_an_ssh_host_is_known_by_and_no_credential(operator: Person, browser: Open) -> None:
    pinned = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()
    credential = Credential.objects.create(name="root-of-all", kind="password", secret="hunter2-hunter2")
    login: dict[str, Any] = {"connection": "ssh", "ssh_user": "ops", "ssh_port": 2222}
    host = factories.host(**login, host_key=pinned.export_public_key().decode(), credential=credential)
    bare = factories.host("127.0.0.11", "bare", **login)
    client = browser(operator)

    text = client.get(f"/inventory/hosts/{host.pk}/").content.decode()
    assert "ops@127.0.0.10:2222" in text
    assert pinned.get_fingerprint() in text
    assert "root-of-all" not in text
    assert "hunter2" not in text
    text = client.get(f"/inventory/hosts/{bare.pk}/").content.decode()
    assert text.count("不能执行脚本") == 2


def test_it_shows_inventory_of_own_businesses(operator: Person, pay: Business, browser: Open) -> None:
    host = factories.host()
    factories.host("127.0.0.99", "pay-1", business=pay)
    client = browser(operator)
    text = client.get("/inventory/").content.decode()
    assert "127.0.0.10" in text
    assert "127.0.0.99" not in text
    assert "游戏大区" in client.get("/inventory/businesses/").content.decode()
    assert "lisi" in client.get("/inventory/people/").content.decode()
    assert client.get(f"/inventory/hosts/{host.pk}/").status_code == 200


def test_it_shows_what_to_paste_without_the_secret(operator: Person, game: Business, browser: Open) -> None:
    for kind in ("rest", "alertmanager", "grafana", "zabbix"):
        source = factories.source(f"s-{kind}", kind)
        text = browser(operator).get(f"/sources/{source.pk}/").content.decode()
        assert f"/intake/{kind}" in text
        assert "&lt;SECRET&gt;" in text
        assert source.secret_digest not in text


def test_it_tells_when_a_source_was_heard_last(operator: Person, game: Business, browser: Open) -> None:
    source, client = factories.source(), browser(operator)
    for url in ("/sources/", f"/sources/{source.pk}/"):
        assert "还没有收到过" in client.get(url).content.decode()
    for minutes in (9, 3):
        moment = timezone.now() - timedelta(minutes=minutes)
        Inbox.objects.create(source=source, kind="rest", raw=b"{}", received_at=moment)
    for url in ("/sources/", f"/sources/{source.pk}/"):
        assert "3 分钟前" in client.get(url).content.decode()


def test_it_shows_a_refused_request_as_text(operator: Person, game: Business, browser: Open) -> None:
    letter = Inbox.objects.create(
        source=factories.source(), kind="rest", raw=b"\xff<script>", received_at=timezone.now(), state="rejected", error="not JSON"
    )  # fmt: skip
    client = browser(operator)
    assert "not JSON" in client.get("/sources/inbox/").content.decode()
    text = client.get(f"/sources/inbox/{letter.pk}/").content.decode()
    assert "&lt;script&gt;" in text
    assert "重放" in text


def test_audit_is_for_admins(operator: Person, admin: Person, browser: Open) -> None:
    assert browser(operator).get("/audit/").status_code == 403
    assert browser(admin).get("/audit/").status_code == 200


def test_the_audit_page_speaks_of_what_was_done(admin: Person, browser: Open, db: None) -> None:
    for verb in ("package.set_mode", "switch.halt", "rule.change", "made.up"):
        audit.record("boss", verb, ("fta.package", "7"))
    client = browser(admin)
    page = client.get("/audit/").content.decode()
    for words in ("自愈套餐 · 改变运行方式", "停止自愈", "接入规则 · 修改", ">自愈套餐<", "made.up"):
        assert words in page
    for asked in ("运行方式", "package."):
        found = client.get("/audit/", {"verb": asked}).context["page"].rows
        assert [each.verb for each in found] == ["package.set_mode"]


def test_every_verb_of_the_audit_trail_has_words() -> None:
    written = re.compile(r"record\(\s*[^\n]*?\"([a-z]+(?:_[a-z]+)*\.[a-z_]+)\"", re.S)
    root = Path(__file__).parents[3]
    files = (path for app in ("fta", "notify", "approvals", "wechat") for path in (root / app).rglob("*.py"))
    verbs = {verb for path in files for verb in written.findall(path.read_text(encoding="utf-8"))}
    assert len(verbs) > 30
    assert [verb for verb in verbs if verb_word(verb) == verb] == []


def test_it_finds_what_a_text_names(operator: Person, running: Execution, browser: Open) -> None:
    client = browser(operator)
    assert running.host is not None
    assert client.get(f"/search/?q=%23{running.pk}").headers["Location"] == f"/executions/{running.pk}/"
    assert client.get(f"/search/?q={running.pk}_2").headers["Location"] == f"/executions/{running.pk}/"
    assert client.get("/search/?q=127.0.0.10").headers["Location"] == f"/inventory/hosts/{running.host.pk}/"
    assert client.get("/search/?q=clean-disk").status_code in (200, 302)
    assert "没有找到" in client.get("/search/?q=99999999999999999999999").content.decode()


def test_a_search_finds_nothing_foreign(approver: Person, running: Execution, browser: Open) -> None:
    client = browser(approver)
    assert "没有找到" in client.get(f"/search/?q=%23{running.pk}").content.decode()
    assert "没有找到" in client.get("/search/?q=127.0.0.10").content.decode()


def test_the_dashboard_counts_from_rows(operator: Person, running: Execution, browser: Open) -> None:
    healed = run_of(running.alert, package=running.package, state="succeeded", healed="healed")
    answer = browser(operator).get("/?days=1")
    assert answer.context["figures"]["verified"].part == 1
    assert answer.context["running"] == 1
    assert answer.context["firing"] == 1
    series = {each["state"]: sum(each["data"]) for each in answer.context["chart"]["series"]}
    assert series["succeeded"] == 1
    assert healed.pk


def test_the_health_page_names_a_silent_engine(admin: Person, browser: Open) -> None:
    assert "没有心跳" in browser(admin).get("/health/").content.decode()
    Heartbeat.objects.create(worker="w", role="engine", started_at=timezone.now(), beat_at=timezone.now())
    assert "没有心跳" not in browser(admin).get("/health/").content.decode()
