"""Several questions for one person within a minute: the first goes out at once, the others as one text when the minute is over.

Only the texts that are answered by a code are gathered. Cards have buttons of their own, come at once and stay single.
"""

import hashlib
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from approvals import messages
from approvals.models import Approval
from approvals.services.posting import call_off
from notify import outbox
from notify.message import Message
from notify.models import Delivery, GroupClock

MINUTE = timedelta(minutes=1)  # the longest that a later question waits for company
KIND = "wecom_app"


def short(userid: str) -> str:
    """Return the userid as a dedup key can hold it."""
    return userid if len(userid) <= 40 else hashlib.sha256(userid.encode()).hexdigest()[:40]


def due_at(userid: str, now: datetime) -> datetime | None:
    """Return when a question for this person is due: None for at once, which begins the minute in which others are gathered."""
    clock, first = GroupClock.objects.get_or_create(group=f"asked:{short(userid)}", defaults={"told_at": now})
    over = GroupClock.objects.filter(pk=clock.pk, told_at__lte=now - MINUTE)
    if first or over.update(told_at=now):
        return None
    return clock.told_at + MINUTE


def join(approval: Approval, userid: str, due: datetime, now: datetime) -> None:
    """Put the question into the text that waits for this person until `due`, or begin it."""
    dedup_key = f"asks:{short(userid)}:{due.timestamp():.0f}"
    entry = [approval.pk, messages.request_text(approval).text]
    if _begin(dedup_key, entry, userid, due, now):
        return
    waiting = Delivery.objects.select_for_update().filter(dedup_key=dedup_key, state=Delivery.State.PENDING).first()
    if waiting is None:  # it left a moment ago
        _begin(f"{dedup_key}:{approval.pk}", entry, userid, None, now)
        return
    _rewrite(waiting, [*_entries(waiting), entry])


def leave(approval: Approval) -> None:
    """Take an approval that ended out of the texts that still wait: nobody needs to be asked any more."""
    rows = Delivery.objects.filter(
        dedup_key__startswith="asks:", lane=Delivery.Lane.APPROVAL, state=Delivery.State.PENDING
    )
    telling = [row.pk for row in rows if any(entry[0] == approval.pk for entry in _entries(row))]
    for waiting in rows.select_for_update().filter(pk__in=telling).order_by("dedup_key"):  # others' texts stay unlocked
        entries = _entries(waiting)
        left = [entry for entry in entries if entry[0] != approval.pk]
        if left and left != entries:
            _rewrite(waiting, left)
        elif not left:
            call_off(rows.filter(pk=waiting.pk))


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
