"""What each state is called and which glyph it has; the hue follows from the class ``is-<state>`` (see tokens.css)."""

from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Look(NamedTuple):
    """The word of a state and its glyph in ``static/img/states.svg``."""

    word: Promise | str
    glyph: str


EXECUTION = {
    "converging": Look(_("收敛判定"), "s-conv"),
    "sleeping": Look(_("等待中"), "s-sleep"),
    "below_threshold": Look(_("未达阈值"), "s-below"),
    "held": Look(_("待审批"), "s-held"),
    "ready": Look(_("就绪"), "s-ready"),
    "running": Look(_("执行中"), "s-running"),
    "succeeded": Look(_("成功"), "s-ok"),
    "almost_succeeded": Look(_("基本成功"), "s-almost"),
    "failed": Look(_("失败"), "s-fail"),
    "healed": Look(_("已自愈"), "s-ok"),
    "skipped": Look(_("已跳过"), "s-skip"),
    "cancelled": Look(_("已取消"), "s-cancel"),
    "unknown": Look(_("结果未知"), "s-unk"),
    "shadowed": Look(_("影子"), "s-shadow"),
    "recorded": Look(_("仅记录"), "s-rec"),
    "shielded": Look(_("已屏蔽"), "s-shield"),
}
STEP = EXECUTION | {"idle": Look(_("未到"), "s-dash"), "pending": Look(_("排队中"), "s-ready")}
APPROVAL = {
    "pending": Look(_("待审批"), "s-held"),
    "approved": Look(_("已同意"), "s-ok"),
    "refused": Look(_("已驳回"), "s-fail"),
    "expired": Look(_("已过期"), "s-clock"),
    "cancelled": Look(_("已取消"), "s-cancel"),
    "superseded": Look(_("已失效"), "s-cancel"),
}
DELIVERY = {
    "pending": Look(_("待发"), "s-held"),
    "sending": Look(_("发送中"), "s-running"),
    "sent": Look(_("已送达"), "s-ok"),
    "failed": Look(_("失败"), "s-fail"),
    "unknown": Look(_("结果未知"), "s-unk"),
    "cancelled": Look(_("已取消"), "s-cancel"),
}
INCIDENT = {
    "open": Look(_("进行中"), "s-fire"),
    "held": Look(_("待一次决定"), "s-held"),
    "closed": Look(_("已结束"), "s-ok"),
}
ALERT = {
    "firing": Look(_("告警中"), "s-fire"),
    "resolved": Look(_("已恢复"), "s-ok"),
    "unmatched": Look(_("未接入"), "s-dash"),
    "rejected": Look(_("未收下"), "s-fail"),
}
PART = {
    "ok": Look(_("正常"), "s-ok"),
    "warning": Look(_("要留意"), "s-fire"),
    "error": Look(_("故障"), "s-fail"),
}

BY_KIND = {
    "execution": EXECUTION,
    "step": STEP,
    "steprun": STEP,
    "approval": APPROVAL,
    "delivery": DELIVERY,
    "incident": INCIDENT,
    "alert": ALERT,
    "part": PART,
}
TURNING = frozenset({"running", "sending"})


def look_of(state: str, kind: str = "") -> Look:
    """Return the look of a state; without a kind, the first kind that knows the state answers."""
    tables = [BY_KIND[kind]] if kind in BY_KIND else []
    for table in [*tables, *BY_KIND.values()]:
        if state in table:
            return table[state]
    return Look(state, "s-dash")
