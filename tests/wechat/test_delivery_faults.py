"""What becomes of a message when WeCom refuses, is busy, breaks or leaves people out: each as its error codes ask for."""

import copy
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from approvals.models import Policy
from fta.lib import http
from fta.models import Person
from notify import outbox
from notify.delivery import DeliveryKind
from notify.message import Message
from notify.models import Channel, Delivery, DeliveryAttempt
from tests import factories
from tests.approvals.conftest import ask, policy, send_all
from tests.wechat.conftest import Corp

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class Fate:
    """What is to become of a message: its state after one try and after all tries, how many there are, and the remedy."""

    faults: dict[str, Any]
    first: str
    last: str
    tries: int
    code: str = ""
    remedy: str = ""


FATES = {
    "60020 address not trusted": Fate({"untrusted_ip": True}, "failed", "failed", 1, "60020", "企业可信IP"),
    "40001 wrong secret": Fate({"next_errcodes": [40001]}, "failed", "failed", 1, "40001", "Secret"),
    "50003 application closed": Fate({"agent_closed": True}, "failed", "failed", 1, "50003", "启用"),
    "42001 token expired": Fate({"next_token_expired": True}, "sent", "sent", 1),
    "40014 token invalid": Fate({"next_token_invalid": True}, "sent", "sent", 1),
    "-1 busy": Fate({"next_errcodes": [-1, -1]}, "pending", "sent", 3, "-1"),
    "-1 busy for long": Fate({"next_errcodes": [-1] * 9}, "pending", "failed", 3, "-1"),
    "HTTP 500": Fate({"next_http_statuses": [500, 502]}, "pending", "sent", 3),
    "45009 over the limit": Fate({"next_errcodes": [45009]}, "pending", "sent", 2, "45009"),
    "45033 too many at once": Fate({"next_errcodes": [45033]}, "pending", "sent", 2, "45033"),
}


def post(key: str = "k", *to: str, channel: Channel | None = None) -> Delivery:
    made = outbox.post(
        dedup_key=key, kind="wecom_app", event="test", message=Message("text", text=f"磁盘写满 {key}"),
        recipients=to or ("lisi",), now=timezone.now(), channel=channel,
    )  # fmt: skip
    assert made is not None
    return made


def work() -> None:
    """Let every pause be over, and send."""
    Delivery.objects.filter(state="pending").update(not_before=timezone.now() - timedelta(seconds=1))
    kind = DeliveryKind()
    for pk in kind.due(100, timezone.now()):
        kind.do(pk)


@pytest.mark.parametrize("name", FATES)
def test_each_fault_has_its_fate(corp: Corp, operator: Person, name: str) -> None:
    fate = FATES[name]
    row = post()
    corp.world.faults.set(copy.deepcopy(fate.faults))
    work()
    row.refresh_from_db()
    assert (row.state, row.last_code) == (fate.first, fate.code), row.last_error
    if fate.remedy:
        assert fate.remedy.replace(" ", "") in row.remedy.replace(" ", "")
    for _ in range(9):
        work()
    row.refresh_from_db()
    assert row.state == fate.last
    assert DeliveryAttempt.objects.filter(delivery=row).count() == fate.tries
    assert corp.texts("lisi") == (["磁盘写满 k"] if fate.last == "sent" else [])


@pytest.mark.parametrize("kind", ["wecom_app", "wecom_robot"])
def test_long_messages_stay_within_the_limits_in_all_their_parts(corp: Corp, operator: Person, kind: str) -> None:
    hook = f"{corp.base}/cgi-bin/webhook/send?key=demo1"
    groups = [{"name": "一群", "webhook": hook}]
    channel = Channel.objects.create(name="长", kind=kind, config={"groups": groups, "message": "text"})
    long = "\n".join(f"第 {number} 行，磁盘使用率超过阈值" for number in range(140))
    for number in range(9):
        outbox.post(
            dedup_key=f"k{number}", kind=kind, event="test", message=Message("text", "长", f"{number}{long}"),
            recipients=("lisi",) if kind == "wecom_app" else ("一群",), now=timezone.now(), channel=channel,
        )  # fmt: skip
    work = DeliveryKind()
    for pk in work.due(100, timezone.now()):
        work.do(pk)
    sent = Delivery.objects.filter(state="sent").count()
    calls = corp.calls("message/send") + corp.calls("webhook/send")
    assert (sent, calls) == ((6, 18) if kind == "wecom_app" else (5, 15))
    assert Delivery.objects.filter(state="pending", attempts=0).count() == 9 - sent
    assert not corp.world.dropped


def test_a_late_answer_is_no_second_message(corp: Corp, operator: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work was done and no answer came: the same request again, which WeCom itself drops."""
    real = http.request

    def impatient(*args: Any, **kwargs: Any) -> http.Response:
        return real(*args, **{**kwargs, "timeout": (3.0, 0.2)})

    monkeypatch.setattr("wechat.client.http.request", impatient)
    row = post()
    corp.world.faults.set({"slow_seconds": 0.4})
    work()
    row.refresh_from_db()
    assert row.state == "pending"
    corp.world.faults.set({"slow_seconds": 0.0})
    work()
    row.refresh_from_db()
    assert (row.state, corp.calls("message/send")) == ("sent", 2)
    assert corp.texts("lisi") == ["磁盘写满 k"]


def test_while_it_is_over_the_limit_all_waits_and_nothing_is_lost(corp: Corp, operator: Person) -> None:
    channel = Channel.objects.create(name="应用", kind="wecom_app", config={"to_user": ["lisi"]})
    rows = [post(f"k{number}", channel=channel) for number in range(5)]
    corp.world.faults.set({"next_errcodes": [45009]})
    kind = DeliveryKind()
    for pk in kind.due(100, timezone.now()):
        kind.do(pk)
        if not kind.due(100, timezone.now()):
            break
    assert corp.calls("message/send") == 1
    work()
    assert {row.state for row in Delivery.objects.filter(pk__in=[row.pk for row in rows])} == {"sent"}
    assert ["5 条" in text for text in corp.texts("lisi")] == [True], corp.texts(
        "lisi"
    )  # one digest that says how many


def test_whom_it_left_out_is_marked_mailed_and_cleared(
    corp: Corp, default_policy: Policy, operator: Person, admin: Person
) -> None:
    game = operator.businesses.get()
    ghost = factories.person("ghost", "operator", wecom="ghost", businesses=(game,))
    ask()
    send_all()
    ghost.refresh_from_db()
    operator.refresh_from_db()
    assert ghost.unreached_at is not None
    assert operator.unreached_at is None
    assert any(letter.to == ["ghost@example.com"] for letter in mail.outbox)
    assert not any("lisi@example.com" in letter.to for letter in mail.outbox)
    client = Client()
    client.force_login(admin.user)
    assert "企业微信送不到" in client.get(reverse("web:inventory-people")).content.decode()

    Person.objects.filter(pk=ghost.pk).update(wecom_userid="wangwu")  # now an account that WeCom knows
    post("again", "wangwu", "lisi")
    work()
    ghost.refresh_from_db()
    assert ghost.unreached_at is None


def test_nobody_known_marks_them_all(corp: Corp, default_policy: Policy, operator: Person) -> None:
    ghost = factories.person("ghost", wecom="ghost")
    row = post("k", "ghost")
    work()
    row.refresh_from_db()
    ghost.refresh_from_db()
    assert (row.state, row.last_code) == ("failed", "81013")
    assert ghost.unreached_at is not None


@pytest.mark.parametrize(
    ("silent", "kind", "form"),
    [
        ("gettoken", "wecom_chat", "text"),
        ("appchat/create", "wecom_chat", "text"),
        ("webhook/upload_media", "wecom_robot", "file"),
        ("appchat/send", "wecom_chat", ""),
    ],
)
def test_no_answer_before_anything_was_sent_is_tried_again(
    corp: Corp, monkeypatch: pytest.MonkeyPatch, silent: str, kind: str, form: str
) -> None:
    """A chat and a robot drop no repeats: only of the call that carries the words the outcome is unknown."""
    real, calls = http.request, []

    def once(method: str, url: str, **kwargs: Any) -> http.Response:
        calls.append(url)
        if silent in url and sum(silent in each for each in calls) == 1:
            raise http.OutcomeUnknown("timed out")
        return real(method, url, **kwargs)

    monkeypatch.setattr("wechat.client.http.request", once)
    made = Channel.objects.create(
        name="群", kind=kind, config={
            "chat_id": "NEWCHAT" if silent == "appchat/create" else "FTAALERTS", "members": ["lisi", "wangwu"],
            "message": form or "text",
            "groups": [{"name": "一群", "webhook": f"{corp.base}/cgi-bin/webhook/send?key=demo1"}],
        },
    )  # fmt: skip
    row = outbox.post(
        dedup_key="k", kind=kind, event="test", message=Message("plain", text="磁盘写满" * 300),
        recipients=["一群"] if kind == "wecom_robot" else (), now=timezone.now(), channel=made,
    )  # fmt: skip
    assert row is not None
    for state in ("pending", "sent") if form else ("unknown", "unknown"):
        work()
        row.refresh_from_db()
        assert row.state == state, row.last_error


@pytest.fixture
def default_policy(db: None) -> Policy:
    return policy()
