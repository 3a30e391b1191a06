"""Several questions for one person within a minute are one text: the first goes out at once, later ones wait for each other.

Only the texts that are answered by a code are gathered. Cards have buttons of their own, come at once and stay single.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

from django.utils.translation import gettext as _

from approvals import messages
from approvals.models import Approval
from notify import outbox
from notify.message import Message
from notify.models import Allowance, Delivery

WAIT_SECONDS = 5  # the longest that a later question waits for company
KIND = "wecom_app"


def short(userid: str) -> str:
    """Return the userid as a dedup key can hold it."""
    return userid if len(userid) <= 40 else hashlib.sha256(userid.encode()).hexdigest()[:40]


def first_asked(userids: Iterable[str], now: datetime) -> list[str]:
    """Return those who have been asked nothing else in this minute, and note that they are now."""
    minute = int(now.timestamp()) // 60
    rows = [(name, Allowance.objects.get_or_create(key=f"asked:{short(name)}", minute=minute)) for name in userids]
    return [name for name, (_row, made) in rows if made]


def join(approval: Approval, userid: str, now: datetime) -> None:
    """Put the question into the text that waits for this person, or begin one; it leaves within WAIT_SECONDS."""
    slot = int(now.timestamp()) // WAIT_SECONDS + 1
    dedup_key = f"asks:{short(userid)}:{slot}"
    entry = [approval.pk, messages.request_text(approval).text]
    if _begin(dedup_key, entry, userid, datetime.fromtimestamp(slot * WAIT_SECONDS, UTC), now):
        return
    waiting = Delivery.objects.select_for_update().filter(dedup_key=dedup_key, state=Delivery.State.PENDING).first()
    if waiting is None:  # it left a moment ago
        _begin(f"{dedup_key}:{approval.pk}", entry, userid, None, now)
        return
    _rewrite(waiting, [*_entries(waiting), entry])


def leave(approval: Approval) -> None:
    """Take an approval that ended out of the texts that still wait: nobody needs to be asked any more."""
    rows = Delivery.objects.select_for_update().filter(
        dedup_key__startswith="asks:", lane=Delivery.Lane.APPROVAL, state=Delivery.State.PENDING
    )
    for waiting in rows.order_by("dedup_key"):
        entries = _entries(waiting)
        left = [entry for entry in entries if entry[0] != approval.pk]
        if left and left != entries:
            _rewrite(waiting, left)
        elif not left:
            done = {"state": Delivery.State.SENT, "last_error": _("发出之前都已有结果，不再询问。")}
            Delivery.objects.filter(pk=waiting.pk, state=Delivery.State.PENDING).update(**done)


def _begin(dedup_key: str, entry: list[object], userid: str, not_before: datetime | None, now: datetime) -> bool:
    made = outbox.post(
        dedup_key=dedup_key,
        kind=KIND,
        event="approval.asked",
        message=_message([entry]),
        recipients=[userid],
        lane=Delivery.Lane.APPROVAL,
        now=now,
        not_before=not_before,
    )
    return made is not None


def _rewrite(waiting: Delivery, entries: list[list[object]]) -> None:
    payload = {**waiting.payload, "message": _message(entries).to_json()}
    Delivery.objects.filter(pk=waiting.pk, state=Delivery.State.PENDING).update(payload=payload)


def _entries(waiting: Delivery) -> list[list[object]]:
    return list(waiting.payload["message"]["data"]["asks"])


def _message(entries: list[list[object]]) -> Message:
    """Return the fixed text of one question, or of several one below the other."""
    texts = [str(text) for _pk, text in entries]
    head = _("【故障自愈】%(n)d 个审批在等你") % {"n": len(texts)}
    text = texts[0] if len(texts) == 1 else "\n\n".join([head, *texts])
    return Message(form="text", title=head, text=text, url=messages.todo_link(), data={"asks": entries})
