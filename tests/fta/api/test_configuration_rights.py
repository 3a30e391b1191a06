"""rules/, convergence-rules/, shields/ and packages/: whose items they are, and who may change them."""

from typing import Any

import pytest

from fta.models import Business
from tests import factories
from tests.fta.api.conftest import Call
from tests.fta.api.items import KINDS, RULE, address, elsewhere, everywhere

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("package")]


@pytest.mark.parametrize("kind", KINDS)
def test_what_concerns_every_business_is_for_admins(kind: str, operator: Call, admin: Call) -> None:
    rows = KINDS[kind][0].objects.count()
    refused = operator("POST", f"{kind}/", everywhere(kind))
    assert (refused.status, refused.error["code"]) == (403, "permission_denied")
    assert KINDS[kind][0].objects.count() == rows
    made = admin("POST", f"{kind}/", everywhere(kind))
    assert made.status == 201, made.json
    path = address(kind, made.json)
    assert operator("GET", path).status == 200
    for method, body in (("PATCH", {"name": "x"}), ("PUT", KINDS[kind][1]), ("DELETE", None)):
        assert operator(method, path, body).status == 403
    assert not KINDS[kind][0].objects.get(name=made.json["name"]).archived
    assert admin("DELETE", path).status == 204


@pytest.mark.parametrize("kind", KINDS)
def test_foreign_items_do_not_exist(kind: str, operator: Call, foreign: Call, viewer: Call) -> None:
    made = operator("POST", f"{kind}/", KINDS[kind][1]).json
    path = address(kind, made)
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("PUT", KINDS[kind][1]), ("DELETE", None)):
        assert foreign(method, path, body).error["code"] == "not_found"
    assert foreign("GET", f"{kind}/").json["count"] == 0
    assert viewer("GET", path).status == 200
    for method, body in (("PATCH", {"name": "x"}), ("PUT", KINDS[kind][1]), ("DELETE", None)):
        assert viewer(method, path, body).status == 403
    assert viewer("POST", f"{kind}/", KINDS[kind][1]).status == 403
    row = KINDS[kind][0].objects.get(name=made["name"])
    assert not row.archived


@pytest.mark.parametrize("kind", KINDS)
def test_an_operator_moves_nothing_into_foreign_hands(kind: str, operator: Call) -> None:
    made = operator("POST", f"{kind}/", KINDS[kind][1]).json
    assert operator("POST", f"{kind}/", elsewhere(kind) | {"name": "别处", "key": "other"}).status in (400, 403)
    taken = {key: value for key, value in elsewhere(kind).items() if key in ("match", "business")}
    assert operator("PATCH", address(kind, made), taken).status in (400, 403)
    freed: dict[str, Any] = {"match": {}} if "match" in made else {"business": None}
    assert operator("PATCH", address(kind, made), freed).status == 403
    assert operator("GET", address(kind, made)).json | {"updated_at": 0} == made | {"updated_at": 0}


def test_a_rule_runs_no_foreign_package(operator: Call, pay: Business) -> None:
    factories.package("pay-only", business=pay)
    answer = operator("POST", "rules/", RULE | {"package": "pay-only", "parameters": {}})
    assert answer.error["fields"] == {"package": ['no package "pay-only"']}
