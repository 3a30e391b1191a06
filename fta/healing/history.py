"""Move executions, and write down what happened to them in the words of their page (经过)."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from django.db.models import Q

from fta import signals
from fta.models import Execution, ExecutionEvent, Member
from fta.models.engine import move

_gathered: ContextVar[list[ExecutionEvent] | None] = ContextVar("gathered", default=None)


def tell(execution: Execution, kind: str, text: str, now: datetime, **data: Any) -> None:
    """Write one line of the history of an execution; `kind` is a stable word, `text` is for people."""
    line = ExecutionEvent(execution=execution, at=now, kind=kind, text=str(text), data=data)
    lines = _gathered.get()
    if lines is None:
        line.save(force_insert=True)
    else:
        lines.append(line)


@contextmanager
def gathered() -> Iterator[None]:
    """Write what is told in the block by one statement at its end, and nothing when it raises; a transaction's part."""
    lines: list[ExecutionEvent] = []
    token = _gathered.set(lines)
    try:
        yield
    finally:
        _gathered.reset(token)
    ExecutionEvent.objects.bulk_create(lines)


def lock(execution_id: int) -> Execution:
    """Return the execution, locked until the end of the transaction: its steps end and start one after the other."""
    return Execution.objects.select_for_update(no_key=True).get(pk=execution_id)


def shift(execution: Execution, to: str, now: datetime, text: str, *conditions: Q, **fields: Any) -> None:
    """Move an execution from the state it was loaded in, with its line of history and its signal.

    Raises NotInState when somebody else moved it meanwhile.
    """
    frm = execution.state
    move(Execution, execution.pk, frm, to, *conditions, **fields)
    if to in Execution.ENDED or frm in Execution.ENDED:
        Member.objects.filter(execution=execution).update(ended_at=now if to in Execution.ENDED else None)
    execution.state = to
    for name, value in fields.items():
        setattr(execution, name, value)
    tell(execution, f"execution.{to}", text, now)
    signals.announce(signals.execution_changed, execution=execution, frm=frm, to=to)
