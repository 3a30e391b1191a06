"""apply_config and export_config: one file is the whole truth of the sections that it has."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command

from fta.config.document import sections
from fta.models import (
    AuditEntry,
    ConfigVersion,
    ConvergenceRule,
    Credential,
    Host,
    Package,
    PackageVersion,
    Person,
    Rule,
    Shield,
)
from notify.models import Channel, NotificationRule
from tests import factories
from tests.fta.configuring import apply, export, refused, snapshot
from wechat.models import WecomApp

pytestmark = pytest.mark.django_db

DEMO = Path(__file__).parents[2] / "deploy" / "demo" / "portal.yaml"
ENVIRONMENT = {
    "FTA_API_KEY": "demo-api-key-0123456789",
    "WECOM_SECRET": "demo-wecom-secret-0123456789",
    "WECOM_TOKEN": "DemoToken0123456789",
    "WECOM_AES_KEY": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFA",
    "WECOM_API_URL": "http://127.0.0.1:9/cgi-bin/",
    "WECOM_API_TOKEN": "demo-api-token-0123456789",
    "FTA_PORTAL_URL": "http://127.0.0.1:8000",
    "FTA_SOURCE_SECRET": "demo-source-secret-0123456789",
    "FTA_DEMO_HOOK": "http://127.0.0.1:9/restart",
    "ROBOT_URL_1": "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=demo-robot-1",
    "ROBOT_URL_2": "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=demo-robot-2",
}
SECRETS = [
    value for name, value in ENVIRONMENT.items() if name not in ("WECOM_API_URL", "FTA_PORTAL_URL", "FTA_DEMO_HOOK")
]

PLAIN = """
version: 1
businesses: [{code: game, name: 游戏大区, maintainers: [lisi]}, {code: pay, name: 支付}]
people:
  - {username: lisi, name: 李四, email: lisi@example.com, wecom_userid: LiSi, roles: [operator, approver], businesses: [game],
     deputy: {person: wangwu, until: "2026-12-01T09:00:00+08:00"}}
  - {username: wangwu, roles: [approver], businesses: [pay]}
groups: [{name: 一线, people: [lisi, wangwu]}]
duties:
  - {name: 值班, rotation: day, people: [lisi, wangwu], handover: "09:00", holiday_people: [wangwu],
     overrides: [{person: lisi, from: "2026-10-02 09:00", to: 2026-10-03T09:00:00+08:00}],
     holidays: [{name: 国庆节, from: 2026-10-01, to: "2026-10-07"}, {name: 元旦, from: 2027-01-01}]}
hosts:
  - {ip: 127.0.0.10, name: local-1, business: game, set: s1, module: web, operators: [lisi], attributes: {rack: a1},
     connection: {kind: ssh, user: root, port: 2222,
                  host_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAA4Rrb6nudJYnP3bR01WB4wgdtkwiOSb+DmYF0CCD1I"}}
  - {ip: 127.0.0.99, spare: true}
sources:
  - {name: rest, kind: rest, app_id: app, business: game, time_zone: Asia/Tokyo, cidrs: [192.0.2.0/24],
     options: {severity: {sev1: critical}}}
  - {name: quiet, kind: rest, enabled: false}
approval_policies:
  - {name: default, stages: [{approvers: [{role: operator}, {group: 一线}], quorum: 1}, {approvers: [{duty: 值班}]}],
     expires_after: 45m, on_expiry: refuse}
packages:
  - key: clean-disk
    name: 清理
    business: game
    description: 删除过期文件
    risk: high
    mode: approval
    budget: {max_hosts: 2, window: 10m, scope: set}
    parameters: [{name: path, type: string, default: /tmp}]
    nodes: [{id: 1, name: 等, type: sleep, params: {seconds: 1}, retries: {count: 2, delay: 5s}, timeout: 60s}]
rules:
  - {name: 磁盘, priority: -5, match: {alert_type: {glob: "disk*"}, business: game}, package: clean-disk, timeout: 20m,
     parameters: {path: /data}, mode: shadow, stale_after: 15m, approval_policy: default,
     notify: {mail_maintainers: false, channels: [mail]}, void_when_resolved: true, verify: {within: 5m, stay: 10m}, enabled: false}
  - {name: 只记录, match: {}}
convergence_rules:
  - {name: 同机, alert_types: [disk_full], window: 2m, count: 3, dimensions: [host, "label:app", {name: set, values: [s1]}],
     function: skip_when_success, priority: 7, business: game, remark: 默认, enabled: false}
shields:
  - {name: 发布, match: {business: game}, from: "2026-01-31T01:00:00", to: "2026-01-31T03:00:00+08:00", repeat: weekly,
     reason: 发布, enabled: false}
channels:
  - {name: app, kind: wecom_app, to_user: [lisi], fallback: mail}
  - {name: mail, kind: email, to: [ops@example.com], description: 值班邮箱}
templates: [{name: 短, event: execution.failed, channel_kind: email, body: "{{ title }}"}]
notification_rules:
  - {name: 结果, events: [execution.*], match: {business: game}, channels: [mail], to: [lisi, {role: host}, {duty: 值班}],
     template: 短, throttle: 5m,
     send_resolved: true, group_by: [business], group_wait: 30s}
"""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def test_the_demo_loads_from_its_file(environment: None) -> None:
    out = StringIO()
    call_command("apply_config", str(DEMO), stdout=out)
    assert out.getvalue().rstrip().endswith("changed")
    rule = Rule.objects.get(name="磁盘写满")
    assert (rule.priority, rule.timeout, rule.match) == (10, 2400, {"alert_type": {"glob": "disk*"}})
    package = Package.objects.get(key="restart-after-approval")
    assert package.current is not None
    assert [node["type"] for node in package.current.nodes] == ["ping_check", "approval", "http", "notify"]
    assert Host.objects.get(ip="127.0.0.99").is_spare
    assert Person.objects.get(user__username="lisi").wecom_userid == "lisi"
    assert WecomApp.objects.get().secret == ENVIRONMENT["WECOM_SECRET"]
    assert [group["webhook"] for group in Channel.objects.get(name="值班群").config["groups"]] == [
        ENVIRONMENT["ROBOT_URL_1"],
        ENVIRONMENT["ROBOT_URL_2"],
    ]
    assert ConvergenceRule.objects.count() == 2
    assert NotificationRule.objects.get(name="系统故障").channels.get().name == "邮件"
    assert AuditEntry.objects.filter(verb="config.apply", actor="apply_config").exists()


def test_a_second_time_changes_nothing(environment: None) -> None:
    apply(DEMO.read_text())
    trail = AuditEntry.objects.count()
    assert apply(DEMO.read_text()) == ([], "")
    assert AuditEntry.objects.count() == trail
    assert PackageVersion.objects.count() == 2


def test_a_dry_run_shows_what_would_change_and_changes_nothing(environment: None) -> None:
    before = snapshot()
    would, _said = apply(DEMO.read_text(), "--dry-run")
    assert "+ rule 磁盘写满" in would
    assert snapshot() == before
    did, _said = apply(DEMO.read_text())
    assert did == would


def test_it_warns_of_each_variable_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    changes, said = apply(DEMO.read_text())
    assert "+ rule 磁盘写满" in changes
    for name in ENVIRONMENT:
        assert name in said
    assert "api_keys[0].key: the environment variable FTA_API_KEY is not set" in said
    assert not Channel.objects.get(name="值班群").enabled
    assert apply(export()) == ([], "")


def test_what_is_exported_is_what_was_applied() -> None:
    apply(PLAIN)
    first = export()
    before = snapshot()
    assert apply(first) == ([], "")
    after = snapshot()
    before.pop("ConfigVersion"), after.pop("ConfigVersion")
    assert after == before
    assert export() == first


def test_an_export_keeps_the_secrets_that_it_leaves_out(environment: None) -> None:
    apply(DEMO.read_text())
    hook = "{name: hook, kind: webhook, url: 'https://hook.example/', secret: hunter2-hunter2-hunter2}"
    apply(DEMO.read_text().replace("channels:\n", f"channels:\n  - {hook}\n", 1))
    sealed = {row.name: row.config for row in Channel.objects.all()}
    said = export()
    assert apply(said)[0] == []
    assert {row.name: row.config for row in Channel.objects.all()} == sealed

    NotificationRule.objects.all().delete()
    Channel.objects.all().delete()
    apply(said)  # on another machine: what lacks a secret is there, and off
    assert {row.name for row in Channel.objects.filter(enabled=False)} == {"hook", "值班群"}


def test_a_shield_is_by_whoever_made_it() -> None:
    apply(PLAIN)
    shield = Shield.objects.get()
    assert shield.author == "apply_config"
    Shield.objects.update(author="lisi", reason="别的")
    apply(PLAIN)
    shield.refresh_from_db()
    assert (shield.author, shield.reason) == ("lisi", "发布")


def test_every_field_survives_the_way_through_an_export() -> None:
    apply(PLAIN)
    document = yaml.safe_load(export())
    wanted = yaml.safe_load(PLAIN)
    assert set(document) == set(wanted)
    package, given = document["packages"][0], wanted["packages"][0]
    for name in ("key", "name", "business", "description", "risk", "mode", "parameters"):
        assert package[name] == given[name]
    assert package["budget"] == {"max_hosts": 2, "window": 600, "scope": "set"}
    rule = document["rules"][0]
    spans = {"timeout": "1200s", "stale_after": "900s", "verify": {"within": "300s", "stay": "600s"}}
    assert rule == wanted["rules"][0] | spans
    assert document["convergence_rules"][0] == wanted["convergence_rules"][0] | {"window": "120s"}
    shield = document["shields"][0]
    assert (shield["enabled"], shield["repeat"], shield["match"]) == (False, "weekly", {"business": "game"})
    assert {row["name"]: row.get("enabled", True) for row in document["sources"]} == {"rest": True, "quiet": False}
    host = next(row for row in document["hosts"] if row["ip"] == "127.0.0.10")
    assert host == wanted["hosts"][0]


def test_no_secret_is_exported(environment: None) -> None:
    apply(DEMO.read_text())
    token = "{name: awx, kind: token, url: 'https://awx', secret: hunter2-hunter2}"
    apply(f"version: 1\ncredentials: [{{name: root, kind: password, secret: hunter2-hunter2}}, {token}]")
    said = export()
    for secret in [*SECRETS, "hunter2-hunter2"]:
        assert secret not in said
    document = yaml.safe_load(said)
    assert [row["name"] for row in document["sources"]] == ["grafana", "prometheus", "rest"]
    assert sorted(document["credentials"], key=lambda row: row["name"]) == [
        {"name": "awx", "kind": "token", "url": "https://awx"},
        {"name": "root", "kind": "password"},
    ]


def test_an_absent_section_is_left_alone_and_an_empty_one_empties() -> None:
    apply(PLAIN)
    rule = Rule.objects.get(name="磁盘")
    assert (
        apply("version: 1\nbusinesses: [{code: game, name: 游戏大区, maintainers: [lisi]}, {code: pay, name: 支付}]")[0]
        == []
    )
    rule.refresh_from_db()
    assert not rule.archived
    changes, _said = apply("version: 1\nrules: []\nshields:\nconvergence_rules: []")
    assert sorted(changes) == ["- convergencerule 同机", "- rule 只记录", "- rule 磁盘", "- shield 发布"]
    for kind in (Rule, Shield, ConvergenceRule):
        row: Any
        for row in kind._default_manager.all():
            assert (row.archived, row.enabled) == (True, False)
    assert not Package.objects.get().archived
    assert apply("version: 1\ngateway:")[0] == []


def test_what_is_no_longer_named_stays_under_a_running_execution() -> None:
    apply(PLAIN)
    package = Package.objects.get()
    run = factories.execution(package=package, rule=Rule.objects.get(name="磁盘"), state="running")
    apply("version: 1\nrules: [{name: 只记录}]\npackages: []")
    run.refresh_from_db()
    assert run.package is not None
    assert run.rule is not None
    assert (run.package.archived, run.rule.archived, run.version) == (True, True, package.current)
    changes, _said = apply(PLAIN)
    assert "~ rule 磁盘: archived" in changes
    assert Package.objects.get().current == package.current


def test_a_change_of_nodes_is_a_new_version() -> None:
    apply(PLAIN)
    changes, _said = apply(PLAIN.replace("seconds: 1}", "seconds: 2}"))
    assert changes == ["~ package clean-disk: version 2"]
    assert [row.number for row in PackageVersion.objects.order_by("number")] == [1, 2]


def test_every_process_reads_anew_what_was_applied() -> None:
    kinds = ("rules", "shields", "convergence", "packages", "channels", "notification_rules")
    before = {kind: ConfigVersion.current(kind) for kind in kinds}
    apply(PLAIN)
    assert all(ConfigVersion.current(kind) > before[kind] for kind in kinds)


def test_it_says_that_a_file_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"no\.yaml: No such file"):
        call_command("apply_config", str(tmp_path / "no.yaml"))


def test_every_section_can_be_exported_from_an_empty_portal() -> None:
    assert yaml.safe_load(export()) == {"version": 1}
    assert list(sections())[:3] == ["businesses", "people", "groups"]


def test_a_package_may_run_inside_one_that_stands_before_it() -> None:
    inner = "{key: b, nodes: [{id: 1, type: sleep, params: {seconds: 0}}]}"
    outer = "{key: a, nodes: [{id: 1, type: package, params: {package: b}}]}"
    apply(f"version: 1\npackages: [{outer}, {inner}]")
    assert sorted(Package.objects.exclude(current=None).values_list("key", flat=True)) == ["a", "b"]
    before = export()
    apply(before)
    assert export() == before
    with pytest.raises(CommandError, match=r"packages\[0\]\.nodes\[0\]\.params\.package"):
        apply(f"version: 1\npackages: [{outer.replace('package: b', 'package: c')}, {inner}]")


def test_a_credential_of_a_business_is_for_its_hosts_alone() -> None:
    firms = "businesses: [{code: game, name: 游戏}, {code: pay, name: 支付}]"
    key = "credentials: [{name: root, kind: password, secret: hunter2-hunter2, business: pay}]"
    host = "hosts: [{ip: 127.0.0.1, business: %s, connection: {kind: ssh, user: ops, credential: root}}]"
    text = f"version: 1\n{firms}\n{key}\n{host}"
    assert "hosts[0].connection.credential: 凭据属于另一个业务" in refused(text % "game")
    apply(text % "pay")
    assert yaml.safe_load(export())["credentials"] == [{"name": "root", "kind": "password", "business": "pay"}]
    gone = text.replace("business: pay}]", "business: gone}]") % "pay"
    assert 'credentials[0].business: no business "gone"' in refused(gone)


def test_a_stored_secret_goes_to_no_other_address() -> None:
    text = "version: 1\ncredentials: [{name: awx, kind: %s, url: '%s'%s}]"
    apply(text % ("token", "https://awx.example.com", ", secret: hunter2-hunter2"))
    apply(text % ("token", "https://awx.example.com", ""))
    for url in ("https://other.example.com", "http://awx.example.com"):
        assert "credentials[0].secret: 改了平台地址，请重新填写内容" in refused(text % ("token", url, ""))
    unset = ", secret: '${ENV:NO_SUCH_SECRET}'"
    assert "credentials[0].secret: 改了平台地址" in refused(text % ("token", "https://other.example.com", unset))
    assert "credentials[0].secret: 改了类型" in refused(text % ("password", "", ""))
    stored = Credential.objects.get()
    assert (stored.url, stored.secret) == ("https://awx.example.com", "hunter2-hunter2")
    apply(text % ("token", "https://other.example.com", ", secret: another-secret"))
    assert Credential.objects.get().secret == "another-secret"
