"""Everybody who may stand before a door, two questions, and what happened between the questions and the answers.

It is set once for all tests of a module, each of which undoes what it did to it: making it takes longer than most tests.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.test import Client, override_settings
from django.utils import timezone

from approvals import services
from approvals.models import Approval, ApprovalAdmin
from fta.models import Package, Person
from tests import factories
from tests.approvals import doors
from tests.approvals.conftest import held, policy
from tests.wechat.conftest import Corp, make_app, running

OPERATORS = ("lisi", "removed", "fired", "asleep", "giver", "lender", "requester")
QUICK = {"PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"], "WHITENOISE_AUTOREFRESH": True}


@dataclass(frozen=True)
class Scene:
    """`gate` was asked of game's operators, `external` of those whom another system named."""

    corp: Corp
    people: dict[str, Person]
    gate: Approval
    external: Approval

    def question(self, name: str) -> Approval:
        """Return gate or external."""
        return self.gate if name == "gate" else self.external

    def risk(self, risk: str) -> None:
        """Let the package be of this risk."""
        Package.objects.update(risk=risk)

    def old_session(self) -> Client:
        """Return lisi's phone, which was signed in too long ago for a yes to something of high risk."""
        client = doors.enter_todo(self.corp, "lisi")
        session = client.session
        session["signed_in_at"] -= 901
        session.save()
        return client


@contextmanager
def setting() -> Iterator[Scene]:
    """Set the scene in a transaction that is rolled back."""
    with override_settings(**QUICK), transaction.atomic(), running(make_app()) as corp:
        people = _people()
        held_one = held(requested_by=people["requester"].user)
        gate = services.open_gate(held_one, ["规则为审批模式"], timezone.now())
        external = _external()
        _happens(people, gate, external)
        yield Scene(corp, people, gate, external)
        transaction.set_rollback(True)


def _people() -> dict[str, Person]:
    policy()
    game, pay = factories.business("game", "游戏大区"), factories.business("pay", "支付")
    people = {name: factories.person(name, "operator", businesses=(game,)) for name in OPERATORS}
    people |= {name: factories.person(name) for name in ("stranger", "delegate", "deputy", "late", "admin_wx")}
    people["foreign"] = factories.person("foreign", "operator", "approver", businesses=(pay,))
    people["viewer"] = factories.person("viewer", "viewer", businesses=(game,))
    people["linked"] = factories.person("linked", wecom="wwcorp/lisi")
    people["lost_admin"] = factories.person("lost_admin")
    people["LiSi"] = Person(user=people["lisi"].user, wecom_userid="LiSi")  # the same, as WeCom may spell the account
    ApprovalAdmin.objects.bulk_create(ApprovalAdmin(person=people[name]) for name in ("admin_wx", "lost_admin"))
    return people


def _external() -> Approval:
    body = {
        "message": "发布 3307",
        "verifier": "LiSi,giver,lender,asleep,fired",
        "obj_id": "CHG-3307",
        "callback_url": "https://cmdb.example.com/done",
    }
    made = Client().post(
        "/wechat/create_approve/", body, content_type="application/json", headers={"TOKEN": "create-approve-token"}
    )
    assert made.json()["result"] is True
    return Approval.objects.get(pk=made.json()["data"]["approve_id"])


def _happens(people: dict[str, Person], *approvals: Approval) -> None:
    now = timezone.now()
    for approval in approvals:
        services.hand_over(approval.pk, people["giver"].user, people["delegate"], now)
    services.lend(people["lender"], people["deputy"], now + timedelta(hours=1), now)
    services.lend(people["asleep"], people["late"], now - timedelta(seconds=1), now)
    people["removed"].user.groups.clear()
    Person.objects.filter(pk=people["asleep"].pk).update(active=False)
    people["fired"].user.is_active = False
    people["fired"].user.save()
    ApprovalAdmin.objects.filter(person=people["lost_admin"]).delete()
