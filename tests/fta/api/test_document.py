"""The OpenAPI document says what the API answers: real answers of every list and item are held against it."""

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from jsonschema import Draft202012Validator, FormatChecker

from approvals.models import Approval, Decision
from fta import operations
from fta.models import Alert, Business, Host, Incident, Package
from notify.models import Delivery
from tests import factories
from tests.fta.api import world
from tests.fta.api.conftest import Call
from tests.fta.api.world import World

pytestmark = pytest.mark.django_db

NO_ANSWER = {"schema", "docs"}  # the document itself is no part of it


@pytest.fixture
def made(game: Business, admin: Call) -> World:
    """One of everything, and beside it rows of which as little is known as can be."""
    made = world.build(game)
    now, user = timezone.now(), factories.person("boss", "admin").user
    bare = factories.alert(target="nowhere", host=None, business=None, starts_at=None, severity="", context=None)
    empty = factories.execution(alert=bare, state="recorded", plan_sha256="")
    factories.execution(state="succeeded", host=Host.objects.get(), business=game, started_at=now, ended_at=now)
    factories.step(empty, name="", state="waiting")
    Host.objects.create(ip="127.0.0.200", name="")
    Package.objects.create(key="bare", name="bare")
    Incident.objects.create(
        rule=made.incident.rule, group_key="b" * 64, function="relate", title="", state="closed",
        opened_at=now, last_joined_at=now, closed_at=now,
    )  # fmt: skip
    Alert.objects.filter(pk=made.lost.alert_id).update(status="resolved", resolved_at=now, context={"a": [1]})
    decided = {
        "code": "x_1",
        "first_code": "x_1",
        "kind": "external",
        "state": "approved",
        "message": "m",
        "created_at": now,
        "expires_at": now,
    }
    said = Approval.objects.create(**decided, decided_by=user, decided_at=now)
    Decision.objects.create(approval=said, user=user, answer="approve", channel="web", decided_at=now)
    Approval.objects.create(
        **decided | {"code": "x_2", "first_code": "x_2", "execution": made.lost, "decided_by": None}
    )
    Delivery.objects.filter(pk=made.delivery.pk).update(sent_at=now)
    operations.halt("all", "", "割接", None, user, now)
    assert admin("POST", "switch/", {"scope": "business", "key": "game", "reason": "割接", "minutes": 5}).status == 201
    return made


def plain(schema: Any) -> Any:
    """Say in JSON Schema what OpenAPI 3.0 says in its own words: `nullable`; and that an answer has no field beside."""
    if isinstance(schema, list):
        return [plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: plain(item) for key, item in schema.items() if key != "nullable"}
    if "properties" in found and schema.get("type") == "object":
        # What a caller may leave out is answered all the same.
        shown = [name for name, field in schema["properties"].items() if not field.get("writeOnly")]
        found |= {"additionalProperties": False, "required": shown}
    return {"anyOf": [found, {"type": "null"}]} if schema.get("nullable") else found


def test_every_answer_is_as_the_document_says(made: World, admin: Call, client: Client) -> None:
    document = client.get("/api/v1/schema/?format=json").json()
    components = plain(document["components"]["schemas"])
    checked, faults = set(), []
    for path, operations_of in document["paths"].items():
        said = operations_of.get("get")
        if said is None or path.rstrip("/").rsplit("/", 1)[-1] in NO_ANSWER:
            continue
        answer = admin("GET", address(path, made))
        assert answer.status == 200, path
        schema = said["responses"]["200"]["content"]["application/json"]["schema"]
        whole = {**rooted(plain(schema)), "$defs": rooted(components)}
        for error in Draft202012Validator(whole, format_checker=FormatChecker()).iter_errors(answer.json):
            faults.append(f"{path} {error.json_path}: {error.message[:120]}")
        checked.add(path)
    assert not faults, "\n".join(faults)
    assert len(checked) >= 30


def rooted(schema: Any) -> Any:
    """Point references at `$defs`."""
    if isinstance(schema, list):
        return [rooted(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: item.replace("#/components/schemas/", "#/$defs/") if key == "$ref" else rooted(item)
        for key, item in schema.items()
    }


def address(path: str, made: World) -> str:
    """Fill in the key of a row, by the kind that the path names."""
    relative = path.removeprefix("/api/v1/")
    kind = relative.split("/{", 1)[0]
    words = {
        "businesses": "business",
        "deliveries": "delivery",
        "duties": "duty",
        "audit": "audit",
        "rules/backtest": "backtest",
    }
    return re.sub(r"\{\w+\}", str(made.keys.get(words.get(kind, kind.removesuffix("s")))), relative)
