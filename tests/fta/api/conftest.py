"""Callers of the API: one key a role, in the game business, and a foreign operator."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from approvals.models import Policy
from fta.models import Business, Package
from tests import factories

ROLES = ("operator", "approver", "viewer", "admin")


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    json: Any

    @property
    def error(self) -> Any:
        """The error, whose form never varies."""
        assert set(self.json) == {"error"}, self.json
        assert set(self.json["error"]) == {"code", "message", "fields"}
        assert self.json["error"]["message"]
        return self.json["error"]


# One for all tests: a client that is new reads every static file anew, which takes longer than most answers.
_CLIENT = Client(raise_request_exception=False)


def call(key: str | None, method: str, path: str, data: Any = None, form: str = "application/json") -> Answer:
    """Call the API as the holder of a key; None sends no key. Text and bytes are sent as they are."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return send(method, path, data, form, headers)


def send(method: str, path: str, data: Any, form: str, headers: dict[str, str]) -> Answer:
    """Call the API with these headers."""
    body = data if isinstance(data, str | bytes) else json.dumps(data) if data is not None else ""
    _CLIENT.cookies.clear()
    answer = _CLIENT.generic(method, f"/api/v1/{path}", body, content_type=form, headers=headers)
    is_json = answer.content and answer["Content-Type"].startswith("application/json")
    return Answer(answer.status_code, answer.headers, answer.json() if is_json else None)


Call = Callable[..., Answer]


def key_of(role: str) -> str:
    return f"{role}-key-0123456789abcdef"


@pytest.fixture(autouse=True)
def keys(game: Business, pay: Business) -> None:
    for role in ROLES:
        factories.api_key(key_of(role), role, game)
    factories.api_key(key_of("foreign"), "operator", pay)
    factories.api_key(key_of("roleless"), "dba", game).user.groups.clear()


@pytest.fixture
def operator() -> Call:
    """李四's console: operator of the game business."""
    return lambda method, path, data=None: call(key_of("operator"), method, path, data)


@pytest.fixture
def foreign() -> Call:
    """An operator of another business."""
    return lambda method, path, data=None: call(key_of("foreign"), method, path, data)


@pytest.fixture
def viewer() -> Call:
    return lambda method, path, data=None: call(key_of("viewer"), method, path, data)


@pytest.fixture
def admin() -> Call:
    return lambda method, path, data=None: call(key_of("admin"), method, path, data)


@pytest.fixture
def package(game: Business) -> Package:
    """The package that items name, and the policy."""
    Policy.objects.create(name="default")
    return factories.package(business=game, parameters=[{"name": "path", "type": "string"}])
