"""The cast and the stage: one operator, one approver, one stranger; no network but loopback."""

import gc
import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from xdist.scheduler import LoadScopeScheduling

from fta import ports
from fta.convergence import rules as convergence_rules
from fta.engine import kinds
from fta.lib import secrets
from fta.matching import index as matching_index
from fta.matching import shields
from fta.models import Business, ConfigVersion, ConvergenceRule, Person
from tests import factories

REQUIRED = {name for name in os.environ.get("FTA_REQUIRE", "").split(",") if name}


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Look for garbage less often, and never again in what stays for the whole run: modules and collected tests."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Begin without the convergence rules that a new portal ships with: each test names the rules that it needs."""
    with django_db_blocker.unblock():
        ConvergenceRule.objects.all().delete()
        ConfigVersion.objects.all().delete()


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test talk to anything but this machine's loopback addresses and local sockets."""
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = "127.0.0.1" if address[0] == "localhost" else address[0]
            if not ipaddress.ip_address(host).is_loopback:
                raise AssertionError(f"A test tried to reach {address}")
        return real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture(autouse=True)
def _fresh_process_state() -> Iterator[None]:
    """Forget what a process keeps in memory: caches, plugs, compiled rules, secrets that were met."""
    known, pattern = set(secrets._known), secrets._pattern
    yield
    cache.clear()
    secrets._known.intersection_update(known)
    secrets._pattern = pattern
    ports._plug.cache_clear()
    kinds.registry.cache_clear()
    for compiled in (matching_index._compiled, shields._compiled, convergence_rules._compiled):
        compiled.cache_clear()


@pytest.fixture(autouse=True)
def _quick(settings: Any) -> None:
    """Leave out what only costs time here: hard password hashes, the record of sign-ins, and an index of all static files
    for each test client.

    Nor is a head of the audit trail kept: it would outlive the test's rows.
    """
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.AXES_ENABLED = False
    settings.WHITENOISE_AUTOREFRESH = True
    settings.FTA_AUDIT_HEAD = ""


@pytest.fixture
def game(db: None) -> Business:
    return factories.business("game", "游戏大区")


@pytest.fixture
def pay(db: None) -> Business:
    return factories.business("pay", "支付")


@pytest.fixture
def operator(game: Business) -> Person:
    """李四: operator and approver of the game business."""
    return factories.person("lisi", "operator", "approver", businesses=(game,))


@pytest.fixture
def approver(pay: Business) -> Person:
    """王五: approver of the pay business."""
    return factories.person("wangwu", "approver", businesses=(pay,))


@pytest.fixture
def viewer(game: Business) -> Person:
    """赵六: may look at the game business."""
    return factories.person("zhaoliu", "viewer", businesses=(game,))


@pytest.fixture
def stranger(db: None) -> Person:
    """Somebody with an account and no right at all."""
    return factories.person("stranger")


@pytest.fixture
def admin(db: None) -> Person:
    return factories.person("boss", "admin")


def skip_or_fail(name: str, reason: str) -> None:
    """Skip for a part that this machine lacks, or fail when FTA_REQUIRE names it."""
    if name in REQUIRED:
        pytest.fail(f"{name} is required and missing: {reason}")
    pytest.skip(f"{name}: {reason}")


def on_postgres() -> bool:
    return settings.DATABASES["default"]["ENGINE"].endswith("postgresql")


def only_on_postgres(why: str) -> None:
    """Leave to `make test-postgres` what only that suite runs.

    It is no skip of a part that this machine lacks, whatever FTA_REQUIRE names, and so has a word of its own.
    """
    if not on_postgres():
        pytest.skip(f"test-postgres: {why}; runs with make test-postgres")


# Suites that share a process of the portal or of their own, by the beginning of their tests' names: each is one worker's.
SUITES = {
    "tests/e2e/test_make_run.py": "make run",
    "tests/e2e/": "browser",
    "tests/flows/": "flows",
    "tests/fta/runners/test_ssh.py": "sshd",
    "tests/fta/runners/test_hostile.py": "sshd",
    "tests/notify/test_templates.py": "templates",
}


def _suite(nodeid: str) -> str:
    return next((suite for start, suite in SUITES.items() if nodeid.startswith(start)), nodeid)


class OneProcessASuite(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out tests one by one, but each suite as a whole. (The groups of pytest-xdist 3.8 are lost on pytest 9.2.)"""

    def _split_scope(self, nodeid: str) -> str:
        return _suite(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneProcessASuite:
    return OneProcessASuite(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the suites that start processes, each in one go: they wait much, and the rest is done beside them."""
    order = {suite: at for at, suite in enumerate(SUITES.values())}
    items.sort(key=lambda item: order.get(_suite(item.nodeid), len(order)))
