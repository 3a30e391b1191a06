"""What tests of the engine's work share: a gate and a runner that remember, a host, and the faults that were told."""

from collections.abc import Iterator
from typing import Any

import pytest

from fta import signals
from fta.healing.runners import RUNNERS
from fta.models import Host
from tests import factories
from tests.fta import stage
from tests.fta.stage import Actor, FakeGate


@pytest.fixture
def actor(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Actor]:
    """The runner of nodes of type `act`, behind a gate that says what the test told it."""
    settings.FTA_APPROVAL_GATE = stage.GATE
    FakeGate.reset()
    made = Actor()
    monkeypatch.setitem(RUNNERS, "act", made)
    yield made
    FakeGate.reset()


@pytest.fixture
def host(db: None) -> Host:
    return factories.host()


@pytest.fixture
def faults() -> Iterator[list[str]]:
    """The subjects of the faults that were announced."""
    heard: list[str] = []

    def hear(text: str, subject: str, **kwargs: Any) -> None:
        heard.append(subject)

    signals.system_fault.connect(hear)
    yield heard
    signals.system_fault.disconnect(hear)
