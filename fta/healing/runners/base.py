"""What a runner is: the code behind one node type.

A runner is asked three things: whether the parameters of a node make sense (at save), what they are with the variables
filled in (before the claim), and to run (outside of any transaction, under a lease that its caller keeps alive).
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from fta.healing import variables
from fta.healing.runners.fields import Fault, Field
from fta.lib.types import JSON, JSONDict
from fta.models import Execution, StepRun

State = Literal["succeeded", "failed", "unknown", "waiting", "skipped", "cancelled"]


@dataclass(frozen=True)
class StepContext:
    """Everything that a runner may know about the step that it runs."""

    step: StepRun
    execution: Execution
    params: JSONDict  # as `Runner.render` returned them
    raw_secrets: Mapping[str, str]  # the package's secret parameters by name; never part of params or variables
    timeout: float  # seconds
    lost: threading.Event  # set when the lease was taken over: stop, whatever you found out will not be recorded
    cancelled: Callable[[], bool]  # asks the database whether a person stopped the execution; ask about once a second
    begun: Callable[[str], bool]  # write down where an effect is to be looked up, before it; False: the lease was lost
    show: Callable[[str], None]  # the output so far; call it about once a second
    host: "JSONDict | None"  # the host of the plan: id, ip, name, connection, …
    now: datetime
    foreseen: JSONDict = field(default_factory=dict)  # what `Runner.foresee` had frozen for this node
    spare: "JSONDict | None" = None  # the host that stands by for it, when the way here has taken one
    verdict: str = ""  # of a package node: how the nodes inside it ended, in the words for executions


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `retryable` says that nothing reached the target, or that the policy lets it be sent again."""

    state: State
    result: JSONDict = field(default_factory=dict)  # later nodes read it as ${node.<id>.<field>}
    output: str = ""
    error: str = ""
    outcome: str = ""  # a word beside the state: timeout, guard, almost, not_sent, lost, …
    until: datetime | None = None  # for "waiting": when to run again; None waits for a person
    retryable: bool = False


@dataclass(frozen=True)
class Foreseen:
    """What a node has frozen into the plan beside its parameters, and why it could not be run at all, in words."""

    data: JSONDict = field(default_factory=dict)
    problems: Sequence[str] = ()


class Runner(Protocol):
    """One node type. Instances are shared between threads and keep no state."""

    type: str
    acting: bool  # it changes something outside of the portal
    journaled: bool  # it calls `begun` before any effect, so that `resume` can find out what came of it
    default_policy: str

    @property
    def label(self) -> str | Promise:
        """Return the name of the node type to show."""

    @property
    def fields(self) -> Sequence[Field]:
        """Return the declaration of every parameter."""

    @property
    def results(self) -> Sequence[str]:
        """Return what later nodes may read as ${node.<id>.<name>}, beside output and state."""

    @property
    def literal(self) -> frozenset[str]:
        """Return the names of the parameters in which variables are not replaced."""

    def validate(self, params: JSONDict) -> list[Fault]:
        """Return what is wrong with a node's unrendered parameters."""

    def names(self, params: JSONDict) -> set[str]:
        """Return the names of the variables that the parameters use."""

    def origin(self, params: JSONDict) -> set[str]:
        """Return the names of the variables that decide whom a request goes to."""

    def render(self, params: JSONDict, values: Mapping[str, str]) -> JSONDict:
        """Return the parameters with the variables replaced, in one pass."""

    def foresee(self, params: JSONDict, execution: Execution) -> Foreseen:
        """Return what beside the parameters decides what the node will do, as it is now; the plan's hash covers it.

        The parameters are rendered, but for the results of other nodes: these are not known yet.
        """

    def run(self, ctx: StepContext) -> Outcome:
        """Do it. Never raises for what the target does; never opens a transaction around a call to the outside."""

    def resume(self, ctx: StepContext) -> Outcome:
        """Find out what came of a run whose worker vanished after `begun`; never begins anything."""

    def leaves_running(self, step: StepRun) -> bool:
        """Tell whether a parked step has something running outside that `stop` must end."""

    def stop(self, ctx: StepContext) -> Outcome:
        """End what a parked step has left running; like `run`, but it never begins anything."""


class NodeType:
    """The part that most runners share; `literal` parameters are the author's own text and are never rendered."""

    acting: bool = False
    journaled: bool = False
    default_policy: str = StepRun.Policy.IDEMPOTENT.value
    fields: Sequence[Field] = ()
    results: Sequence[str] = ()
    literal: frozenset[str] = frozenset()

    def strangers(self, params: JSONDict) -> list[Fault]:
        """Return a complaint for every parameter that this type does not have: it would be ignored without a word."""
        known = {field.name.partition(".")[0] for field in self.fields}
        return [Fault(name, _("没有参数 %s") % name) for name in params if name not in known]

    def names(self, params: JSONDict) -> set[str]:
        """Return the names of the variables that the parameters use."""
        return variables.names_in({key: value for key, value in params.items() if key not in self.literal})

    def origin(self, params: JSONDict) -> set[str]:
        """Return the names of the variables that decide whom a request goes to: none, unless the type says otherwise."""
        return set()

    def render(self, params: JSONDict, values: Mapping[str, str]) -> JSONDict:
        """Return the parameters with the variables replaced, in one pass."""
        return {key: self.render_one(key, value, values) for key, value in params.items()}

    def render_one(self, key: str, value: JSON, values: Mapping[str, str]) -> JSON:
        """Return one parameter with the variables replaced."""
        return value if key in self.literal else variables.render(value, values)

    def foresee(self, params: JSONDict, execution: Execution) -> Foreseen:
        """Return what has to be frozen beside the parameters: nothing, unless the type says otherwise."""
        return Foreseen()

    def resume(self, ctx: StepContext) -> Outcome:
        """Find out what came of a run whose worker vanished: nobody can tell, unless the type says otherwise."""
        return Outcome("unknown", outcome="lost")

    def leaves_running(self, step: StepRun) -> bool:
        """Tell whether a parked step has something running outside: no, unless the type says otherwise."""
        return False

    def stop(self, ctx: StepContext) -> Outcome:
        """End what a parked step has left running."""
        return Outcome("cancelled")
