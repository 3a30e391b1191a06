"""The notification pages and their API, by who may see and change what."""

import html
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from fta.models import AuditEntry, Duty, Person
from notify import outbox
from notify.message import Message
from notify.models import Channel, Delivery, NotificationRule, Template
from tests import factories
from tests.notify.conftest import FakeTransport

pytestmark = pytest.mark.django_db
SECRET = "https://qyapi.example/cgi-bin/webhook/send?key=very-secret-key"


def signed_in(person: Person) -> Client:
    client = Client()
    client.force_login(person.user)
    return client


def failed(channel: Channel, **fields: Any) -> Delivery:
    row = outbox.post(
        dedup_key=f"k{Delivery.objects.count()}",
        kind=channel.kind,
        event="execution.failed",
        message=Message("text", title="<b>即将</b>执行", text="<script>alert(1)</script>"),
        channel=channel,
        now=timezone.now(),
        **fields,
    )
    assert row is not None
    Delivery.objects.filter(pk=row.pk).update(state="failed", last_error="企业微信拒绝：60020", remedy="加入可信 IP")
    return row


@pytest.fixture
def own(app_channel: Channel, operator: Person) -> Delivery:
    run = factories.execution(alert=factories.alert(host=factories.host()))
    return failed(app_channel, execution=run, alert=run.alert, recipients=["lisi"])


def test_it_lists_deliveries_of_own_businesses_only(
    own: Delivery, app_channel: Channel, operator: Person, approver: Person, stranger: Person, admin: Person
) -> None:
    system = failed(app_channel)
    for person, seen in ((operator, {own.pk}), (approver, set()), (stranger, set()), (admin, {own.pk, system.pk})):
        page = signed_in(person).get(reverse("notify:deliveries"))
        assert page.status_code == 200
        assert {row["delivery"].pk for row in page.context["rows"]} == seen
        assert signed_in(person).get(reverse("notify:delivery", args=[own.pk])).status_code == (
            200 if own.pk in seen else 404
        )
    assert Client().get(reverse("notify:deliveries")).status_code == 302


def test_it_filters_deliveries(own: Delivery, admin: Person) -> None:
    client = signed_in(admin)
    for query, count in (
        ("state=failed", 1),
        ("state=sent", 0),
        ("q=lisi", 1),
        (f"q=%23{own.execution_id}", 1),
        ("q=nobody", 0),
        ("state=nonsense", 1),
    ):
        page = client.get(f"{reverse('notify:deliveries')}?{query}")
        assert len(page.context["rows"]) == count, query


@pytest.mark.parametrize(("sent", "word"), [(True, "已送达"), (False, "已取消")])
def test_it_does_not_show_as_delivered_what_was_called_off(own: Delivery, admin: Person, sent: bool, word: str) -> None:
    Delivery.objects.filter(pk=own.pk).update(state="sent", sent_at=timezone.now() if sent else None)
    for url in (reverse("notify:deliveries"), reverse("notify:delivery", args=[own.pk])):
        badge = signed_in(admin).get(url).content.decode().partition('<span class="f-state')[2].partition("</span>")[0]
        assert badge.endswith(word)


def test_it_finds_a_delivery_by_a_chinese_group(robots: Channel, admin: Person) -> None:
    row = failed(robots, recipients=["值班一群"])
    page = signed_in(admin).get(f"{reverse('notify:deliveries')}?q=值班一群")
    assert [found["delivery"].pk for found in page.context["rows"]] == [row.pk]


def test_a_delivery_page_explains_and_escapes(own: Delivery, operator: Person) -> None:
    url = reverse("notify:delivery", args=[own.pk])
    for headers in ({}, {"HX-Request": "true"}):
        text = signed_in(operator).get(url, headers=headers).content.decode()
        assert "企业微信拒绝：60020" in text
        assert "加入可信 IP" in text
        assert "<script>alert" not in text
        assert "<b>即将" not in text
    assert "<html" not in text


def test_only_who_operates_the_business_sends_again(
    own: Delivery, operator: Person, viewer: Person, approver: Person, fake: type[FakeTransport], deliver: Any
) -> None:
    url = reverse("notify:delivery-resend", args=[own.pk])
    for person in (viewer, approver):
        assert signed_in(person).post(url).status_code == 404
    assert signed_in(operator).get(url).status_code == 405
    assert not AuditEntry.objects.filter(verb="delivery.resend").exists()
    assert signed_in(operator).post(url).status_code == 302
    deliver()
    own.refresh_from_db()
    assert own.state == "sent"
    assert AuditEntry.objects.get(verb="delivery.resend").actor == "lisi"
    assert "没有重发" in signed_in(operator).post(url, follow=True).content.decode()


def test_an_admin_makes_a_channel_of_each_kind(admin: Person, operator: Person) -> None:
    forms: dict[str, dict[str, str]] = {
        "wecom_app": {"to_user": "lisi\nwangwu", "message": "text"},
        "wecom_robot": {"groups": f"值班一群 | {SECRET} | lisi", "message": "markdown"},
        "wecom_chat": {"chat_id": "FTAALERTS", "owner": "lisi", "members": "lisi，wangwu", "message": "text"},
        "email": {"to": "ops@example.com"},
        "webhook": {"url": "https://hooks.example/x", "secret": "signing-secret-0123456789"},
    }
    for kind, data in forms.items():
        url = reverse("notify:channel-new", args=[kind])
        assert signed_in(operator).post(url, {"name": kind, **data}).status_code == 404
        assert signed_in(admin).get(url).status_code == 200
        assert signed_in(admin).post(url, {"name": kind, "enabled": "on", **data}).status_code == 302
    rows = {row.kind: row.config for row in Channel.objects.all()}
    assert rows["wecom_app"] == {"to_user": ["lisi", "wangwu"], "message": "text"}
    assert rows["wecom_robot"]["groups"] == [{"name": "值班一群", "webhook": SECRET, "mentions": ["lisi"]}]
    assert rows["wecom_chat"]["members"] == ["lisi", "wangwu"]
    assert AuditEntry.objects.filter(verb="channel.add", actor="boss").count() == 5
    again = signed_in(admin).post(
        reverse("notify:channel-new", args=["email"]), {"name": "email", "to": "a@example.com"}
    )
    assert again.status_code == 400
    assert signed_in(admin).get(reverse("notify:channel-new", args=["pigeon"])).status_code == 404


def test_secrets_are_never_shown_and_kept_unless_replaced(admin: Person) -> None:
    robot = Channel.objects.create(
        name="群", kind="wecom_robot", config={"groups": [{"name": "一群", "webhook": SECRET}]}
    )
    hook = Channel.objects.create(
        name="钩", kind="webhook", config={"url": "https://h/x", "secret": "signing-secret-0123456789"}
    )
    client = signed_in(admin)
    for channel in (robot, hook):
        text = client.get(reverse("notify:channel", args=[channel.pk])).content.decode()
        assert "very-secret-key" not in text
        assert "signing-secret" not in text
    client.post(
        reverse("notify:channel", args=[robot.pk]),
        {"name": "群", "groups": "一群 | ••••••••\n二群 | https://h/2", "enabled": "on"},
    )
    client.post(
        reverse("notify:channel", args=[hook.pk]), {"name": "钩", "url": "https://h/y", "secret": "", "enabled": "on"}
    )
    robot.refresh_from_db()
    hook.refresh_from_db()
    assert [group["webhook"] for group in robot.config["groups"]] == [SECRET, "https://h/2"]
    assert hook.config == {"url": "https://h/y", "secret": "signing-secret-0123456789"}
    assert "very-secret-key" not in str(list(AuditEntry.objects.values_list("data", flat=True)))


def test_what_the_transport_finds_wrong_is_shown_at_the_field(admin: Person) -> None:
    page = signed_in(admin).post(reverse("notify:channel-new", args=["email"]), {"name": "邮件", "to": "nobody"})
    assert page.status_code == 400
    assert "“nobody”不是邮箱地址。" in page.content.decode()
    assert not Channel.objects.exists()


def test_a_test_message_goes_by_every_way(
    admin: Person, viewer: Person, robots: Channel, fake: type[FakeTransport], deliver: Any
) -> None:
    url = reverse("notify:channel-test", args=[robots.pk])
    assert signed_in(viewer).post(url).status_code == 404
    page = signed_in(admin).post(url, follow=True)
    assert "共 2 条" in page.content.decode()
    deliver()
    assert [message.title for _, message in fake.sent] == ["测试消息：“值班群”可以收到"] * 2
    assert Delivery.objects.filter(event="channel.test", state="sent").count() == 2


def test_an_admin_keeps_rules(admin: Person, operator: Person, viewer: Person, app_channel: Channel) -> None:
    data = {
        "name": "失败告诉值班",
        "enabled": "on",
        "events": ["execution.failed", "execution.unknown"],
        "channels": [app_channel.pk],
        "to": "lisi\n@maintainer\n值班：一线",
        "match": '{"business": "game"}',
        "group_by": "alert_type, business, module, labels.team",
        "group_wait": "30",
        "start": "09:00",
        "end": "18:00",
        "days": ["1", "5"],
        "throttle": "60",
    }
    url = reverse("notify:rule-new")
    Duty.objects.create(name="一线", people=["lisi"])
    assert signed_in(operator).post(url, data).status_code == 404
    client = signed_in(admin)
    wrongs = (
        {"match": "{"},
        {"match": '{"colour": "red"}'},
        {"to": "nobody"},
        {"to": "值班:x"},
        {"events": ["pigeon"]},
        {"group_by": "alert_type, 告警 名"},
    )
    for wrong in wrongs:
        assert client.post(url, {**data, **wrong}).status_code == 400
    assert client.post(url, data).status_code == 302
    rule = NotificationRule.objects.get()
    assert rule.hours == {"from": "09:00", "to": "18:00", "days": [1, 5]}
    assert rule.to == ["lisi", {"role": "maintainer"}, {"duty": "一线"}]
    assert (rule.throttle, rule.match) == (60, {"business": "game"})
    assert rule.options == {"group_by": ["alert_type", "business", "module", "labels.team"], "group_wait": 30}
    edit = reverse("notify:rule", args=[rule.pk])
    NotificationRule.objects.update(events=["alert.*", "system.*", "shadow.*", "*"])
    page = client.get(edit)
    assert "@maintainer" in page.content.decode()
    ticked = re.findall(r'name="events" value="([^"]+)"[^>]* checked', page.content.decode())
    assert sorted(ticked) == ["*", "alert.*", "shadow.*", "system.*"]
    fallback = reverse("notify:channel", args=[app_channel.pk])
    other = Channel.objects.create(name="邮件", kind="email", config={"to": ["a@example.com"]})
    kept = {"name": "wecom", "to_user": "lisi", "enabled": "on"}
    assert client.post(fallback, kept | {"fallback": app_channel.pk}).status_code == 400  # itself
    assert client.post(fallback, kept | {"fallback": other.pk}).status_code == 302
    app_channel.refresh_from_db()
    assert app_channel.fallback == other
    assert AuditEntry.objects.filter(verb="channel.change").get().data["changed"] == ["fallback"]
    assert client.post(edit, {**data, "name": "改名", "channels": [app_channel.pk]}).status_code == 302
    assert "改名" in signed_in(viewer).get(reverse("notify:rules")).content.decode()
    assert client.post(reverse("notify:rule-archive", args=[rule.pk])).status_code == 302
    assert AuditEntry.objects.filter(verb__startswith="notificationrule.").count() == 4
    assert not client.get(reverse("notify:rules")).context["rows"]


def test_it_says_who_would_hear_of_an_alert_and_why_not(
    operator: Person, approver: Person, stranger: Person, app_channel: Channel, robots: Channel
) -> None:
    alert = factories.alert(host=factories.host())
    factories.person("bob", wecom="")
    for name, fields in (
        ("全部", {"events": ["alert.*"], "to": ["lisi"], "options": {"group_wait": 30}}),
        ("别的事", {"events": ["execution.failed"]}),
        ("别的业务", {"events": ["alert.*"], "match": {"business": "pay"}}),
        ("间隔", {"events": ["alert.*"], "to": ["lisi", "bob"], "options": {"group_interval": 300}}),
    ):
        NotificationRule.objects.create(name=name, **fields).channels.add(app_channel)
    NotificationRule.objects.create(name="群", events=["alert.*"], to=["lisi"]).channels.add(robots)
    url = reverse("notify:rule-hearing")

    page = signed_in(operator).get(url, {"alert": alert.pk}).content.decode()

    assert f"{app_channel.name}：{operator.name}" in page
    assert f"{app_channel.name}：{operator.name}（bob没有企业微信账号）" in page
    assert "值班群：值班一群、值班二群（提醒 lisi）" in page
    for words in ("先等 30 秒", "同组最快每隔 5 分", "不发：不含这类事件", "不发：条件不符"):
        assert words in page.replace("</span>", "")
    assert "没有这条告警" in signed_in(approver).get(url, {"alert": alert.pk}).content.decode()  # of another business
    assert "没有这条告警" in signed_in(operator).get(url, {"alert": "9" * 18}).content.decode()
    assert signed_in(stranger).get(url).status_code == 404


def test_an_admin_writes_templates_and_previews_them_on_a_real_alert(admin: Person, operator: Person) -> None:
    alert = factories.alert(labels={"team": "{{7*7}}"}, host=factories.host())
    client, body = signed_in(admin), "{{ alert.target }} {{ alert.labels.team }}"
    preview = reverse("notify:template-preview")
    assert signed_in(operator).post(preview, {"body": body}).status_code == 404
    assert f"local-1（{alert.target}） {{{{7*7}}}}" in client.post(preview, {"body": body}).content.decode()
    assert "nothing" in client.post(preview, {"body": "{{ alert.nothing }}"}).content.decode()
    other = factories.alert(target="127.0.0.77", labels={"team": "sre", "k8s-app": "pay"})
    shown = client.post(preview, {"event": "alert.firing", "form": "markdown", "alert": other.pk}).content.decode()
    assert '<span class="is-bold is-warning">127.0.0.77 磁盘写满</span>' in shown  # nothing written: the shipped text
    bold = '<span class="is-bold ">大</span>'
    for kind, form, words in (
        ("", "text", "127.0.0.77"), ("", "markdown", bold), ("wecom_robot", "markdown_v2", bold), ("", "textcard", "详情"),
        ("", "news", "详情"), ("", "template_card", '<p class="is-bold">**大**'), ("email", "text", "<h3>**大** 127.0.0.77</h3>"),
    ):  # fmt: skip
        data = {"body": "**大** {{ alert.target }}", "alert": other.pk, "form": form, "channel_kind": kind}
        assert words in (shown := client.post(preview, data).content.decode()), shown
        assert f"告警 #{other.pk}" in shown
    other.content = "\n".join(["磁盘写满了"] * 200)
    other.save()
    for kind, parts in (("wecom_app", "2 条"), ("wecom_robot", ""), ("email", "")):
        data = {"body": "{{ alert.content }}", "alert": other.pk, "form": "markdown", "channel_kind": kind}
        assert (parts or "会分成") in (shown := client.post(preview, data).content.decode()) or not parts, shown
        assert ("会分成" in shown) is bool(parts)
    url = reverse("notify:template-new")
    assert "告警类型: {{ alert.type }}" in html.unescape(client.get(url, {"from": "alertmanager"}).content.decode())
    listed = dict(client.get(url).context["variables"])
    assert (listed["alert.target"], listed["alert.labels.team"], listed['alert.labels["k8s-app"]']) == (
        "127.0.0.77", "sre", "pay",
    )  # fmt: skip
    every = " ".join(f"{{{{ {name} }}}}" for name in listed if name not in ("lines", "alert.labels"))
    assert "f-err" not in client.post(preview, {"body": every, "alert": other.pk}).content.decode()
    assert client.post(url, {"name": "坏", "body": "{{ 'a'.center(9) }}"}).status_code == 400
    assert client.post(url, {"name": "短", "event": "alert.firing", "body": body}).status_code == 302
    template = Template.objects.get()
    assert client.get(reverse("notify:template", args=[template.pk])).status_code == 200
    assert client.post(reverse("notify:template-archive", args=[template.pk])).status_code == 302
    assert "还没有模板" in client.get(reverse("notify:templates")).content.decode()


def test_lists_show_nothing_to_strangers(stranger: Person, operator: Person, app_channel: Channel) -> None:
    for name in ("notify:channels", "notify:rules", "notify:templates"):
        assert signed_in(stranger).get(reverse(name)).status_code == 200
    assert "wecom" not in [row.name for row, *_ in signed_in(stranger).get(reverse("notify:channels")).context["rows"]]
    assert "wecom" in [row.name for row, *_ in signed_in(operator).get(reverse("notify:channels")).context["rows"]]
