"""The promises as checks on what a run left behind. Pure: facts in, breaches out."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Call:
    """One call that the outside interface received."""

    key: str
    at: float  # epoch seconds


@dataclass(frozen=True)
class Step:
    """One step run."""

    id: int
    execution: int
    type: str
    policy: str
    state: str
    key: str


@dataclass(frozen=True)
class Run:
    """One execution."""

    id: int
    alert: int | None
    state: str
    ended: bool
    needs_approval: bool
    plan: str


@dataclass(frozen=True)
class Asked:
    """One approval."""

    id: int
    execution: int
    kind: str
    state: str
    plan: str
    decided_at: datetime | None
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Facts:
    """Everything that a run left behind: in the database, at the interface, and with the sender."""

    acknowledged: Sequence[str] = ()
    over: Sequence[str] = ()  # source_ids whose end was acknowledged
    unended: Sequence[str] = ()  # source_ids of alerts that are still firing
    stored: Mapping[str, int] = field(default_factory=dict)  # source_id -> alerts
    waiting: Mapping[str, int] = field(default_factory=dict)  # inbox rows by state
    runs: Sequence[Run] = ()
    steps: Sequence[Step] = ()
    approvals: Sequence[Asked] = ()
    decisions: Sequence[tuple[int, str]] = ()  # approval, answer
    deliveries: Mapping[str, int] = field(default_factory=dict)  # by state
    calls: Sequence[Call] = ()
    starts: Sequence[str] = ()  # keys of scripts, once for each start, as their hosts say
    marks: Sequence[str] = ()  # keys of scripts that ran to their end
    otherwise: Sequence[str] = ()  # keys with which a target was asked for something else than the configuration says
    changed: Mapping[int, str] = field(default_factory=dict)  # execution -> the hash forged for its changed plan, or ""
    successes: Mapping[int, int] = field(default_factory=dict)  # step -> attempts that succeeded
    audit: str = ""  # what is wrong with the audit chain


@dataclass(frozen=True)
class Breach:
    """A promise that was not kept."""

    promise: str
    text: str


Check = Callable[[Facts], Iterator[str]]
SAID = {"approved": "approve", "refused": "refuse"}


def over_at_last(facts: Facts) -> Iterator[str]:
    for source_id in sorted(set(facts.over) & set(facts.unended)):
        yield f"{source_id} is still firing"


def stored_once(facts: Facts) -> Iterator[str]:
    for source_id in facts.acknowledged:
        count = facts.stored.get(source_id, 0)
        if count != 1:
            yield f"alert {source_id} was acknowledged and is stored {count} times"
    for state, count in facts.waiting.items():
        if state != "done":
            yield f"{count} requests are {state} in the inbox"


def one_execution_an_alert(facts: Facts) -> Iterator[str]:
    for alert, count in Counter(run.alert for run in facts.runs if run.alert is not None).items():
        if count > 1:
            yield f"alert {alert} has {count} executions"


def once_is_once(facts: Facts) -> Iterator[str]:
    policies = {step.key: step.policy for step in facts.steps}
    for key, count in Counter(call.key for call in facts.calls).items():
        if count > 1 and policies.get(key, "once") == "once":
            yield f"step {key} was called {count} times"
    for key, count in Counter(facts.starts).items():
        if count > 1 and policies.get(key, "once") == "once":
            yield f"the script of step {key} started {count} times"


def success_was_real(facts: Facts) -> Iterator[str]:
    called = {call.key for call in facts.calls}
    done = set(facts.marks)
    for step in facts.steps:
        if step.state == "succeeded" and step.type == "http" and step.key not in called:
            yield f"step {step.id} succeeded without a call"
        if step.state == "succeeded" and step.type == "script" and step.key not in done:
            yield f"step {step.id} succeeded and its script never ended"


def permitted(facts: Facts) -> Iterator[str]:
    steps = {step.key: step for step in facts.steps}
    runs = {run.id: run for run in facts.runs}
    for call in facts.calls:
        step = steps.get(call.key)
        if step is None:
            yield f"a call came with the key {call.key}, which no step has"
            continue
        run = runs[step.execution]
        if run.needs_approval and not any(_permits(asked, run, call) for asked in facts.approvals):
            yield f"execution {run.id} acted without an approval of its plan"
    for key in facts.starts:
        run = runs[steps[key].execution]
        given = any(asked.execution == run.id and _given(asked, run) for asked in facts.approvals)
        if run.needs_approval and not given:
            yield f"execution {run.id} ran a script without an approval of its plan"


def only_what_was_frozen(facts: Facts) -> Iterator[str]:
    for key in sorted(set(facts.otherwise)):
        yield f"step {key} asked its target for something else than was agreed to"


def nothing_once_changed(facts: Facts) -> Iterator[str]:
    """Plans are changed before anything has begun; one that was frozen anew since then has another hash."""
    forged = {run.id for run in facts.runs if run.plan == facts.changed.get(run.id)}
    begun = {*facts.starts, *facts.otherwise, *(call.key for call in facts.calls)}
    for step in facts.steps:
        if step.execution in forged and step.key in begun:
            yield f"step {step.id} began after the plan of execution {step.execution} was changed"


def _permits(asked: Asked, run: Run, call: Call) -> bool:
    given = asked.execution == run.id and _given(asked, run)
    return given and asked.decided_at is not None and asked.decided_at.timestamp() <= call.at


def _given(asked: Asked, run: Run) -> bool:
    return asked.kind == "gate" and asked.state == "approved" and asked.plan == run.plan


def in_time(facts: Facts) -> Iterator[str]:
    for asked in facts.approvals:
        if asked.state in SAID and asked.decided_at and asked.expires_at and asked.decided_at > asked.expires_at:
            yield f"approval {asked.id} was {asked.state} after its time"


def ghosts_are_silent(facts: Facts) -> Iterator[str]:
    for step, count in facts.successes.items():
        if count > 1:
            yield f"step {step} succeeded {count} times"
    unsure = {step.execution for step in facts.steps if step.state == "unknown"}
    for run in facts.runs:
        if run.state == "unknown" and run.id not in unsure:
            yield f"execution {run.id} ended unknown, and no step of it is any more"


def unknown_is_unknowable(facts: Facts) -> Iterator[str]:
    """A script has a journal on its host, which was there all the time; only a call leaves nothing to be read.

    Where the plan was changed the portal does not ask: the host that it names by then is nobody's that was agreed to.
    """
    for step in facts.steps:
        if step.state == "unknown" and step.type == "script" and step.execution not in facts.changed:
            yield f"step {step.id} is unknown, and its host knows"


def decided_once(facts: Facts) -> Iterator[str]:
    said: dict[int, list[str]] = {}
    for approval, answer in facts.decisions:
        said.setdefault(approval, []).append(answer)
    for asked in facts.approvals:
        found = said.get(asked.id, [])
        wanted = [[SAID[asked.state]] if asked.state in SAID else []]
        if (asked.kind, asked.state) == ("gate", "superseded"):
            wanted.append(["approve"])  # the plan was changed after the yes and before it was used: it counts no more
        if found not in wanted:
            yield f"approval {asked.id} is {asked.state} with the decisions {found}"


def all_ended(facts: Facts) -> Iterator[str]:
    for run in facts.runs:
        if not run.ended:
            yield f"execution {run.id} is still {run.state}"
    for step in facts.steps:
        if step.state in ("ready", "running", "waiting"):
            yield f"step {step.id} is still {step.state}"
    for asked in facts.approvals:
        if asked.state == "pending":
            yield f"approval {asked.id} is still pending"


def deliveries_ended(facts: Facts) -> Iterator[str]:
    for state, count in facts.deliveries.items():
        if state not in ("sent", "failed", "unknown"):
            yield f"{count} deliveries are still {state}"


def audit_whole(facts: Facts) -> Iterator[str]:
    if facts.audit:
        yield facts.audit


CHECKS: dict[str, Check] = {
    "an acknowledged alert is stored exactly once": stored_once,
    "an alert whose end was acknowledged is over": over_at_last,
    "an alert has at most one execution": one_execution_an_alert,
    "a step of policy once is called at most once": once_is_once,
    "a success was a real one": success_was_real,
    "who lost a step records nothing": ghosts_are_silent,
    "what is unknown cannot be known": unknown_is_unknowable,
    "nothing acts without the approval that its plan needs": permitted,
    "no changed plan runs": only_what_was_frozen,
    "nothing begins once its plan was changed": nothing_once_changed,
    "an approval has at most one applied decision": decided_once,
    "nobody decides after the time": in_time,
    "every execution, step and approval ends": all_ended,
    "every delivery ends sent, failed or unknown": deliveries_ended,
    "the audit chain is whole": audit_whole,
}


def breaches(facts: Facts) -> list[Breach]:
    """Return every promise that these facts break."""
    return [Breach(promise, text) for promise, check in CHECKS.items() for text in check(facts)]
