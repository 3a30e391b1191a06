"""Why an answer was not taken: one exception a condition, each with the sentence that the person is told."""

from django.utils.translation import gettext as _

from approvals import messages
from approvals.models import Approval


class Refusal(Exception):
    """An answer that changed nothing. `reason` is said to the person, `code` to programs."""

    code = "refused"

    def __init__(self, approval: Approval, reason: str) -> None:
        super().__init__(reason)
        self.approval = approval
        self.reason = reason


class AlreadyDecided(Refusal):
    """Somebody was first, or this person has answered already."""

    code = "already_decided"

    def __init__(self, approval: Approval, reason: str = "") -> None:
        said = _("%(outcome)s了 %(code)s，你的回答没有改变它")
        super().__init__(approval, reason or said % {"outcome": messages.outcome(approval), "code": approval.code})

    @classmethod
    def by_you(cls, approval: Approval) -> "AlreadyDecided":
        """Return the refusal for whoever has answered and still waits for others."""
        return cls(approval, _("你已经回答过 %(code)s，还在等其他人") % {"code": approval.code})


class Expired(Refusal):
    """The time to answer is over."""

    code = "expired"

    def __init__(self, approval: Approval) -> None:
        moment = messages.clock(approval.expires_at)
        super().__init__(approval, _("%(code)s 已在 %(moment)s 过期") % {"code": approval.code, "moment": moment})


class NotPending(Refusal):
    """It was withdrawn, replaced, or what it was about has moved on."""

    code = "not_pending"

    def __init__(self, approval: Approval, reason: str = "") -> None:
        word = Approval.State(approval.state).label
        super().__init__(approval, reason or _("%(code)s %(word)s，不能再决定") % {"code": approval.code, "word": word})


class AskedAgain(NotPending):
    """The same was asked again since: whoever answers the old question has not read the new one."""

    code = "asked_again"

    def __init__(self, approval: Approval, newer: Approval) -> None:
        words = {"code": approval.code, "newer": newer.code, "outcome": messages.outcome(newer)}
        waits = newer.state == Approval.State.PENDING
        said = _("%(code)s 已重新审批，新的编号是 %(newer)s，请看过新的再决定")
        ended = _("%(code)s 已重新审批，新的编号是 %(newer)s：%(outcome)s，你的回答没有改变它")
        super().__init__(approval, (said if waits else ended) % words)


class NotApprover(Refusal):
    """This person was not asked, not yet, or no longer has the right that the question rested on."""

    code = "not_approver"

    def __init__(self, approval: Approval, reason: str = "") -> None:
        super().__init__(approval, reason or _("你不是 %(code)s 的审批人") % {"code": approval.code})


class RequesterMayNotDecide(Refusal):
    """The requester and the author of the package do not decide about their own."""

    code = "requester_may_not_decide"

    def __init__(self, approval: Approval) -> None:
        said = _("%(code)s 由你发起或套餐由你编写，须由别人审批")
        super().__init__(approval, said % {"code": approval.code})


class PlanChanged(Refusal):
    """What would run is not what this person was shown."""

    code = "plan_changed"

    def __init__(self, approval: Approval, changes: list[str]) -> None:
        self.changes = changes
        said = _("%(code)s 的计划变了，请看过新的再决定：%(changes)s")
        super().__init__(approval, said % {"code": approval.code, "changes": "；".join(changes)})


class NothingToDo(PlanChanged):
    """The alert has resolved, and its rule wants nothing done then: the question is void and is not asked again."""

    code = "alert_resolved"

    def __init__(self, approval: Approval) -> None:
        super().__init__(approval, [])
        self.reason = _("%(code)s 的告警已恢复，按规则不再执行，不用审批了") % {"code": approval.code}


class NoSuchChoice(Refusal):
    """The comment should choose one of what was offered, and does not."""

    code = "no_such_choice"


class CodeInUse(Refusal):
    """Another question with this code is still waiting, or the code is one of the portal's own questions."""

    code = "code_in_use"

    def __init__(self, approval: Approval) -> None:
        own = approval.kind != Approval.Kind.EXTERNAL
        said = _("编号 %(code)s 是门户自己的审批在用的，请换一个") if own else _("编号 %(code)s 已有一个待审批")
        super().__init__(approval, said % {"code": approval.code})


class CannotTakeOver(Refusal):
    """The person named to answer instead may not."""

    code = "cannot_take_over"
