"""Whatever a configuration file can say, an export says again: an empty portal that loads it is the same portal."""

import re
from typing import Any

import pytest
import yaml
from django.contrib.auth.models import User
from django.db.models import ForeignKey, ManyToManyField, Model

from approvals.models import ApprovalAdmin, ApproverGroup, Policy
from fta.config.reader import Reader
from fta.models import (
    ApiKey,
    Business,
    ConvergenceRule,
    Credential,
    Duty,
    Host,
    Package,
    PackageVersion,
    Person,
    Rule,
    Shield,
    Source,
)
from notify import transports
from notify.models import Channel, NotificationRule, Template
from tests.fta.configuring import apply, export
from wechat.models import GatewayClient, WecomApp

pytestmark = pytest.mark.django_db

FULL = """
version: 1
businesses: [{code: game, name: 游戏大区, maintainers: [lisi, gone]}]
people:
  - {username: boss, roles: [admin]}
  - {username: lisi, name: 李四, email: lisi@example.com, wecom_userid: lisi, roles: [approver, operator], businesses: [game],
     deputy: {person: boss, until: "2026-12-01T01:00:00+00:00"}}
  - {username: gone, wecom_userid: gone, roles: [viewer], businesses: [game], active: false}
groups: [{name: 一线, people: [lisi, gone]}]
duties:
  - {name: 值班, rotation: day, people: [lisi], handover: "10:00", holiday_people: [boss],
     overrides: [{person: boss, from: "2026-10-02T09:00:00+08:00", to: "2026-10-03T09:00:00+08:00"}],
     holidays: [{name: 国庆节, from: 2026-10-01, to: 2026-10-07}]}
api_keys: [{name: console, key: api-key-0123456789abc, role: operator, businesses: [game]}]
credentials:
  - {name: root, kind: password, secret: hunter2-hunter2, business: game}
  - {name: awx, kind: token, url: "https://awx.example", secret: hunter2-hunter2}
hosts:
  - {ip: 127.0.0.10, name: web-1, business: game, set: s1, module: web, operators: [lisi], attributes: {rack: a1}, spare: true,
     connection: {kind: ssh, user: ops, port: 2222, credential: root,
                  host_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAA4Rrb6nudJYnP3bR01WB4wgdtkwiOSb+DmYF0CCD1I"}}
wecom:
  - {name: main, corp_id: wwdemo0123456789ab, agent_id: 1000002, secret: wecom-secret-0123456789, token: DemoToken0123456789,
     encoding_aes_key: abcdefghijklmnopqrstuvwxyz0123456789ABCDEFA, api_url: "https://qyapi.example/cgi-bin/",
     app_url: "https://portal.example/wechat/", static_url: "https://cdn.example/wechat/", api_token: api-token-0123456789,
     verify_files: [{name: WW_verify_abcdefgh12345678.txt, content: abcdefgh}], approval_admins: [lisi]}
  - {name: second, corp_id: wwdemo0123456789ab, agent_id: 1000003}
gateway: {clients: [{name: zabbix, corp_id: tool, agent_id: 7, per_minute: 60, secret: gateway-secret-0123456789, enabled: false}]}
sources:
  - {name: rest, kind: rest, app_id: app, business: game, time_zone: Asia/Tokyo, cidrs: [192.0.2.0/24], relay_to: [app],
     options: {severity: {sev1: critical}}, secret: source-secret-0123456789, enabled: false}
approval_policies:
  - {name: default, stages: [{approvers: [{role: operator}, {group: 一线}, {person: lisi}], quorum: 2}], exclude_requester: false,
     expires_after: 45m, on_expiry: escalate, escalate_to: [{duty: 值班}, {person: boss}], remind_channel: mail}
packages:
  - {key: clean, name: 清理, business: game, description: 删除过期文件, risk: high, mode: shadow,
     budget: {max_hosts: 2, max_percent: 10, window: 10m, scope: set}, parameters: [{name: path, type: string, default: /tmp}],
     nodes: [{id: 1, name: 作业, type: job, policy: once, timeout: 60s, retries: {count: 2, delay: 5s},
              params: {preset: awx, credential: awx, inputs: {template: 12}}}]}
rules:
  - {name: 磁盘, priority: -5, match: {alert_type: {glob: "disk*"}}, package: clean, timeout: 20m, parameters: {path: /data},
     mode: shadow, stale_after: 15m, approval_policy: default, notify: {mail_maintainers: false, channels: [mail]},
     void_when_resolved: true, verify: {within: 5m, stay: 10m}, enabled: false}
convergence_rules:
  - {name: 同机, alert_types: [disk_full], window: 2m, count: 3, dimensions: [host, {name: set, values: [s1]}], priority: 7,
     function: skip_when_success, business: game, remark: 默认, enabled: false}
  - {name: 全局, dimensions: [host], function: relate, blocked_by: [game], remark: 默认}
shields:
  - {name: 发布, match: {business: game}, from: "2026-01-31T01:00:00+08:00", to: "2026-01-31T03:00:00+08:00", repeat: weekly,
     reason: 发布, enabled: false}
channels:
  - {name: app, kind: wecom_app, description: 应用, fallback: mail, enabled: false, app: second, to_user: [lisi], to_party: ["2"],
     to_tag: ["3"], message: markdown}
  - {name: robot, kind: wecom_robot, to_user: [lisi], message: text,
     groups: [{name: 群, webhook: "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=k", mentions: [lisi]}]}
  - {name: chat, kind: wecom_chat, app: main, chat_id: chat1, owner: lisi, members: [lisi, boss], message: news}
  - {name: mail, kind: email, to: [ops@example.com]}
  - {name: hook, kind: webhook, url: "https://hook.example/", secret: hook-secret-0123456789}
templates: [{name: 短, event: execution.failed, channel_kind: email, body: "{{ title }}"}]
notification_rules:
  - {name: 结果, events: [execution.*], match: {business: game}, hours: {from: "09:00", to: "18:00"}, channels: [mail, app],
     to: [lisi, {role: host}, {duty: 值班}], template: 短, throttle: 5m, send_resolved: true, group_by: [business],
     group_wait: 30s, group_interval: 5m, repeat_interval: 4h, enabled: false}
"""
KINDS: tuple[type[Model], ...] = (
    NotificationRule, Template, Channel, Shield, ConvergenceRule, Rule, Package, Policy, Source, GatewayClient, ApprovalAdmin,
    WecomApp, Host, Credential, ApiKey, Duty, ApproverGroup, Business, Person, User,
)  # fmt: skip
SECRET = {"secret", "token", "encoding_aes_key", "api_token", "secret_digest", "key_digest", "config", "password"}
OWN = {
    "id",
    "current",
    "created_at",
    "updated_at",
    "date_joined",
    "previous_token",
    "previous_aes_key",
    "user_permissions",
}
# What cannot be used before somebody enters its secret is off.
LACKING = {("channel", "robot"), ("channel", "hook"), ("apikey", "console")}


def contents() -> dict[tuple[str, str], dict[str, Any]]:
    """Return what each row of the configuration says, relations by name; secrets are left out, for a file has none."""
    return {
        (str(kind._meta.model_name), str(row)): {
            field.name: told(row, field)
            for field in (*kind._meta.fields, *kind._meta.many_to_many)
            if field.name not in SECRET | OWN
        }
        for kind in KINDS
        for row in kind._default_manager.all()
    }


def told(row: Model, field: Any) -> Any:
    if isinstance(field, ManyToManyField):
        return sorted(str(item) for item in getattr(row, field.name).all())
    return str(getattr(row, field.name)) if isinstance(field, ForeignKey) else getattr(row, field.name)


def place(path: str) -> str:
    return re.sub(r"\[\d+\]", "", path)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Collect the keys that the sections ask for and nothing in the file gives: a test that names them all names new ones too."""
    known: dict[str, set[str]] = {}
    given: dict[str, set[str]] = {}
    lacking: dict[str, set[str]] = {}

    def end(reader: Reader) -> None:
        path = place(reader.path)
        known.setdefault(path, set()).update(reader._taken)
        given.setdefault(path, set()).update(reader._data)
        lacking[path] = known[path] - given[path]

    monkeypatch.setattr(Reader, "end", end)
    return lacking


def test_a_file_that_says_everything_comes_back_from_its_export(read: dict[str, set[str]]) -> None:
    apply(FULL)
    assert not {path: keys for path, keys in read.items() if keys}, "FULL has to say these as well"
    for item in yaml.safe_load(FULL)["channels"]:
        assert {field.name for field in transports.fields(item["kind"])} <= set(item)
    said, before = export(), contents()
    configs = {row.name: row.config for row in Channel.objects.all()}

    assert apply(said) == ([], "")

    Rule.objects.all().delete()
    Package.objects.update(current=None)
    PackageVersion.objects.all().delete()
    for kind in KINDS:
        kind._default_manager.all().delete()
    apply(said)
    after = contents()
    for row in LACKING:
        assert (before[row].pop("enabled"), after[row].pop("enabled")) == (True, False), row
    assert after == before
    for row in Channel.objects.exclude(name__in=[name for _kind, name in LACKING]):
        assert row.config == configs[row.name]
    assert PackageVersion.objects.get().nodes[0]["params"]["credential"] == "awx"
