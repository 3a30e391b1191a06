"""Every value of a package replaced by every odd one: it is refused by its path, or can be stored and rendered."""

import copy
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from fta.config import healing
from fta.config.reader import Errors, Reader
from fta.healing import parameters as declared
from fta.healing.runners import RUNNERS
from fta.healing.validation import validate
from fta.healing.versions import content_sha256, problems_of

pytestmark = pytest.mark.django_db

_CALL = {"path": "/a", "method": "POST", "status": [200], "ok": "a", "error": "b", "keep": {"a": "b"}}
SYSTEM: dict[str, Any] = {
    "auth": {"header": "A"},
    "headers": {"a": "b"},
    "inputs": {"job": {"required": True, "variables": True, "refuse": ["all"]}},
    "arguments": {"as": "list", "name": "*", "refuse": ["{{"]},
    "submit": {**_CALL, "json": {"a": "{job}"}, "id": {"header": "L", "pattern": "(a)"}, "complete": "a"},
    "start": _CALL,
    "poll": {"path": "/p/{id}", "state": "a"},
    "states": {"succeeded": ["ok"], "failed": ["no"]},
    "output": {"path": "/o", "text": "a"},
    "stop": [_CALL],
}
PARAMS: dict[str, dict[str, Any]] = {
    "script": {"script": "true", "arguments": {"a": "b"}, "interpreter": "/bin/sh", "secrets": ["s"]},
    "http": {
        "method": "POST", "url": "http://a/", "headers": {"a": "b"}, "body": {"a": 1}, "secret_headers": {"A": "s"},
        "success": {"status": [200], "jmespath": "a"}, "auth": {"type": "basic", "username": "u", "secret": "s"},
    },
    "job": {
        "system": SYSTEM, "url": "http://a", "secret": "s", "inputs": {"job": 1}, "arguments": {"a": {"value": 1}},
        "interval": 5, "read": {"a": "b"},
    },
    "approval": {"message": "m", "policy": "p"},
    "notify": {"message": "m", "channels": ["c"], "to": ["a"]},
    "sleep": {"seconds": 5},
    "guard": {"count": 1, "minutes": 2},
    "spare_host": {"set": "a", "module": "b", "attributes": {"a": "b"}, "mode": "auto", "message": "m", "policy": "p"},
    "swap_host": {},
    "ping_check": {"tcp_port": 22, "expect": "up", "count": 2, "icmp": False},
    "package": {"package": "x", "params": {"a": "b"}},
    "mark_almost_success": {},
}  # fmt: skip
NODE: dict[str, Any] = {  # what an author writes of a node, but for its params
    "id": 1, "name": "a", "timeout": "5m", "retries": {"count": 1, "delay": "5s", "backoff": 2}, "policy": "once",
    "join": "any", "next": {"success": 2, "failure": [2], "always": [2]},
}  # fmt: skip
HEAD: dict[str, Any] = {
    "key": "k", "name": "n", "business": "", "description": "d", "risk": "low", "mode": "auto",
    "budget": {"max_hosts": 1, "max_percent": 10, "window": "1h", "scope": "set"},
    "parameters": [
        {"name": "p", "type": "choice", "default": "a", "required": True, "choices": ["a", "b"], "pattern": "a|b"},
        {"name": "s", "type": "secret"},
        {"name": "i", "type": "integer", "default": 5},
    ],
}  # fmt: skip
ODD: list[Any] = [
    None, True, -1, 1.5, float("nan"), 10**40, "", "9" * 5000, "\0", "\ud800", [], [None], ["x"], {"x": []}, {1: 2},
    date(2026, 1, 1),
]  # fmt: skip


def package(kind: str) -> dict[str, Any]:
    """Return a whole package whose first node is of this type."""
    return {**HEAD, "nodes": [{**NODE, "type": kind, "params": PARAMS[kind]}, {"id": 2, "type": "swap_host"}]}


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the place of every value inside of this one."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*above, key)
        yield from places(item, (*above, key))


def replaced(said: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return a copy with another value at the place."""
    whole = copy.deepcopy(said)
    part: Any = whole
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    return whole


def faults(said: Any) -> list[str]:
    """Read a package as the file and the API do, and return what is said of it; what is taken is stored and rendered."""
    errors = Errors()
    reader = Reader(said, "", errors)
    _values, nodes, parameters = healing.package_values(healing.package_key(reader), reader)
    problems = validate(nodes, parameters) or problems_of(nodes, "k", None)
    if not problems:
        content_sha256(nodes, parameters)
        declared.resolve(parameters, {"p": "a", "i": "x"})
        for node in nodes:
            RUNNERS[node["type"]].render(node.get("params") or {}, {})
    return errors.found + [str(each) for each in problems]


@pytest.mark.parametrize("kind", sorted(RUNNERS))
def test_it_takes_or_refuses_whatever_stands_in_a_package(kind: str) -> None:
    whole = package(kind)
    said = [place for place in places(whole) if kind == "script" or place[:3] == ("nodes", 0, "params")]
    for place in said:
        for value in ODD:
            faults(replaced(whole, place, value))


def test_the_packages_that_are_made_odd_are_sound() -> None:
    assert set(PARAMS) == set(RUNNERS)
    for kind in PARAMS.keys() - {"package"}:  # there is no package x, and one inside is not retried
        assert faults(package(kind)) == [], kind
