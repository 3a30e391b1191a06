"""Who may do what: every method of every address, for every role, with own and foreign rows.

The addresses come from the resolver: one that has no line in RIGHTS fails.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver

from fta.models import AuditEntry, Business
from tests.fta.api import world
from tests.fta.api.conftest import call, key_of
from tests.fta.api.world import World

pytestmark = pytest.mark.django_db

CALLERS = ("nobody", "roleless", "viewer", "approver", "operator", "admin", "foreign")
METHODS = ("get", "post", "put", "patch", "delete")


def line(*statuses: int) -> dict[str, int]:
    return dict(zip(CALLERS, statuses, strict=True))


# What each caller is told about rows of the game business; "foreign" is an operator of another one.
LIST = line(401, 403, 200, 200, 200, 200, 200)
READ = line(401, 403, 200, 200, 200, 200, 404)
MAKE = line(401, 403, 403, 403, 201, 201, 400)
KEEP = line(401, 403, 403, 403, 200, 200, 404)
DROP = line(401, 403, 403, 403, 204, 204, 404)
ACT = line(401, 403, 403, 403, 200, 200, 404)
OPEN = line(200, 200, 200, 200, 200, 200, 200)

RIGHTS: dict[tuple[str, str], dict[str, int]] = {
    **{(f"{kind}-list", "get"): LIST for kind in ("alert", "execution", "incident", "host", "business", "package")},
    **{(f"{kind}-detail", "get"): READ for kind in ("alert", "execution", "incident", "host", "business", "package")},
    **{(f"{kind}-list", "get"): LIST for kind in ("rule", "convergence-rule", "shield", "audit", "delivery")},
    **{(f"{kind}-detail", "get"): READ for kind in ("rule", "convergence-rule", "shield")},
    **{(f"{kind}-list", "post"): MAKE for kind in ("package", "convergence-rule", "host")},
    **{(f"{kind}-list", "post"): MAKE | {"foreign": 403} for kind in ("rule", "shield")},
    **{
        (f"{kind}-detail", method): KEEP
        for kind in ("package", "rule", "convergence-rule", "shield", "host")
        for method in ("put", "patch")
    },
    ("convergence-rule-block", "post"): line(401, 403, 403, 403, 400, 400, 404),  # it is of one business
    **{(f"{kind}-detail", "delete"): DROP for kind in ("rule", "convergence-rule", "shield", "host")},
    ("package-detail", "delete"): line(401, 403, 403, 403, 409, 409, 404),  # a rule stands on it
    ("package-versions", "get"): READ,
    ("package-mode", "post"): line(401, 403, 403, 403, 200, 200, 404),
    ("package-run", "post"): line(401, 403, 403, 403, 201, 201, 404),
    ("execution-abort", "post"): line(401, 403, 403, 403, 409, 409, 404),  # it has ended
    ("execution-retry", "post"): ACT,
    ("execution-resolve-unknown", "post"): ACT,
    ("audit-detail", "get"): line(401, 403, 404, 404, 404, 200, 404),
    ("switch", "get"): LIST,
    ("switch", "post"): line(401, 403, 403, 403, 201, 201, 400),
    ("switch", "delete"): line(401, 403, 403, 403, 200, 200, 400),
    ("stats", "get"): LIST,
    ("backtests", "post"): line(401, 403, 403, 403, 202, 202, 202),  # of what each may read
    ("backtest", "get"): line(401, 403, 404, 404, 200, 200, 404),  # the operator's own
    ("schema", "get"): OPEN,
    ("docs", "get"): OPEN,
    ("duty-list", "get"): line(401, 403, 200, 200, 200, 200, 200),
    ("duty-detail", "get"): line(401, 403, 200, 200, 200, 200, 200),
    ("approval-list", "get"): line(401, 200, 200, 200, 200, 200, 200),
    ("approval-detail", "get"): line(401, 404, 200, 200, 200, 200, 404),
    ("approval-decide", "post"): line(401, 404, 403, 403, 200, 403, 404),  # only operators are asked
    ("channel-list", "get"): line(401, 200, 200, 200, 200, 200, 200),
    ("channel-detail", "get"): line(401, 404, 200, 200, 200, 200, 200),
    ("channel-test", "post"): line(401, 404, 404, 404, 202, 202, 202),
    ("notification-rule-list", "get"): line(401, 200, 200, 200, 200, 200, 200),
    ("notification-rule-detail", "get"): line(401, 404, 200, 200, 200, 200, 200),
    ("delivery-list", "get"): line(401, 200, 200, 200, 200, 200, 200),
    ("delivery-detail", "get"): line(401, 404, 200, 200, 200, 200, 404),
    ("delivery-resend", "post"): line(401, 404, 404, 404, 200, 200, 404),
}
NODES = [{"id": 1, "name": "等", "type": "sleep", "params": {"seconds": 1}}]
SAID: dict[tuple[str, str], Any] = {
    ("package-list", "post"): {"key": "wait", "name": "新", "business": "game", "nodes": NODES},
    ("package-detail", "put"): {"name": "新", "business": "game", "nodes": NODES},
    ("host-list", "post"): {"ip": "127.0.0.99", "business": "game"},
    ("host-detail", "put"): {"name": "新", "business": "game"},
    ("rule-list", "post"): {"name": "新", "match": {"business": "game"}},
    ("rule-detail", "put"): {"name": "新", "match": {"business": "game"}},
    ("shield-list", "post"): {
        "name": "新", "match": {"business": "game"}, "reason": "发布",
        "from": "2026-01-31T01:00:00+08:00", "to": "2026-01-31T02:00:00+08:00",
    },
    ("convergence-rule-list", "post"): {
        "name": "新", "business": "game", "dimensions": ["host"], "function": "skip_when_success", "remark": "新",
    },
    ("convergence-rule-block", "post"): {"business": "game"},
    ("package-mode", "post"): {"mode": "shadow", "reason": "先看一周"},
    ("package-run", "post"): {"ip": world.IP, "reason": "演练"},
    ("backtests", "post"): {"days": 1},
    ("switch", "post"): {"scope": "business", "key": "game", "reason": "割接"},
    ("switch", "delete"): {"scope": "business", "key": "game"},
    ("approval-decide", "post"): {"decision": "approve"},
    ("execution-resolve-unknown", "post"): {"step": 0, "done": True, "reason": "看过日志"},
}  # fmt: skip
SAID["shield-detail", "put"] = SAID["shield-list", "post"]
SAID["convergence-rule-detail", "put"] = SAID["convergence-rule-list", "post"]
# Lists that tell a foreign operator of nothing in the game business.
SCOPED = (
    "alert",
    "execution",
    "incident",
    "host",
    "rule",
    "convergence-rule",
    "shield",
    "package",
    "audit",
    "delivery",
)


def patterns(found: list[Any], above: str = "") -> Iterator[tuple[str, URLPattern]]:
    for each in found:
        path = above + str(each.pattern).replace("^", "").replace("$", "")
        if isinstance(each, URLResolver):
            yield from patterns(each.url_patterns, path)
        elif path.startswith("api/v1/"):
            yield path.removeprefix("api/v1/"), each


def methods_of(pattern: URLPattern) -> list[str]:
    view: Any = pattern.callback
    known = getattr(view, "actions", None)
    shown = getattr(view, "view_class", None)  # None: no view of the API, but the one for what is not there
    return [method for method in METHODS if (method in known if known else hasattr(shown, method))]


ROUTES = [
    (path, str(pattern.name), method)
    for path, pattern in patterns(get_resolver().url_patterns)
    for method in methods_of(pattern)
]


def test_every_address_has_its_line() -> None:
    assert {(name, method) for _path, name, method in ROUTES} == set(RIGHTS)
    assert set(SAID) <= set(RIGHTS)


def address(path: str, name: str, made: World) -> str:
    key = made.keys.get(name.rsplit("-", 1)[0]) or made.keys.get(name.split("-")[0])
    return re.sub(r"\(\?P<\w+>[^)]*\)|<int:\w+>", str(key), path)


def body(name: str, method: str, made: World) -> Any:
    said = SAID.get((name, method), {"reason": "看过了"} if name.startswith("execution") else {})
    return said | {"step": made.step.pk} if "step" in said else said


def written() -> list[str]:
    """Return the verbs of the trail; a refusal to decide is written down, and changes nothing."""
    verbs = AuditEntry.objects.exclude(verb="approval.decide_refused").values_list("verb", flat=True)
    return list(verbs)


def test_it_lets_each_caller_do_what_is_theirs(game: Business) -> None:
    made = world.build(game)
    for path, name, method in ROUTES:
        assert answers_to(path, name, method, made) == RIGHTS[name, method], f"{method} {name}"


def answers_to(path: str, name: str, method: str, made: World) -> dict[str, int]:
    """Return what each caller is told, each in the same world."""
    before, answered = written(), {}
    for caller in CALLERS:
        with transaction.atomic():
            key = None if caller == "nobody" else key_of(caller)
            said = None if method == "get" else body(name, method, made)
            answer = call(key, method.upper(), address(path, name, made), said)
            answered[caller] = answer.status
            if answer.status >= 400 and answer.json:
                assert answer.error["code"]
                assert written() == before, f"{caller} was refused at {method} {name} and still changed something"
            transaction.set_rollback(True)
    return answered


def test_lists_tell_nobody_of_foreign_rows(game: Business) -> None:
    world.build(game)
    for kind in SCOPED:
        path = next(path for path, name, _method in ROUTES if name == f"{kind}-list")
        assert call(key_of("admin"), "GET", path).json["count"] > 0, kind
        assert call(key_of("foreign"), "GET", path).json["count"] == 0, kind
