"""Decide about single alerts on the database of the environment, as the engine does, and take everything back.

Reads a Question as JSON from each line of standard input and prints an Answer as JSON. `python -m tests.bench.verdicts`
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import transaction

from fta import pipeline
from fta.models import ConfigVersion
from tests import factories


@dataclass(frozen=True)
class Question:
    """An alert of a host's address and a type. `at` is the moment at which it comes, in ISO 8601."""

    ip: str
    alert_type: str
    at: str


@dataclass(frozen=True)
class Answer:
    """The milliseconds that the decision took, and where it left the execution."""

    milliseconds: float
    state: str


def answer(question: Question) -> Answer:
    """Decide in a transaction that is rolled back, so that every question meets the same state."""
    at = datetime.fromisoformat(question.at)
    moments = dict.fromkeys(("received_at", "starts_at", "last_seen_at"), at)
    with transaction.atomic():
        alert = factories.alert(target=question.ip, alert_type=question.alert_type, **moments)
        with ConfigVersion.pinned():
            began = time.perf_counter()
            execution = pipeline.process(alert, at)
            took = time.perf_counter() - began
        transaction.set_rollback(True)
    return Answer(took * 1000, execution.state if execution else "")


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(asdict(answer(Question(**json.loads(line))))), flush=True)


if __name__ == "__main__":
    main()
