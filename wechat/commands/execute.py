"""Do what a member typed and word the answer: every message gets one, and a wrong one is told what was wrong."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

from django.urls import reverse
from django.utils.translation import gettext as _

from approvals import selectors, services
from approvals.models import Approval
from fta import operations
from fta.lib.links import absolute
from fta.models import Business, Duty, Package, Person, Switch
from fta.models.scope import roles_of
from fta.operations.reach import may_halt_by_message
from wechat import messages
from wechat.commands.grammar import Command, parse

Answer = Literal["approve", "refuse"]

MAX_MINUTES = 7 * 24 * 60


def answer(text: str, person: Person, now: datetime) -> str:
    """Do every command of a message, one after another, and return the answers."""
    waiting = list(selectors.pending_for(person.user))
    commands = parse(text, {approval.code for approval in waiting})
    if not commands:
        return messages.help_text()
    return "\n".join(_DO[command.verb](command, person, now) for command in commands)


def answers_in(text: str) -> list[tuple[int, str]]:
    """Return (approval id, answer) of every yes or no in a text that names an approval by its code."""
    given = [command for command in parse(text) if command.verb in ("approve", "refuse")]
    named = [(selectors.by_code(code), command.verb) for command in given for code in command.words]
    return [(approval.pk, verb) for approval, verb in named if approval]


def decide(approval_id: int, person: Person, said: Answer, comment: str, channel: str, now: datetime) -> str:
    """Answer one approval for this person and return the fixed text."""
    try:
        services.decide(approval_id, person.user, said, comment, channel, now)
    except services.Refusal as refusal:
        return messages.failed(refusal.reason)
    except Approval.DoesNotExist:
        return messages.failed(messages.unknown_code(str(approval_id)))
    return messages.APPROVED


def _decide(command: Command, person: Person, now: datetime) -> str:
    said: Answer = "approve" if command.verb == "approve" else "refuse"
    codes = command.words or _only_one(person)
    if isinstance(codes, str):
        return codes
    if len(codes) == 1:
        return _decide_code(codes[0], person, said, command.comment, now)
    return "\n".join(f"{code} {_decide_code(code, person, said, command.comment, now)}" for code in codes)


def _only_one(person: Person) -> tuple[str, ...] | str:
    """Return the code that an answer without one means, or why it means none."""
    codes = [approval.code for approval in selectors.pending_for(person.user)]
    if len(codes) == 1:
        return (codes[0],)
    reason = messages.which_code(codes) if codes else messages.no_code()
    return messages.failed(reason)


def _decide_code(code: str, person: Person, said: Answer, comment: str, now: datetime) -> str:
    approval = selectors.by_code(code)
    if approval is None:
        return messages.failed(f"{messages.unknown_code(code)}\n{messages.right_form()}")
    return decide(approval.pk, person, said, comment, "reply", now)


def _list(command: Command, person: Person, now: datetime) -> str:
    return messages.pending(list(selectors.pending_for(person.user)), now, absolute(reverse("wechat:todo")))


def _details(command: Command, person: Person, now: datetime) -> str:
    if not command.words:
        return messages.details_form()
    approval = selectors.find(person.user, command.words[0])
    if approval is None:
        return messages.unknown_code(command.words[0])
    link = absolute(reverse("wechat:todo-detail", args=[approval.pk]))
    return messages.details(approval, selectors.evidence(approval), link)


def _duty(command: Command, person: Person, now: datetime) -> str:
    if not roles_of(person.user):
        return messages.no_duties()
    wanted = command.words[0] if command.words else ""
    rows = [row for row in Duty.objects.staffed() if wanted in ("", row.name)]
    turns = [(row.name, row.on_duty(now)) for row in rows]
    found = Person.objects.filter(user__username__in=[who for _name, who in turns]).select_related("user")
    names = {each.user.get_username(): each.name for each in found}
    return messages.on_duty([(name, names.get(who) or who) for name, who in turns]) if turns else messages.no_duties()


def _delegate(command: Command, person: Person, now: datetime) -> str:
    if len(command.words) < 2:
        return messages.delegate_form()
    code, userid = command.words[:2]
    approval = selectors.by_code(code)
    other = Person.objects.by_wecom(userid).select_related("user").first()
    if approval is None:
        return messages.delegate_failed(messages.unknown_code(code))
    if other is None:
        return messages.delegate_failed(messages.not_registered(userid))
    try:
        services.hand_over(approval.pk, person.user, other, now)
    except services.Refusal as refusal:
        return messages.delegate_failed(refusal.reason)
    return messages.delegated(code, other.name)


def _halt(command: Command, person: Person, now: datetime) -> str:
    if not may_halt_by_message(person.user):
        return messages.only_admins()
    if len(command.words) < 2 or not _minutes(command.words[1]):
        return messages.switch_form()
    key, minutes = command.words[0], _minutes(command.words[1])
    scope = _scope(key)
    if scope is None:
        return messages.unknown_scope(key)
    shown = _("全部") if scope == Switch.Scope.ALL else key
    operations.halt(
        scope,
        "" if scope == Switch.Scope.ALL else key,
        _("微信指令"),
        now + timedelta(minutes=minutes),
        person.user,
        now,
    )
    return messages.switched_off(shown, minutes)


def _minutes(word: str) -> int:
    """Return the minutes of a word such as 30 or 30分钟, 0 for anything else."""
    digits = word.removesuffix("分钟").removesuffix("分")
    return min(int(digits), MAX_MINUTES) if digits.isdecimal() and len(digits) <= 6 else 0


def _scope(key: str) -> str | None:
    if key.casefold() in ("all", "全部"):
        return Switch.Scope.ALL
    if Business.objects.filter(code=key, archived=False).exists():
        return Switch.Scope.BUSINESS
    return Switch.Scope.PACKAGE if Package.objects.filter(key=key).exists() else None


def _resume(command: Command, person: Person, now: datetime) -> str:
    if not may_halt_by_message(person.user):
        return messages.only_admins()
    switches = list(Switch.objects.in_force())
    if command.words:
        wanted = "" if command.words[0].casefold() in ("all", "全部") else command.words[0]
        switches = [switch for switch in switches if switch.key == wanted]
    for switch in switches:
        operations.resume(switch, person.user, now)
    return messages.switched_on(len(switches))


_DO: dict[str, Callable[[Command, Person, datetime], str]] = {
    "approve": _decide,
    "refuse": _decide,
    "list": _list,
    "details": _details,
    "duty": _duty,
    "delegate": _delegate,
    "halt": _halt,
    "resume": _resume,
    "help": lambda command, person, now: messages.help_text(),
    "conflict": lambda command, person, now: messages.failed(messages.both_answers()),
    "unknown": lambda command, person, now: messages.not_understood(command.text),
}
