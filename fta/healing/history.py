"""Move executions, and write down what happened to them in the words of their page (经过)."""

from datetime import datetime
from typing import Any

from django.db.models import Q

from fta import signals
from fta.models import Execution, ExecutionEvent
from fta.models.engine import move


def tell(execution: Execution, kind: str, text: str, now: datetime, **data: Any) -> ExecutionEvent:
    """Write one line of the history of an execution; `kind` is a stable word, `text` is for people."""
    return ExecutionEvent.objects.create(execution=execution, at=now, kind=kind, text=str(text), data=data)


def lock(execution_id: int) -> Execution:
    """Return the execution, locked until the end of the transaction: its steps end and start one after the other."""
    return Execution.objects.select_for_update(no_key=True).get(pk=execution_id)


def shift(execution: Execution, to: str, now: datetime, text: str, *conditions: Q, **fields: Any) -> None:
    """Move an execution from the state it was loaded in, with its line of history and its signal.

    Raises NotInState when somebody else moved it meanwhile.
    """
    frm = execution.state
    move(Execution, execution.pk, frm, to, *conditions, **fields)
    execution.state = to
    for name, value in fields.items():
        setattr(execution, name, value)
    tell(execution, f"execution.{to}", text, now)
    signals.announce(signals.execution_changed, execution=execution, frm=frm, to=to)
