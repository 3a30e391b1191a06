"""Who may say yes: a policy, the people behind it at one moment, and whether somebody may still answer.

Nothing here writes. Whoever is not named by a policy, or by the list of approval admins, may not decide: an empty list means
nobody, not everybody.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from approvals.models import HANDED, Approval, Asked, Policy
from fta.models import Alert, Business, Duty, Execution, Host, Person

DEFAULT_POLICY = "default"
WHY_ADMIN = "admin"
WHY_NAMED = "person"


@dataclass(frozen=True)
class Matter:
    """What people are asked about, as far as it decides who they are."""

    business: Business | None
    host: Host | None
    requester_id: int | None
    author: str
    at: datetime

    @classmethod
    def of(cls, execution: Execution | None, at: datetime) -> "Matter":
        """Return the matter of an execution; of nothing at all for an approval of another system."""
        if execution is None:
            return cls(None, None, None, "", at)
        author = execution.version.author if execution.version else ""
        return cls(execution.business, execution.host, execution.requested_by_id, author, at)


@dataclass(frozen=True)
class Seat:
    """One person's turn to answer in one stage, and why it is theirs."""

    user_id: int
    stage: int
    why: str


@dataclass(frozen=True)
class Stage:
    """One stage of a policy."""

    approvers: Sequence[Mapping[str, Any]]
    quorum: int


@dataclass(frozen=True)
class Asking:
    """One stage as it would be asked: who, and how many of them are needed."""

    number: int  # from 1
    quorum: int
    people: Sequence[tuple[str, str]]  # name, why
    spent: int = 0  # how many of them may have answered an earlier stage by then, and do not answer twice

    @property
    def missing(self) -> int:
        """Return how many people there are too few."""
        return max(0, self.quorum - len(self.people))

    @property
    def may_miss(self) -> int:
        """Return how many there may be too few because they answered before."""
        return max(0, self.quorum - len(self.people) + self.spent) - self.missing


def named(name: str) -> Policy | None:
    """Return the policy of this name, the default one for no name; None leaves the question to the approval admins alone."""
    return Policy.objects.filter(name=name or DEFAULT_POLICY, archived=False).first()


def stages_of(policy: Policy | None) -> list[Stage]:
    """Return the stages of a policy, at least one."""
    stages = policy.stages if policy else []
    found = [Stage(tuple(s.get("approvers") or ()), max(1, int(s.get("quorum") or 1))) for s in stages]
    return found or [Stage((), 1)]


def seats(policy: Policy | None, matter: Matter) -> list[Seat]:
    """Return everybody who is to be asked, stage by stage; approval admins have a seat in each."""
    barred = excluded(policy, matter)
    return [
        Seat(user_id, number, why)
        for number, stage in enumerate(stages_of(policy))
        for user_id, why in people(stage.approvers, matter).items()
        if user_id not in barred
    ]


def preview(policy: Policy, alert: Alert, at: datetime) -> list[Asking]:
    """Return who would be asked about an alert, stage by stage; the policy need not be stored.

    What the alert set going tells the requester and the author; without it nobody is left out.
    """
    run = alert.executions.select_related("business", "host", "version").order_by("-pk").first()
    matter = Matter.of(run, at) if run else Matter(alert.business, alert.host, None, "", at)
    found = seats(policy, matter)
    users = User.objects.select_related("person").in_bulk({seat.user_id for seat in found})
    told, earlier, answers = [], set[int](), 0
    for number, stage in enumerate(stages_of(policy)):
        here = {seat.user_id: seat.why for seat in found if seat.stage == number}
        shown = [(users[user_id].person.name, why_text(why)) for user_id, why in here.items()]
        told.append(Asking(number + 1, stage.quorum, shown, min(answers, len(earlier & here.keys()))))
        earlier |= here.keys()
        answers += stage.quorum
    return told


def why_text(why: str) -> str:
    """Return in words why somebody is asked."""
    kind, _colon, name = why.partition(":")
    roles = {"operator": _("操作员"), "maintainer": _("运维负责人")}
    texts = {
        "role": roles.get(name, name),
        "group": _("审批组 %(name)s") % {"name": name},
        "duty": _("值班 %(name)s") % {"name": name},
        "person": _("指名"),
        WHY_ADMIN: _("审批管理员"),
    }
    return texts.get(kind, why)


def escalation(policy: Policy, matter: Matter, stage: int) -> list[Seat]:
    """Return the seats of those whom a policy names for the time when nobody answered."""
    barred = excluded(policy, matter)
    found = people(policy.escalate_to, matter)
    return [Seat(user_id, stage, why) for user_id, why in found.items() if user_id not in barred]


def excluded(policy: Policy | None, matter: Matter) -> frozenset[int]:
    """Return the ids of the users who may not decide here whatever their role: the requester and the package's author."""
    if policy is not None and not policy.exclude_requester:
        return frozenset()
    authors = User.objects.filter(username=matter.author).values_list("pk", flat=True) if matter.author else ()
    return frozenset(authors) | ({matter.requester_id} if matter.requester_id else frozenset())


def is_excluded(policy: Policy | None, matter: Matter, user: User) -> bool:
    """Tell whether this user is one of the `excluded`."""
    if policy is not None and not policy.exclude_requester:
        return False
    return user.pk == matter.requester_id or (bool(matter.author) and user.get_username() == matter.author)


def people(approvers: Iterable[Mapping[str, Any]], matter: Matter) -> dict[int, str]:
    """Return the users behind a list of approvers, with the reason of each; approval admins belong to every list."""
    found: dict[int, str] = {}
    for entry in approvers:
        for kind, name in entry.items():
            for some in _behind(kind, str(name), matter):
                for user_id in some.values_list("user_id", flat=True):
                    found.setdefault(user_id, f"{kind}:{name}"[:64])
    for user_id in Person.objects.active().filter(approvaladmin__isnull=False).values_list("user_id", flat=True):
        found.setdefault(user_id, WHY_ADMIN)
    return found


def verifiers(names: Iterable[str]) -> list[Person]:
    """Return the active people whom another system names by WeCom userid or, where nobody has that, by username."""
    wanted = dict.fromkeys(filter(None, (name.strip() for name in names)))
    by_account, by_name = Q(wecom_userid__in={name.casefold() for name in wanted}), Q(user__username__in=wanted)
    rows = list(Person.objects.active().filter(by_account | by_name).select_related("user").order_by("pk"))
    accounts = {person.wecom_userid: person for person in reversed(rows) if person.wecom_userid}
    usernames = {person.user.get_username(): person for person in rows}
    found = (accounts.get(name.casefold()) or usernames.get(name) for name in wanted)
    return list(dict.fromkeys(person for person in found if person))


def includes(approvers: Iterable[Mapping[str, Any]], matter: Matter, user_id: int) -> bool:
    """Tell whether somebody is one of the `people` behind a list of approvers, in one look."""
    named = Q(approvaladmin__isnull=False)
    for kind, name in ((kind, str(name)) for entry in approvers for kind, name in entry.items()):
        for some in _behind(kind, name, matter):
            named |= Q(pk__in=some.values("pk"))
    return Person.objects.active().filter(named, user_id=user_id).exists()


def _behind(kind: str, name: str, matter: Matter) -> Sequence[QuerySet[Person]]:
    rows = Person.objects.active()
    if kind == "person":
        chosen = [rows.filter(user__username=name)]
    elif kind == "group":
        chosen = [rows.filter(approvergroup__name=name)]
    elif kind == "duty":
        chosen = [rows.filter(user__username=Duty.objects.on_duty(name, matter.at))]
    elif (kind, name) == ("role", "operator"):
        own = [rows.filter(hosts=matter.host)] if matter.host else []
        chosen = [*own, Person.objects.in_role("operator", matter.business)]
    elif (kind, name) == ("role", "maintainer"):
        chosen = [rows.filter(maintains=matter.business)] if matter.business else []
    else:
        chosen = []
    return chosen


def principal(seat: Asked) -> int:
    """Return the id of the user whose right a seat is: its holder's own, or of the one who handed it over."""
    return int(seat.why.split(":")[1]) if seat.why.startswith(HANDED) else seat.user_id


def handed(how: str, seat: Asked) -> str:
    """Return the reason of a seat that changes hands; `how` is delegate or deputy."""
    return f"{how}:{principal(seat)}:{_right(seat)}"[:64]


def _right(seat: Asked) -> str:
    """Return why the one whose right a seat is was asked."""
    return ":".join(seat.why.split(":")[2:]) if seat.why.startswith(HANDED) else seat.why


def still_entitled(approval: Approval, seat: Asked) -> bool:
    """Tell whether the right behind a seat exists today: people lose roles, groups and accounts while an approval waits.

    A duty list is read for the moment of the question: handing over the shift does not silence whoever was asked.
    """
    user_id = principal(seat)
    if approval.execution is None:
        active = Person.objects.active().filter(user_id=user_id)
        return (active if _right(seat) == WHY_NAMED else active.filter(approvaladmin__isnull=False)).exists()
    stages = stages_of(approval.policy)
    approvers = list(stages[min(seat.stage, len(stages) - 1)].approvers)
    if approval.escalated and approval.policy:
        approvers += approval.policy.escalate_to
    return includes(approvers, Matter.of(approval.execution, approval.created_at), user_id)
