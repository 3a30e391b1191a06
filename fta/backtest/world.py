"""One set of rules and what it makes of the alerts: the way of `fta.pipeline`, in memory."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Any

from django.utils import timezone

from fta.backtest import happened
from fta.backtest.happened import Case
from fta.backtest.storms import Group, Life, Storm, named
from fta.convergence.dimensions import group_of, values_from
from fta.convergence.functions import PRECEDENCE
from fta.convergence.rules import CompiledRule
from fta.matching import RuleIndex, shield_for
from fta.models import Execution, Mode, Rule
from fta.pipeline import WAKE_AFTER, mode_of, nothing_to_run, unfit

State = Execution.State
UNANSWERED = timedelta(minutes=30)  # after so long a question that really was not asked counts as refused
STORM_EVERY = timedelta(minutes=5)  # a growing storm is told of so often
NIGHT = 7  # o'clock, when it ends
DEFENCE = "defense"
_TOLD = ("notify", "collect", "common_cause")  # functions whose incidents are told of once


@dataclass(frozen=True)
class RuleSet:
    """Matching rules and convergence rules, compiled."""

    index: RuleIndex
    convergence: Sequence[CompiledRule]


@dataclass(eq=False, kw_only=True)
class Course(Life):
    """A life with what decides about it later."""

    case: Case
    rule: Rule | None = None
    mode: str = ""
    decision: str = ""
    deadline_at: datetime
    wake_at: datetime
    counted: bool = True  # false before the beginning of the time that is asked about


@dataclass
class Tally:
    """What is counted: decisions, incidents, questions and messages."""

    decisions: Counter[str] = field(default_factory=Counter)
    incidents: int = 0
    defences: int = 0
    asks: int = 0
    night_asks: int = 0
    messages: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the figures by name."""
        own = {name: getattr(self, name) for name in ("incidents", "defences", "asks", "night_asks", "messages")}
        return {**{name: self.decisions[name] for name in happened.DECISIONS}, **own}


class World:
    """Lives through the alerts in their order; `decisions` tells of each alert how it was decided in the end."""

    def __init__(self, rules: RuleSet, spans: Mapping[int, timedelta]) -> None:
        self.rules, self._spans = rules, spans
        self.decisions: dict[int, str] = {}
        self.tally = Tally()
        self._groups: dict[tuple[int, str], Group] = {}
        self._sleepers: dict[int, dict[int, Course]] = {}
        self._events: list[tuple[datetime, int, int, Course]] = []
        self._number = self._ticks = 0
        self._asked: set[tuple[int, int]] = set()  # (storm, span of five minutes) that people were told of
        self._storms: list[Storm] = []  # keeps them alive, so that their ids stay their own

    def take(self, case: Case, counted: bool) -> None:
        """Decide about the next alert, after all that happened until then."""
        now = case.alert.received_at
        self.run_until(now)
        self._number += 1
        course = Course(self._number, now, case=case, counted=counted, deadline_at=now, wake_at=now)
        self._judge(course, now)

    def run_until(self, now: datetime | None) -> None:
        """Let happen what is due until a moment; None: everything that is known to happen."""
        while self._events and (now is None or self._events[0][0] <= now):
            at, _order, _tick, course = heappop(self._events)
            if course.decision == happened.WAITING:
                self._look(course, at)
            elif course.ended_at == at:  # and not a minute of its sleep that is left over
                self._wake_others(course, at)

    def finish(self) -> None:
        """Count what the lives came to."""
        self.tally.decisions.update(self.decisions.values())

    def _judge(self, course: Course, now: datetime) -> None:
        case, real = course.case, course.case.real
        rule = course.rule = self.rules.index.first(case.subject)
        if shield_for(case.subject, now) is not None:
            self._decide(course, happened.SHIELDED)
        elif rule is None:
            self._decide(course, happened.UNMATCHED)
        elif nothing_to_run(rule) or unfit(case.alert, rule, now)[1] or (real is not None and real.limited):
            course.acting = False
            self._converge(course, now, acts=False)
            self._decide(course, happened.RECORDED)
        elif real is not None and real.decision == happened.FAILED and self._alike(course):
            self._decide(course, happened.FAILED)
        else:
            course.mode = mode_of(rule, rule.package)
            course.deadline_at = now + timedelta(seconds=rule.timeout)
            course.acting = course.mode != Mode.SHADOW
            self._settle(course, now)

    def _settle(self, course: Course, now: datetime) -> None:
        kind, storm = self._converge(course, now)
        if course.mode == Mode.SHADOW:
            self._decide(course, happened.SHADOW)
        elif kind == "skip" or (kind == "below" and course.decision == happened.WAITING):
            self._end(course, happened.SKIPPED, State.SKIPPED, now)
        elif kind == "below":
            course.acting = False
            self._decide(course, happened.BELOW)
        elif kind == "wait":
            self._sleep(course, now)
        elif kind == "approve" or course.mode == Mode.APPROVAL or self._asked_besides(course):
            self._hold(course, storm if kind == "approve" else None, now)
        else:
            self._run(course, now)

    def _converge(self, course: Course, now: datetime, acts: bool = True) -> tuple[str, Storm | None]:
        if not course.places:
            self._place(course)
        kind, found, heaviest = PRECEDENCE[0], None, (0, False)
        for place in course.places:
            outside = place.storm is None
            answer, storm = place.group.judge(place, now, acts)
            if outside and storm is not None and storm.crossed_by is course:
                self._opened(storm, course)
            together = storm is not None and storm.rule.function.asks_together
            if (weight := (PRECEDENCE.index(answer.kind), together)) > heaviest:
                kind, found, heaviest = answer.kind, storm, weight
        return kind, found

    def _place(self, course: Course) -> None:
        alert, package = course.case.alert, course.rule.package if course.rule else None
        values = values_from(alert, alert.host, alert.business, package, alert.alert_type)
        for rule in self.rules.convergence:
            if not rule.applies_to(alert.business_id, alert.alert_type):
                continue
            group = group_of(rule.dimensions, values)
            if group is not None:
                key = (rule.pk, named(group))
                self._groups.setdefault(key, Group(rule)).add(course)

    def _sleep(self, course: Course, now: datetime) -> None:
        if course.decision != happened.WAITING:
            self._decide(course, happened.WAITING)
            for sleepers in self._beds(course):
                sleepers[course.order] = course
            if course.case.resolved_at:
                self._at(max(course.case.resolved_at, course.received_at), course)
        course.wake_at = now + WAKE_AFTER
        self._at(course.wake_at, course)

    def _look(self, course: Course, now: datetime) -> None:
        """Judge again about one that sleeps when its minute is over, or its alert is: a storm may have begun around it."""
        over = course.case.resolved_at is not None and course.case.resolved_at <= now
        if (over or now >= course.wake_at) and not self._gives_up(course, now):
            self._settle(course, now)

    def _gives_up(self, course: Course, now: datetime) -> bool:
        half = course.received_at + (course.deadline_at - course.received_at) / 2
        over = course.case.resolved_at
        if now < half and (over is None or over > now):
            return False
        self._end(course, happened.SKIPPED, State.SKIPPED, now)
        return True

    def _wake_others(self, course: Course, now: datetime) -> None:
        waiting: dict[int, Course] = {}
        for sleepers in self._beds(course):
            waiting |= sleepers
        for order in sorted(waiting):
            other = waiting[order]
            if other.decision == happened.WAITING and not self._gives_up(other, now):
                self._settle(other, now)

    def _beds(self, course: Course) -> list[dict[int, Course]]:
        """Return where those sleep that this one may have to wake, or to wait with: of its groups, and of its host."""
        keys = [*(id(place.group) for place in course.places), -(course.case.alert.host_id or 0)]
        return [self._sleepers.setdefault(key, {}) for key in keys]

    def _run(self, course: Course, now: datetime) -> None:
        package = course.rule.package_id if course.rule else None
        lived = self._as_it_was(course, happened.RUN)
        ended, state = lived or (now + self._spans.get(package or 0, happened.TYPICAL), State.SUCCEEDED)
        if course.counted:
            self.tally.messages += 1
        self._end(course, happened.RUN, state, now, ended)

    def _hold(self, course: Course, storm: Storm | None, now: datetime) -> None:
        self._ask(course, storm, now)
        lived = self._as_it_was(course, happened.HELD)
        ended, state = lived or (min(now + UNANSWERED, course.deadline_at), State.SKIPPED)
        self._end(course, happened.HELD, state, now, ended)

    def _as_it_was(self, course: Course, decision: str) -> tuple[datetime | None, str] | None:
        """Return how it really went on, when it was really decided in this way."""
        real = course.case.real
        if real is None or real.decision != decision or not self._alike(course):
            return None
        return real.ended_at, real.state

    def _alike(self, course: Course) -> bool:
        real = course.case.real
        return real is not None and course.rule is not None and real.package_id == course.rule.package_id

    def _asked_besides(self, course: Course) -> bool:
        """Tell whether a person was really asked for a reason that no rule gives, as a budget that was spent."""
        real = course.case.real
        return real is not None and real.asked_besides and self._alike(course) and self._same_rule(course)

    def _same_rule(self, course: Course) -> bool:
        real = course.case.real
        return real is not None and course.rule is not None and real.rule_id == course.rule.pk

    def _end(self, course: Course, decision: str, state: str, now: datetime, ended: datetime | None = None) -> None:
        skipped = decision == happened.SKIPPED
        unseen = (
            skipped and course.decision != happened.WAITING
        )  # skipped as it came: nobody waits for it, its end wakes nobody
        self._decide(course, decision)
        for sleepers in self._beds(course):
            sleepers.pop(course.order, None)
        course.state, course.ended_at = state, now if skipped else (max(ended, now) if ended else None)
        if course.ended_at is not None and not unseen:
            self._at(course.ended_at, course)

    def _decide(self, course: Course, decision: str) -> None:
        course.decision = decision
        if course.counted:
            self.decisions[course.case.alert.pk] = decision

    def _at(self, moment: datetime, course: Course) -> None:
        self._ticks += 1
        heappush(self._events, (moment, course.order, self._ticks, course))

    def _opened(self, storm: Storm, course: Course) -> None:
        self._storms.append(storm)
        if course.counted:
            self.tally.incidents += 1
            self.tally.defences += storm.rule.function.name == DEFENCE
            self.tally.messages += storm.rule.function.name in _TOLD

    def _ask(self, course: Course, storm: Storm | None, now: datetime) -> None:
        """Count a question: of a storm one, and one more for each five minutes in which it grows."""
        at = now
        if storm is not None and storm.rule.function.name == DEFENCE:
            key = (id(storm), 0)
            if key in self._asked:
                span = int((now - storm.opened_at) / STORM_EVERY) + 1
                key, at = (id(storm), span), storm.opened_at + STORM_EVERY * span
                if key in self._asked:
                    return
            self._asked.add(key)
        if course.counted:
            self.tally.asks += 1
            self.tally.messages += 1
            self.tally.night_asks += timezone.localtime(at).hour < NIGHT
