"""Signing in: whoever guesses is locked out for a while, also with the right password."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as configured
from django.test import Client
from django.utils import timezone

from fta.models import Person
from tests import factories


@pytest.fixture
def guarded(settings: Any) -> None:
    settings.AXES_ENABLED = True


def _post(password: str, username: str = "lisi", **headers: Any) -> Any:
    return Client(**headers).post("/login/", {"username": username, "password": password})


def _sign_in(password: str, username: str = "lisi", **headers: Any) -> int:
    return int(_post(password, username, **headers).status_code)


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
def test_it_knows_who_guesses_behind_the_trusted_proxy(operator: Person, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    for number in range(configured.AXES_FAILURE_LIMIT):
        _sign_in(f"guess-{number}", HTTP_X_FORWARDED_FOR=f"10.9.9.{number}, 203.0.113.9")  # the first hop is invented
    assert _sign_in(factories.PASSWORD, HTTP_X_FORWARDED_FOR="203.0.113.9") == 429
    assert _sign_in(factories.PASSWORD, HTTP_X_FORWARDED_FOR="203.0.113.10") == 302


@pytest.mark.usefixtures("guarded")
def test_it_locks_nobody_out_for_ever(operator: Person, time_machine: Any) -> None:
    began = timezone.now()
    time_machine.move_to(began, tick=False)
    for number in range(configured.AXES_FAILURE_LIMIT):
        _sign_in(f"guess-{number}")
    time_machine.move_to(began + configured.AXES_COOLOFF_TIME - timedelta(minutes=1), tick=False)
    assert _sign_in("guess-on") == 429
    time_machine.move_to(began + configured.AXES_COOLOFF_TIME + timedelta(seconds=1), tick=False)
    assert _sign_in(factories.PASSWORD) == 302


@pytest.mark.usefixtures("guarded")
def test_it_locks_out_an_address_that_tries_many_names(operator: Person, settings: Any) -> None:
    settings.FTA_GUESSES_OF_ADDRESS = 7
    assert [_sign_in("guess", username=f"name{n}") for n in range(6)] == [200] * 6
    assert _sign_in(factories.PASSWORD) == 302  # and a success forgets none of it
    assert _sign_in("guess", username="name7") == 429
    assert _sign_in(factories.PASSWORD) == 429
    assert _sign_in(factories.PASSWORD, REMOTE_ADDR="127.0.0.2") == 302


@pytest.mark.usefixtures("guarded")
def test_it_forgets_failures_at_a_success(operator: Person) -> None:
    for number in range(configured.AXES_FAILURE_LIMIT - 1):
        _sign_in(f"guess-{number}")
    assert _sign_in(factories.PASSWORD) == 302
    assert _sign_in("guess-again") == 200
