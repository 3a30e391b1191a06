"""Listeners: none of them harms the sender, and none fails in silence."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError, transaction
from django.dispatch import Signal

from fta import signals
from fta.models import Business
from tests import factories

pytestmark = pytest.mark.django_db


class Listener:
    """Writes a row, then fails as it was told to; counts how often it heard."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.heard = list(errors), 0

    def __call__(self, **kwargs: Any) -> None:
        self.heard += 1
        factories.business(f"heard-{self.heard}", "听到")
        if self.errors:
            raise self.errors.pop(0)


@pytest.fixture
def faults() -> Iterator[list[str]]:
    told: list[str] = []

    def hear(subject: str, **kwargs: Any) -> None:
        told.append(subject)

    signals.system_fault.connect(hear)
    yield told
    signals.system_fault.disconnect(hear)


@pytest.mark.parametrize(
    ("errors", "heard", "kept", "reported"),
    [
        ([], 1, ["heard-1"], 0),
        ([ValueError("no")], 1, [], 1),
        ([OperationalError("deadlock detected")], 2, ["heard-2"], 0),  # a lock says nothing against the listener
        ([OperationalError("deadlock detected")] * 2, 2, [], 1),
    ],
)
def test_it_undoes_a_failing_listener_alone_and_says_so(
    errors: list[Exception], heard: int, kept: list[str], reported: int, faults: list[str]
) -> None:
    listener, signal = Listener(*errors), Signal()
    signal.connect(listener, weak=False)
    with transaction.atomic():
        factories.business("sender", "发送方")
        signals.announce(signal)
    assert listener.heard == heard
    assert list(Business.objects.order_by("code").values_list("code", flat=True)) == [*kept, "sender"]
    assert len(faults) == reported


def test_it_tells_each_of_several_things_alone_when_all_of_them_fail(faults: list[str]) -> None:
    heard: list[list[int]] = []

    def hear(things: list[int], **kwargs: Any) -> None:
        heard.append(things)
        if 2 in things:
            raise ValueError("not two")

    signal = Signal()
    signal.connect(hear, weak=False)
    signals.announce_all(signal, "things", [1, 2, 3])
    assert heard == [[1, 2, 3], [1], [2], [3]]
    assert len(faults) == 1


def test_a_failing_listener_of_faults_makes_no_circle(faults: list[str]) -> None:
    def hear(**kwargs: Any) -> None:
        raise ValueError("no")

    signals.system_fault.connect(hear)
    try:
        signals.announce(signals.system_fault, text="坏了", subject="x")
    finally:
        signals.system_fault.disconnect(hear)
    assert faults == ["x"]
