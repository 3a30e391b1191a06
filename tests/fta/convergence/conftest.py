"""A host of the game business, and an ear for what convergence announces."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from django.utils import timezone

from fta import signals
from tests import factories


@pytest.fixture
def now(game: Any) -> datetime:
    factories.host()
    return timezone.now()


@pytest.fixture
def heard() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """What the signals of incidents and faults said."""
    told: list[tuple[str, dict[str, Any]]] = []
    receivers = []
    for name in ("incident_opened", "incident_joined", "incident_analysed", "incident_closed", "system_fault"):

        def listen(name: str = name, **kwargs: Any) -> None:
            told.append((name, kwargs))

        receivers.append((getattr(signals, name), listen))
        getattr(signals, name).connect(listen)
    yield told
    for signal, receiver in receivers:
        signal.disconnect(receiver)
