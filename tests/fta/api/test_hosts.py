"""hosts/: made, changed and archived one at a time, as the configuration file has them."""

from typing import Any

import pytest

from fta.models import AuditEntry, Business, Credential, Host, Person
from tests import factories
from tests.fta.api.conftest import Call

pytestmark = pytest.mark.django_db
HOST = {
    "ip": "127.0.0.20",
    "name": "web-1",
    "business": "game",
    "set": "一区",
    "module": "web",
    "operators": ["lisi"],
    "attributes": {"机房": "B3", "cores": 8},
    "spare": True,
}
SSH = {"kind": "ssh", "user": "ops"}


def verbs() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("verb", flat=True))


def test_it_makes_changes_and_archives_a_host(operator: Call, foreign: Call, game: Business) -> None:
    factories.person("lisi", "operator", businesses=(game,))
    made = operator("POST", "hosts/", HOST)
    assert made.status == 201
    assert made.json == HOST | {"id": made.json["id"], "connection": "none"}
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.object_id, entry.data["changes"]["operators"]) == (
        "host.add", str(made.json["id"]), [[], ["lisi"]],
    )  # fmt: skip

    assert operator("PATCH", "hosts/127.0.0.20/", {"module": "db"}).json == made.json | {"module": "db"}
    assert operator("PATCH", "hosts/127.0.0.20/", {"module": "db"}).status == 200, "nothing differs: nothing is written"
    replaced = operator("PUT", "hosts/127.0.0.20/", {"business": "game"}).json
    assert (replaced["name"], replaced["operators"], replaced["attributes"], replaced["spare"]) == ("", [], {}, False)
    assert foreign("PATCH", "hosts/127.0.0.20/", {"module": "x"}).status == 404

    assert operator("DELETE", "hosts/127.0.0.20/").status == 204
    assert Host.objects.get().archived
    assert verbs() == ["host.add", "host.change", "host.change", "host.archive"]
    assert operator("GET", "hosts/127.0.0.20/").status == 404


def test_an_archived_host_is_taken_up_again_with_nothing_of_its_connection(foreign: Call, game: Business) -> None:
    Credential.objects.create(name="root", kind="password")
    gone = factories.host(
        "127.0.0.20", business=game, archived=True, connection="ssh", ssh_user="root",
        credential=Credential.objects.get(),
    )  # fmt: skip
    assert foreign("POST", "hosts/", {"ip": "127.0.0.20", "business": "pay"}).status == 201
    gone.refresh_from_db()
    assert (gone.archived, gone.business.code, gone.connection) == (False, "pay", "none")  # type: ignore[union-attr]
    assert (gone.ssh_user, gone.credential) == ("", None)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"ip": "10.0.0.256"}, "ip"),
        ({"ip": ["10.0.0.1"]}, "ip"),
        ({"ip": ""}, "ip"),
        ({"ip": "127.0.0.10"}, "ip"),  # it is there already
        ({"business": "pay"}, "business"),
        ({"business": None}, "business"),
        ({"name": "x" * 129}, "name"),
        ({"module": "a\0b"}, "module"),
        ({"operators": ["ghost"]}, "operators[0]"),
        ({"operators": "lisi"}, "operators"),
        ({"attributes": []}, "attributes"),
        ({"attributes": {"a": "b\0"}}, "attributes.a"),
        ({"spare": "yes"}, "spare"),
        ({"connection": SSH}, "connection"),
        ({"connection": {"kind": "local"}}, "connection"),
        ({"connection": "ssh"}, "connection"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_it_refuses_what_an_operator_may_not_say(change: Any, field: str, operator: Call, lisi: Person) -> None:
    factories.host()
    answer = operator("POST", "hosts/", HOST | change)
    assert (answer.status, answer.error["code"]) == (400, "invalid")
    assert field in answer.error["fields"]
    assert (Host.objects.count(), verbs()) == (1, [])


@pytest.fixture
def lisi(game: Business) -> Person:
    return factories.person("lisi", "operator", businesses=(game,))


def test_how_a_host_is_reached_is_for_admins_and_stays_when_operators_change_the_rest(
    operator: Call, admin: Call, lisi: Person
) -> None:
    Credential.objects.create(name="key", kind="password")
    said = HOST | {"connection": SSH | {"port": 2222, "credential": "key"}}
    assert admin("POST", "hosts/", said).json["connection"] == "ssh"
    assert operator("PATCH", "hosts/127.0.0.20/", {"name": "web-2"}).status == 200
    assert operator("PUT", "hosts/127.0.0.20/", {"business": "game"}).status == 200
    for connection in (SSH | {"port": 22, "credential": "key"}, {"kind": "local"}):
        assert operator("PATCH", "hosts/127.0.0.20/", {"connection": connection}).status == 400
    host = Host.objects.get()
    assert (host.connection, host.ssh_user, host.ssh_port, host.credential.name) == ("ssh", "ops", 2222, "key")  # type: ignore[union-attr]
    assert admin("PATCH", "hosts/127.0.0.20/", {"connection": None, "business": None}).status == 200
    host.refresh_from_db()
    assert (host.connection, host.business) == ("none", None)


def test_an_address_is_for_good(operator: Call, lisi: Person) -> None:
    operator("POST", "hosts/", HOST)
    answer = operator("PATCH", "hosts/127.0.0.20/", {"ip": "127.0.0.21"})
    assert list(answer.error["fields"]) == ["ip"]
    assert operator("POST", "hosts/", HOST).status == 400
    for body in ("[]", '"x"', "null"):
        assert operator("POST", "hosts/", body).status == 400


@pytest.mark.parametrize("connection", ["none", "local"])
def test_what_is_stored_for_ssh_stays_with_a_host_that_is_reached_otherwise(
    admin: Call, game: Business, connection: str
) -> None:
    stored = {"connection": connection, "ssh_user": "ops", "ssh_port": 2222, "host_key": "", "module": "web"}
    host = factories.host("127.0.0.20", business=game, **stored)
    assert admin("PATCH", "hosts/127.0.0.20/", {"module": "db"}).status == 200
    host.refresh_from_db()
    assert {name: getattr(host, name) for name in stored} == stored | {"module": "db"}
    assert admin("PATCH", "hosts/127.0.0.20/", {"connection": {"kind": "local", "user": "root"}}).status == 200
    host.refresh_from_db()
    kept = 2222 if connection == "local" else 22  # with another connection it is told as a whole
    assert (host.connection, host.ssh_user, host.ssh_port) == ("local", "root", kept)
