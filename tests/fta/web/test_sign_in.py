"""Signing in: whoever guesses is locked out for a while, also with the right password."""

from typing import Any

import pytest
from django.conf import settings as configured
from django.test import Client

from fta.models import Person
from tests import factories


@pytest.fixture
def guarded(settings: Any) -> None:
    settings.AXES_ENABLED = True


def _post(password: str, **headers: Any) -> Any:
    return Client(**headers).post("/login/", {"username": "lisi", "password": password})


def _sign_in(password: str, **headers: Any) -> int:
    return int(_post(password, **headers).status_code)


@pytest.mark.usefixtures("guarded")
def test_it_locks_out_who_guesses(operator: Person) -> None:
    answers = [_sign_in(f"guess-{number}") for number in range(configured.AXES_FAILURE_LIMIT)]
    assert answers == [200] * (configured.AXES_FAILURE_LIMIT - 1) + [429]
    late = _post(factories.PASSWORD)
    assert late.status_code == 429
    minutes = int(configured.AXES_COOLOFF_TIME.total_seconds() // 60)
    assert f"请 {minutes} 分钟后再试" in late.content.decode()


@pytest.mark.usefixtures("guarded")
def test_it_lets_in_from_elsewhere_while_somebody_guesses(operator: Person) -> None:
    for number in range(configured.AXES_FAILURE_LIMIT):
        _sign_in(f"guess-{number}")
    assert _sign_in(factories.PASSWORD, REMOTE_ADDR="127.0.0.2") == 302


@pytest.mark.usefixtures("guarded")
def test_it_forgets_failures_at_a_success(operator: Person) -> None:
    for number in range(configured.AXES_FAILURE_LIMIT - 1):
        _sign_in(f"guess-{number}")
    assert _sign_in(factories.PASSWORD) == 302
    assert _sign_in("guess-again") == 200
