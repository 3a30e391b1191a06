"""Nothing that is still named is taken away: by the file, where its section leaves it out, or by its page."""

import pytest
from django.test import Client
from django.urls import reverse

from approvals.models import Policy
from fta.models import Person
from notify.models import Channel, NotificationRule, Template
from tests.fta.configuring import apply, export, refused

pytestmark = pytest.mark.django_db

EVERYTHING = """
version: 1
businesses: [{code: b1, name: B1}, {code: b2, name: B2}, {code: free, name: Free}]
people: [{username: lisi, roles: [operator], businesses: [b1]}]
groups: [{name: g, people: [lisi]}, {name: free, people: [lisi]}]
duties: [{name: d1, people: [lisi]}, {name: d2, people: [lisi]}, {name: free, people: [lisi]}]
api_keys: [{name: k, role: viewer, businesses: [b1], key: 0123456789abcdef}]
credentials: [{name: c, kind: token, url: "https://a", secret: x, business: b1}]
hosts: [{ip: 127.0.0.10, business: b1}]
wecom: [{name: default}, {name: second}, {name: free}]
sources: [{name: s, kind: rest, business: b1, relay_to: [ch1]}]
approval_policies:
  - {name: default, stages: [{approvers: [{role: operator}]}]}
  - {name: p1, stages: [{approvers: [{group: g}, {duty: d1}]}], escalate_to: [{person: lisi}], remind_channel: ch1}
  - {name: p2, stages: [{approvers: [{role: operator}]}]}
  - {name: free, stages: [{approvers: [{role: operator}]}]}
packages:
  - {key: a, business: b1, nodes: [
      {id: 1, type: approval, params: {policy: p1, message: m}, next: {success: [2]}},
      {id: 2, type: notify, params: {message: m, channels: [ch1]}}]}
  - {key: o, business: b1, nodes: [{id: 1, type: package, params: {package: a}}]}
rules: [{name: r, package: o, approval_policy: p2, notify: {channels: [ch2]}}]
convergence_rules:
  - {name: cv, remark: x, function: relate, dimensions: [host], business: b1}
  - {name: cg, remark: x, function: relate, dimensions: [host], blocked_by: [b2]}
channels:
  - {name: ch1, kind: wecom_app, to_user: [lisi], app: second}
  - {name: ch2, kind: email, to: [a@b.cc], fallback: ch1}
  - {name: ch3, kind: email, to: [a@b.cc]}
  - {name: free, kind: email, to: [a@b.cc]}
templates: [{name: t, body: x}, {name: free, body: x}]
notification_rules: [{name: n, events: ['*'], channels: [ch3], template: t, to: [{duty: d2}]}]
"""
IN_B1 = "person lisi, api key k, credential c, host 127.0.0.10, source s, package a, package o, convergence rule cv"


@pytest.mark.parametrize(
    ("section", "used"),
    [
        ("businesses", {"b1": IN_B1, "b2": "convergence rule cg"}),
        ("groups", {"g": "approval policy p1"}),
        ("duties", {"d1": "approval policy p1", "d2": "notification rule n"}),
        ("wecom", {"second": "channel ch1"}),
        ("approval_policies",
         {"default": "rules and packages that name no policy", "p1": "package a", "p2": "rule r"}),
        ("packages", {"o": "rule r"}),  # what used the other one goes with it
        ("channels", {"ch1": "source s, approval policy p1, package a", "ch2": "rule r", "ch3": "notification rule n"}),
        ("templates", {"t": "notification rule n"}),
    ],
)  # fmt: skip
def test_an_emptied_section_names_who_uses_it(section: str, used: dict[str, str]) -> None:
    apply(EVERYTHING)
    said = refused(f"version: 1\n{section}: []")
    for name, users in used.items():
        assert f'{section}: "{name}" is in use by {users}; keep it here, or change those' in said
    assert '"free"' not in said


def test_what_nothing_in_the_same_file_uses_any_more_goes() -> None:
    apply(EVERYTHING)
    sections = [line.partition(":")[0] for line in EVERYTHING.splitlines()[2:] if line[:1].isalpha()]
    changes, _said = apply("version: 1\n" + "\n".join(f"{section}: []" for section in sections))
    gone = {"- business B1", "- policy default", "- channel ch1", "- template t", "- package a", "- wecomapp second"}
    assert gone <= set(changes)
    apply(export())


def test_a_long_list_of_users_is_cut() -> None:
    hosts = ", ".join(f"{{ip: 127.0.1.{number}, business: b}}" for number in range(1, 15))
    apply(f"version: 1\nbusinesses: [{{code: b, name: B}}]\nhosts: [{hosts}]")
    assert "and 4 more; keep it here" in refused("version: 1\nbusinesses: []")


def test_a_page_archives_only_what_nothing_uses(admin: Person) -> None:
    apply(EVERYTHING)
    client = Client()
    client.force_login(admin.user)
    cases = (
        ("notify:channel-archive", Channel, "ch1", "告警源 s、审批策略 p1、自愈套餐 a、通知服务 ch2"),
        ("notify:channel-archive", Channel, "ch3", "通知规则 n"),
        ("notify:template-archive", Template, "t", "通知规则 n"),
        ("approvals:policy-archive", Policy, "p1", "自愈套餐 a"),
    )
    for address, model, name, users in cases:
        row = model._default_manager.get(name=name)
        shown = client.post(reverse(address, args=[row.pk]), follow=True).content.decode()
        assert f"还在使用：{users}。" in shown
        row.refresh_from_db()
        assert not row.archived
    NotificationRule.objects.update(archived=True)
    client.post(reverse("notify:channel-archive", args=[Channel.objects.get(name="ch3").pk]))
    assert Channel.objects.get(name="ch3").archived


@pytest.mark.parametrize(("name", "users"), [("ch1", "告警源 s、审批策略 p1、自愈套餐 a"), ("ch3", "")])
def test_a_page_renames_only_what_nothing_knows_by_its_name(admin: Person, name: str, users: str) -> None:
    apply(EVERYTHING)
    client = Client()
    client.force_login(admin.user)
    row = Channel.objects.get(name=name)
    address = reverse("notify:channel", args=[row.pk])
    form = client.get(address).context["form"]
    said = {field.html_name: field.value() or "" for field in form} | {"name": "another"}
    answer = client.post(address, said)
    row.refresh_from_db()
    if users:
        assert row.name == name
        assert f"还在使用：{users}。" in answer.content.decode()
    else:
        assert (answer.status_code, row.name) == (302, "another"), answer.content.decode()
