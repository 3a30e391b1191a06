"""Do what a member typed and word the answer: every message gets one, and a wrong one is told what was wrong."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from wechat.selectors import shown

Answer = Literal["approve", "refuse"]

MAX_MINUTES = 7 * 24 * 60


@dataclass(frozen=True)
class Talk:
    """Who says something and when, and what waited for their answer before any of it was done."""

    person: Person
    now: datetime
    waiting: Sequence[Approval]
    said_at: datetime  # when the person wrote it


def answer(text: str, person: Person, now: datetime, said_at: datetime | None = None) -> str:
    """Do every command of a message, one after another, and return the answers; `said_at` is when it was written, if not now."""
    talk = Talk(person, now, list(selectors.pending_for(person.user)), said_at or now)
    commands = parse(text, {approval.code for approval in talk.waiting})
    if not commands:
        return messages.help_text()
    return "\n".join(_DO[command.verb](command, talk) for command in commands)


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
        return messages.failed(_explained(refusal))
    except Approval.DoesNotExist:
        return messages.failed(messages.unknown_code(str(approval_id)))
    return messages.APPROVED


def _explained(refusal: services.Refusal) -> str:
    """Return why an answer was not taken, and how to answer the question that took the place of the old one."""
    replaced = isinstance(refusal, services.AskedAgain | services.PlanChanged)
    newer = refusal.approval.later() if replaced else None
    if newer is None or newer.state != Approval.State.PENDING:
        return refusal.reason
    return f"{refusal.reason}\n{messages.answer_form(newer.code)}"


def _decide(command: Command, talk: Talk) -> str:
    said: Answer = "approve" if command.verb == "approve" else "refuse"
    if chosen := _asked_for_number(command, talk):
        if not _known(chosen, talk):
            return messages.failed(messages.name_the_code(chosen.code))
        return decide(chosen.pk, talk.person, said, command.number, "reply", talk.now)
    codes = command.words or _only_one(command, talk)
    if isinstance(codes, str):
        return codes
    if len(codes) == 1:
        return _decide_code(codes[0], talk, said, command.comment)
    return "\n".join(f"{code} {_decide_code(code, talk, said, command.comment)}" for code in codes)


def _asked_for_number(command: Command, talk: Talk) -> Approval | None:
    """Return the one approval that waits, where it offers candidates and "TY 2" takes one of them."""
    if command.verb != "approve" or not command.number or len(talk.waiting) != 1:
        return None
    only = talk.waiting[0]
    offers = only.step is not None and bool(only.step.result.get("offered"))
    return only if offers and not any(selectors.by_code(code) for code in command.words) else None


def _only_one(command: Command, talk: Talk) -> tuple[str, ...] | str:
    """Return the code that an answer without one means, or why it means none."""
    codes = [approval.code for approval in talk.waiting]
    if command.doubt:
        unknown = selectors.by_code(command.doubt) is None
        reason = messages.unknown_code(command.doubt) if unknown else messages.misplaced_code(command.doubt)
        return messages.failed(f"{reason}\n{messages.right_form()}")
    if len(codes) == 1:
        return (codes[0],) if _known(talk.waiting[0], talk) else messages.failed(messages.name_the_code(codes[0]))
    return messages.failed(messages.which_code(codes) if codes else messages.no_code())


def _decide_code(code: str, talk: Talk, said: Answer, comment: str) -> str:
    approval = _meant(code, talk)
    if isinstance(approval, str):
        return messages.failed(f"{approval}\n{messages.right_form()}")
    return decide(approval.pk, talk.person, said, comment, "reply", talk.now)


def _meant(code: str, talk: Talk) -> Approval | str:
    """Return the approval of this code, or why it names none: of two that differ in case only, one is not guessed."""
    found = Approval.objects.filter(code=code).first()
    alike = [approval for approval in talk.waiting if approval.code.casefold() == code.casefold()]
    if found is None and len(alike) > 1:
        return messages.which_code([approval.code for approval in alike])
    meant = found or next(iter(alike), None) or selectors.by_code(code)
    return _present(meant, talk) if meant else messages.unknown_code(code)


def _present(approval: Approval, talk: Talk) -> Approval:
    """Return the round that waits in place of the one that was named, once that round's question lay before the person."""
    newer = approval.later()
    waits = newer is not None and newer.state == Approval.State.PENDING
    return newer if newer and waits and _known(newer, talk) else approval


def _known(approval: Approval, talk: Talk) -> bool:
    """Tell whether an answer that does not name its round can mean this one: a later round must have been shown before it."""
    return approval.round == 1 or shown(approval, talk.person, talk.said_at)


def _list(command: Command, talk: Talk) -> str:
    return messages.pending(list(selectors.pending_for(talk.person.user)), talk.now, absolute(reverse("wechat:todo")))


def _details(command: Command, talk: Talk) -> str:
    if not command.words:
        return messages.details_form()
    code = command.words[0]
    approval = selectors.find(talk.person.user, code)
    if approval is None:
        return f"{messages.unknown_code(code)}\n{messages.details_form()}"
    link = absolute(reverse("wechat:todo-detail", args=[approval.pk]))
    newer = approval.later()
    return messages.details(approval, selectors.evidence(approval), newer.code if newer else "", link)


def _duty(command: Command, talk: Talk) -> str:
    if not roles_of(talk.person.user):
        return messages.no_duties()
    wanted = command.words[0] if command.words else ""
    rows = [row for row in Duty.objects.staffed() if wanted in ("", row.name)]
    turns = [(row.name, row.on_duty(talk.now)) for row in rows]
    found = Person.objects.filter(user__username__in=[who for _name, who in turns]).select_related("user")
    names = {each.user.get_username(): each.name for each in found}
    return messages.on_duty([(name, names.get(who) or who) for name, who in turns]) if turns else messages.no_duties()


def _delegate(command: Command, talk: Talk) -> str:
    if len(command.words) < 2:
        return messages.delegate_form()
    code, userid = command.words[:2]
    approval = _meant(code, talk)
    other = Person.objects.by_wecom(userid).select_related("user").first()
    if isinstance(approval, str):
        return messages.delegate_failed(f"{approval}\n{messages.delegate_form()}")
    if other is None:
        return messages.delegate_failed(f"{messages.not_registered(userid)}\n{messages.delegate_form()}")
    try:
        services.hand_over(approval.pk, talk.person.user, other, talk.now)
    except services.Refusal as refusal:
        return messages.delegate_failed(refusal.reason)
    return messages.delegated(approval.code, other.name)


def _halt(command: Command, talk: Talk) -> str:
    if not may_halt_by_message(talk.person.user):
        return messages.only_admins()
    if len(command.words) < 2 or not _minutes(command.words[1]):
        return messages.switch_form()
    key, minutes = command.words[0], _minutes(command.words[1])
    scope = _scope(key)
    if scope is None:
        return f"{messages.unknown_scope(key)}\n{messages.switch_form()}"
    shown = _("全部") if scope == Switch.Scope.ALL else key
    operations.halt(
        scope,
        "" if scope == Switch.Scope.ALL else key,
        _("微信指令"),
        talk.now + timedelta(minutes=minutes),
        talk.person.user,
        talk.now,
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


def _resume(command: Command, talk: Talk) -> str:
    if not may_halt_by_message(talk.person.user):
        return messages.only_admins()
    switches = list(Switch.objects.in_force())
    if command.words:
        wanted = "" if command.words[0].casefold() in ("all", "全部") else command.words[0]
        if wanted and _scope(wanted) is None and wanted not in {switch.key for switch in switches}:
            return f"{messages.unknown_scope(wanted)}\n{messages.resume_form()}"
        named = [switch for switch in switches if switch.key == wanted]
        if switches and not named:
            return messages.others_halted(wanted, sorted(switch.key for switch in switches))
        switches = named
    for switch in switches:
        operations.resume(switch, talk.person.user, talk.now)
    return messages.switched_on(len(switches))


_DO: dict[str, Callable[[Command, Talk], str]] = {
    "approve": _decide,
    "refuse": _decide,
    "list": _list,
    "details": _details,
    "duty": _duty,
    "delegate": _delegate,
    "halt": _halt,
    "resume": _resume,
    "help": lambda command, talk: messages.help_text(),
    "conflict": lambda command, talk: messages.failed(messages.both_answers()),
    "unknown": lambda command, talk: messages.not_understood(command.text),
}
