"""The configuration file gives rights and takes them away again, says so, and lets people and sources change places."""

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from fta.models import ApiKey, AuditEntry, Business, Package, Person, Source
from fta.models.scope import roles_of
from tests import factories
from tests.fta.configuring import apply, export, refused

pytestmark = pytest.mark.django_db

PEOPLE = "version: 1\npeople: [%s]"
ADMIN = PEOPLE % "{username: lisi, roles: [admin]}"


def lisi() -> User:
    return User.objects.get(username="lisi")


@pytest.mark.parametrize(
    ("after", "changes", "roles", "signed_in"),
    [
        (PEOPLE % "{username: lisi, roles: [operator]}",
         ["~ user lisi: is_staff, is_superuser", "~ user lisi: roles admin → operator"], {"operator"}, True),
        (PEOPLE % "{username: lisi}", ["~ user lisi: is_staff, is_superuser", "~ user lisi: roles admin → none"], set(), True),
        (PEOPLE % "{username: lisi, roles: [admin], active: false}",
         ["~ user lisi: is_active, is_staff, is_superuser", "~ person lisi: active"], set(), False),
        (PEOPLE % "", ["~ user lisi: is_active, is_staff, is_superuser", "- person lisi"], set(), False),
    ],
)  # fmt: skip
def test_an_admin_of_the_file_is_none_once_it_says_otherwise(
    client: Client, after: str, changes: list[str], roles: set[str], signed_in: bool
) -> None:
    apply(ADMIN)
    client.force_login(lisi())
    assert roles_of(lisi()) == {"admin"}
    assert client.get(reverse("admin:index")).status_code == 200
    trail = AuditEntry.objects.count()

    assert apply(after, "--dry-run")[0] == changes
    assert (roles_of(lisi()), AuditEntry.objects.count()) == ({"admin"}, trail)
    assert apply(after)[0] == changes
    assert [entry.data["change"] for entry in AuditEntry.objects.order_by("pk")[trail:]] == changes
    assert roles_of(lisi()) == roles
    assert client.get(reverse("admin:index")).status_code == 302
    assert client.get(reverse("web:executions")).status_code == (200 if signed_in else 302)
    assert apply(after)[0] == []

    apply(ADMIN)
    assert roles_of(lisi()) == {"admin"}


def test_it_takes_nothing_from_a_superuser_who_is_nobody_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_PASSWORD", "pass-word-12345")
    call_command("ensure_admin", verbosity=0)
    bare = User.objects.create_superuser("bare")
    apply(ADMIN)
    apply(PEOPLE % "")
    for user in (User.objects.get(username="admin"), bare):
        user.refresh_from_db()
        assert (user.is_active, user.is_superuser, roles_of(user)) == (True, True, {"admin"})

    apply(PEOPLE % "{username: admin, active: false}")
    assert roles_of(User.objects.get(username="admin")) == set()
    call_command("ensure_admin", verbosity=0)  # the way back in
    call_command("ensure_admin", verbosity=0)
    assert roles_of(User.objects.get(username="admin")) == {"admin"}
    assert AuditEntry.objects.filter(actor="ensure_admin", verb="user.restore").count() == 1


def test_a_person_who_is_inactive_has_no_role(game: Business, operator: Person) -> None:
    Package.objects.create(key="of-game", name="重启", business=game)
    Person.objects.update(active=False)  # as before the user was switched off with the person
    user = User.objects.get(pk=operator.user_id)
    assert (roles_of(user), list(Package.objects.operable_by(user))) == (set(), [])


def test_every_change_of_a_person_and_a_key_is_told() -> None:
    text = (
        "version: 1\npeople: [{username: lisi, name: %s, email: %s, roles: [%s]}]\n"
        "api_keys: [{name: ops, key: api-key-0123456789abc, role: %s}]"
    )
    apply(text % ("李四", "a@example.com", "viewer", "viewer"))
    lisi().groups.add(Group.objects.create(name="dba"))
    assert apply(text % ("李四", "a@example.com", "viewer", "viewer"))[0] == []
    assert "dba" not in export()

    changes, _said = apply(text % ("李小四", "b@example.com", "approver", "admin"))
    assert changes == [
        "~ user lisi: first_name, email",
        "~ user lisi: roles viewer → approver",
        "~ user api:ops: roles viewer → admin",
    ]
    assert set(lisi().groups.values_list("name", flat=True)) == {"approver", "dba"}
    assert roles_of(ApiKey.objects.get().user) == {"admin"}


def test_an_account_and_an_application_may_pass_to_another() -> None:
    text = "version: 1\npeople: [%s]\nsources: [%s]"
    apply(text % ("{username: a, wecom_userid: x}, {username: b, wecom_userid: Y}",
                  "{name: a, kind: rest, app_id: x}, {name: b, kind: rest, app_id: y}"))  # fmt: skip
    apply(text % ("{username: a, wecom_userid: y}, {username: b, wecom_userid: x}",
                  "{name: a, kind: rest, app_id: y}, {name: b, kind: rest, app_id: x}"))  # fmt: skip
    assert dict(Person.objects.values_list("user__username", "wecom_userid")) == {"a": "y", "b": "x"}
    assert dict(Source.objects.values_list("name", "app_id")) == {"a": "y", "b": "x"}

    renamed = text % ("{username: c, wecom_userid: x}, {username: d, wecom_userid: y}",
                      "{name: c, kind: rest, app_id: x}")  # fmt: skip
    changes, _said = apply(renamed)
    assert {"~ person b: wecom_userid", "~ source b: app_id", "- source b"} <= set(changes)
    assert Person.objects.get(wecom_userid="x").user.username == "c"
    assert Source.objects.get(app_id="x", archived=False).name == "c"
    assert apply(renamed)[0] == []

    factories.person("own", wecom="z")  # made by hand: not for the file to take from
    assert 'people[0].wecom_userid: "z" belongs to own already' in refused(PEOPLE % "{username: a, wecom_userid: z}")
