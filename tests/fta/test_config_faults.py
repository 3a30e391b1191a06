"""What is wrong in a configuration file is named by its path, and nothing of it is applied."""

import pytest

from fta.models import Credential, Execution, Package, PackageVersion
from tests import factories
from tests.fta.configuring import apply, refused

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 1\nruels: []", "ruels: unknown section; known are"),
        ("version: 2", "version: is 2; 1 is expected"),
        ("- a", "must be a mapping of sections"),
        ("version: 1\nrules: {", "not YAML"),
        ("version: 1\nduties: [{name: a, holidays: [{from: 2026-02-30}]}]", "not YAML: day is out of range"),
        ("version: 1\nrules: {name: x}", "rules: must be a list"),
        ("version: 1\nrules: [7]", "rules[0]: must be a mapping"),
        ("version: 1\nrules: [{name: a}, {priority: 1}]", "rules[1].name: is required"),
        ("version: 1\nrules: [{name: a}, {name: b}, {name: c, package: x}]", 'rules[2].package: no package "x"'),
        ("version: 1\nrules: [{name: a, pakage: x}]", "rules[0].pakage: unknown key; known are"),
        ("version: 1\nrules: [{name: a, timeout: soon}]", "rules[0].timeout: is 'soon'; a duration"),
        ("version: 1\nrules: [{name: a, timeout: 5s}]", "rules[0].timeout: must be at least 1m"),
        ("version: 1\nrules: [{name: a, verify: {often: 1}}]", "rules[0].verify.often: unknown key"),
        ("version: 1\nrules: [{name: a, match: {colour: red}}]", "rules[0].match.colour: "),
        ("version: 1\nrules: [{name: a, match: {content: {regex: '('}}}]", "rules[0].match.content"),
        ("version: 1\npackages: [{key: a/b, nodes: []}]", "packages[0].key: "),
        ("version: 1\npackages: [{key: new, nodes: []}]", "packages[0].key: "),
        ("version: 1\npackages: [{key: a, nodes: [{id: 1, type: sleep, polcy: once, params: {seconds: 1}}]}]",
         "packages[0].nodes[0].polcy: "),
        ("version: 1\npackages: [{key: a, nodes: [{id: 1, type: [sleep]}]}]", "packages[0].nodes[0].type: "),
        ("version: 1\npackages: [{key: a, nodes: [{id: 1, type: notify, params: {message: m, channels: [nope]}}]}]",
         'packages[0].nodes[0].params.channels[0]: no channel "nope"'),
        ("version: 1\npackages: [{key: a, budget: {max_hosts: 1, window: 120d}, nodes: []}]",
         "packages[0].budget.window: is '120d'; at most 90d"),
        ("version: 1\npackages: [{key: a, budget: {max_hosts: 0}, nodes: []}]",
         "packages[0].budget.max_hosts: must be a whole number of at least 1"),
        ("version: 1\nrules: [{name: a, approval_policy: nope}]", 'rules[0].approval_policy: no approval policy "nope"'),
        ("version: 1\nrules: [{name: a, parameters: {x: .nan}}]", "rules[0].parameters.x: "),
        ("version: 1\nrules: [{name: a, parameters: {x: !!binary aGk=}}]", "rules[0].parameters.x: "),
        ("version: 1\nrules: [{name: a, parameters: {x: \"a\\0b\"}}]", "rules[0].parameters.x: "),
        ("version: 1\nrules: &a [*a]", "not YAML: "),
        ("version: 1\nrules: [{name: a, priority: 99999999999999999999999}]", "rules[0].priority: must be at most"),
        ("version: 1\nrules: [{name: a, timeout: 99999999d}]", "rules[0].timeout: is '99999999d'; at most"),
        ("version: 1\npackages: [{key: a, nodes: []}]", "packages[0].nodes: "),
        ("version: 1\npackages: [{key: a, business: nowhere, nodes: []}]", 'packages[0].business: no business "nowhere"'),
        ("version: 1\npackages: [{key: a, nodes: [{id: 1, type: wish}]}]", "packages[0].nodes[0].type: "),
        ("version: 1\nconvergence_rules: [{name: a, remark: x, function: guess, dimensions: [host]}]",
         "convergence_rules[0].function: is 'guess'; one of"),
        ("version: 1\nconvergence_rules: [{name: a, remark: x, function: defense, dimensions: [moon]}]",
         "convergence_rules[0].dimensions[0]: 未知的维度「moon」"),
        ("version: 1\nconvergence_rules: [{name: a, remark: x, function: defense, dimensions: [host, {name: set, values: x}]}]",
         "convergence_rules[0].dimensions[1]: 维度「set」的值应为"),
        ("version: 1\nconvergence_rules: [{name: a, remark: x, function: defense, dimensions: [{name: set, values: []}]}]",
         "convergence_rules[0].dimensions[0]: 维度「set」的值应为"),
        ("version: 1\nconvergence_rules: [{name: a, remark: x, function: defense, dimensions: [{name: set, value: [x]}]}]",
         "convergence_rules[0].dimensions[0]: 未知的维度"),
        ("version: 1\nconvergence_rules: [{name: a, remark: x, function: defense, dimensions: ['label:']}]",
         "convergence_rules[0].dimensions[0]: 未知的维度「label:」"),
        ("version: 1\nrules: [{name: a, notify: {channels: [x]}}]",
         'rules[0].notify.channels[0]: no channel "x"'),
        ("version: 1\nrules: [{name: a, match: {alert_type: ''}}]", "rules[0].match.alert_type: 空值"),
        ("version: 1\nshields: [{name: a, reason: x, from: 2026-01-02, to: 2026-01-01T00:00:00}]",
         "shields[0].to: must be later than from"),
        ("version: 1\nshields: [{name: a, reason: x, from: '2026-01-02T00:00:00', to: '2026-01-01T00:00:00'}]",
         "shields[0].to: must be later than from"),
        ("version: 1\nshields: [{name: a, reason: x, repeat: daily, from: '2026-01-01T22:00:00', to: '2026-01-02T22:00:01'}]",
         "shields[0].to: a daily window cannot be longer than its period"),
        ("version: 1\nsources: [{name: a, kind: carrier-pigeon}]", "sources[0].kind: is 'carrier-pigeon'"),
        ("version: 1\nsources: [{name: a, kind: rest, secret: short}]", "sources[0].secret: must be at least 16"),
        ("version: 1\nsources: [{name: a, kind: rest, cidrs: [x]}]", 'sources[0].cidrs[0]: "x" is no network'),
        ("version: 1\nsources: [{name: a, kind: rest, time_zone: Mars/One}]", 'sources[0].time_zone: no time zone'),
        ("version: 1\nduties: [{name: a, people: [ghost]}]", "duties[0].people[0]: 没有“ghost”这个人"),
        ("version: 1\nduties: [{name: a, handover: soon}]", "duties[0].handover: 应为 09:00 这样的时刻"),
        ("version: 1\nduties: [{name: a, overrides: [{person: ghost, from: tomorrow, to: 2026-10-02T09:00:00}]}]",
         "duties[0].overrides[0].from: is 'tomorrow'; a time such as"),
        ("version: 1\nduties: [{name: a, holidays: [{name: b, from: 2026-10-07, to: 2026-10-01}]}]",
         "duties[0].holidays[0].to: 结束必须晚于开始"),
        ("version: 1\nduties: [{name: a, holidays: [{from: '2026-02-30'}]}]",
         "duties[0].holidays[0].from: is '2026-02-30'; a day such as"),
        ("version: 1\nnotification_rules: [{name: a, to: [{role: king}]}]",
         "notification_rules[0].to[0]: role must be one of operator, approver, viewer, maintainer, host, admin"),
        ("version: 1\nnotification_rules: [{name: a, to: [{duty: 夜班}]}]",
         'notification_rules[0].to[0]: no duty list "夜班" with people'),
        ("version: 1\nnotification_rules: [{name: a, to: [7]}]", "notification_rules[0].to[0]: must be a username"),
        ("version: 1\nbusinesses: [{code: a, maintainers: [ghost]}]", 'businesses[0].maintainers[0]: no person "ghost"'),
        ("version: 1\nwecom: {api_token: FTAToken}", "wecom.api_token: API Token 至少 16 位"),
        ("version: 1\nwecom: {api_token: FTAEncodingAESKeyFTAEncodingAESKey923456781}", "wecom.api_token: 这是公开文档里的默认值"),
        ("version: 1\nwecom: {app_url: 'https://x'}", "wecom.app_url: 地址要以 wechat/ 结尾"),
        ("version: 1\nwecom: {app_url: 'https://x:0/wechat/'}", "wecom.app_url: 这不是网址"),
        ("version: 1\nwecom: {app_url: mycompany.com/wechat/}", "wecom.app_url: 这不是网址"),
        ("version: 1\nwecom: {api_url: qyapi.weixin.qq.com}", "wecom.api_url: 这不是网址"),
        ("version: 1\nwecom: {static_url: static}", "wecom.static_url: 这不是网址"),
        ("version: 1\npeople: [{username: a, roles: [king]}]", "people[0].roles: no role 'king'"),
        ("version: 1\npeople: [{username: a, businesses: [nowhere]}]", 'people[0].businesses[0]: no business "nowhere"'),
        ("version: 1\nhosts: [{ip: not-an-ip}]", 'hosts[0].ip: "not-an-ip" is no IP address'),
        ("version: 1\nhosts: [{ip: 127.0.0.1, connection: {kind: ssh, credential: x}}]",
         'hosts[0].connection.credential: no credential "x"'),
        ("version: 1\nhosts: [{ip: 127.0.0.1, connection: {kind: ssh}}]", "hosts[0].connection.user: SSH"),
        ("version: 1\nhosts: [{ip: 127.0.0.1, connection: {kind: ssh, user: a, host_key: x}}]",
         "hosts[0].connection.host_key: 应为一行"),
        ("version: 1\nhosts: [{ip: 127.0.0.1, connection: {kind: ssh, user: a, port: 70000}}]",
         "hosts[0].connection.port: 端口"),
        ("version: 1\ncredentials: [{name: x, kind: ssh_key, secret: y}]", "credentials[0].secret: 不是"),
        ("version: 1\ncredentials: [{name: x, kind: password, url: 'https://a', secret: y}]",
         "credentials[0].url: only a token has an address"),
        ("version: 1\napproval_policies: [{name: a, stages: [{approvers: [{group: ghosts}]}]}]",
         'approval_policies[0].stages[0].approvers[0].group: no group "ghosts"'),
        ("version: 1\nnotification_rules: [{name: a, events: [x.y], channels: [z]}]",
         'notification_rules[0].channels[0]: no channel "z"'),
        ("version: 1\nnotification_rules: [{name: a, events: [x.y]}]", 'notification_rules[0].events[0]: no event "x.y"'),
        ("version: 1\nnotification_rules: [{name: a, events: ['*'], group_by: [event, labels.x, alertname, a b]}]",
         'notification_rules[0].group_by[3]: cannot group by "a b"'),
        ("version: 1\nchannels: [{name: a, kind: email, to: [a@b.cc], fallback: b}]", 'channels[0].fallback: no other channel "b"'),
        ("version: 1\nchannels: [{name: a, kind: email, to: [a@b.cc], fallback: a}]", 'channels[0].fallback: no other channel "a"'),
        ("version: 1\nchannels: [{name: a, kind: smoke}]", "channels[0].kind: is 'smoke'"),
        ("version: 1\nsources: [{name: a, kind: rest, relay_to: [nope]}]", 'sources[0].relay_to[0]: no channel "nope"'),
        ("version: 1\nsources: [{name: a, kind: rest, options: {severity: 5}}]", "sources[0].options.severity: 应为一组键值"),
        ("version: 1\nsources: [{name: a, kind: rest, options: {severity: {5: informational}}}]",
         "sources[0].options.severity.5: 级别只能是 critical"),
        ("version: 1\nsources: [{name: a, kind: rest, options: {severity: {5: [info]}}}]",
         "sources[0].options.severity.5: 级别只能是 critical"),
        ("version: 1\nsources: [{name: a, kind: rest, options: {colour: red}}]", "sources[0].options.colour: 没有这一项"),
        ("version: 1\napproval_policies: [{name: a, remind_channel: nope, stages: [{approvers: [{role: operator}]}]}]",
         'approval_policies[0].remind_channel: no channel "nope"'),
        ("version: 1\npackages: [{key: a, nodes: [{id: 1, type: job, params: {preset: awx, credential: nope}}]}]",
         'packages[0].nodes[0].params.credential: no credential "nope" that is a token'),
        ("version: 1\nsources: [{name: a, kind: rest, app_id: x}, {name: b, kind: rest, app_id: x}]",
         'sources[1].app_id: "x" is the app_id of sources[0] already'),
        ("version: 1\npeople: [{username: a, wecom_userid: x}, {username: b, wecom_userid: X}]",
         'people[1].wecom_userid: "x" is the wecom_userid of people[0] already'),
        ("version: 1\nhosts: [{ip: '::1'}, {ip: '0:0:0:0:0:0:0:1'}]", 'hosts[1].ip: "::1" is the ip of hosts[0] already'),
        ("version: 1\nwecom: [{}, {}]", 'wecom[1].name: "default" is the name of wecom[0] already'),
    ],
)  # fmt: skip
def test_it_names_the_path_of_what_is_wrong_and_applies_nothing(text: str, said: str) -> None:
    assert said in refused(text)


NAMED = {
    "businesses": "code: a", "people": "username: a", "groups": "name: a", "duties": "name: a",
    "api_keys": "name: a, role: viewer", "credentials": "name: a, kind: token", "sources": "name: a, kind: rest",
    "approval_policies": "name: a, stages: [{approvers: [{role: operator}]}]", "rules": "name: a",
    "packages": "key: a, nodes: [{id: 1, type: sleep, params: {seconds: 0}}]",
    "convergence_rules": "name: a, remark: x, function: relate, dimensions: [host]",
    "shields": "name: a, reason: x, from: 2026-01-01T00:00:00, to: 2026-01-02T00:00:00",
    "channels": "name: a, kind: email, to: [a@b.cc]", "templates": "name: a, body: x",
    "notification_rules": "name: a, events: ['*']", "gateway": "name: a, corp_id: x, agent_id: 1",
}  # fmt: skip


@pytest.mark.parametrize("section", NAMED)
def test_it_takes_no_name_twice(section: str) -> None:
    path, key = "gateway.clients" if section == "gateway" else section, NAMED[section].partition(":")[0]
    shape = "{clients: [{%s}, {%s}]}" if section == "gateway" else "[{%s}, {%s}]"
    said = refused(f"version: 1\n{section}: " + shape % (NAMED[section], NAMED[section]))
    assert f'{path}[1].{key}: "a" is the {key} of {path}[0] already' in said


JOB = """
version: 1
credentials: [{name: awx, kind: token, url: "https://awx", secret: x}, {name: root, kind: password, secret: x}]
hosts: [{ip: 127.0.0.1, connection: {kind: ssh, user: a, credential: root}}]
packages:
  - {key: a, nodes: [{id: 1, type: job, params: {preset: awx, credential: awx, inputs: {template: 1}}}]}
  - {key: b, nodes: [{id: 1, type: package, params: {package: a}}]}
rules: [{name: r, package: b}]
"""


def test_what_is_in_use_is_not_taken_away() -> None:
    apply(JOB)
    said = refused("version: 1\ncredentials: []")
    assert 'credentials: "awx" is in use by package a;' in said
    assert 'credentials: "root" is in use by host 127.0.0.1;' in said
    assert 'packages: "b" is in use by rule r;' in refused("version: 1\npackages: []")
    assert 'packages: "a" is in use by package b;' in refused(f"version: 1\npackages: [{OUTER}]\nrules: []")

    run = factories.execution(package=Package.objects.get(key="a"), state="running")
    emptied = "version: 1\ncredentials: []\nhosts: []\npackages: []\nrules: []"
    assert f'credentials: "awx" is in use by execution {run.pk};' in refused(emptied)
    Execution.objects.update(state="failed")
    changes, _said = apply(emptied)
    assert {"- credential awx", "- credential root", "- package a", "- rule r"} <= set(changes)
    assert not Credential.objects.exists()


OUTER = "{key: b, nodes: [{id: 1, type: package, params: {package: a}}]}"


def test_it_names_every_fault_at_once() -> None:
    said = refused("version: 1\nbusinesses: [{code: fine}]\nrules: [{name: a, package: x, mode: y}, {timeout: z}]")
    for path in ("rules[0].package: ", "rules[0].mode: ", "rules[1].name: "):
        assert path in said


def test_a_day_without_quotes_is_the_text_that_it_was_written_as() -> None:
    script = "{id: 1, type: script, params: {script: 'true', arguments: {day: 2026-01-01, 7: x}}}"
    assert "参数名 '7'" in refused(f"version: 1\npackages: [{{key: a, nodes: [{script}]}}]")
    apply(f"version: 1\npackages: [{{key: a, nodes: [{script.replace(', 7: x', '')}]}}]")
    assert PackageVersion.objects.get().nodes[0]["params"]["arguments"] == {"day": "2026-01-01"}
