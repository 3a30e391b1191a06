"""Several questions for one person within a minute: the first goes out at once, the others as one text when the minute is over.

Only the texts that are answered by a code are gathered. Cards have buttons of their own, come at once and stay single.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from approvals import messages
from approvals.models import Approval
from approvals.services.posting import ASKED, call_off
from notify import outbox
from notify.message import Message
from notify.models import Delivery, DeliveryApproval, GroupClock

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


def join(approval: Approval, due: Mapping[str, datetime], now: datetime) -> None:
    """Put the question into the text that waits for each of these people until then, or begin it."""
    entry = _entry(approval)
    later = {f"asks:{short(userid)}:{at.timestamp():.0f}": (userid, at) for userid, at in due.items()}
    begun = {key for key, (userid, at) in later.items() if _begin(key, approval, userid, at, now)}
    found = {row.dedup_key: row for row in _locked(Delivery.objects.filter(dedup_key__in=later.keys() - begun))}
    for key in sorted(later.keys() - begun):
        if waiting := found.get(key):
            _rewrite(waiting, [*_entries(waiting), entry])
            outbox.share(waiting, approval.pk, approval.stage)
        else:  # it left a moment ago
            _begin(f"{key}:{approval.pk}", approval, later[key][0], None, now)


def leave(approval: Approval) -> None:
    """Take an approval that ended out of the texts that still wait: nobody needs to be asked any more."""
    telling = DeliveryApproval.objects.filter(approval_ref=approval.pk).values("delivery_id")
    for waiting in _locked(Delivery.objects.filter(pk__in=telling, dedup_key__startswith="asks:")):
        _keep(waiting, [entry for entry in _entries(waiting) if entry[0] != approval.pk])


def keep_open(delivery: Delivery) -> None:
    """Leave out of a text what has ended while it was being sent, before it is sent again."""
    asked = {entry[0] for entry in _entries(delivery)}
    ended = asked - set(Approval.objects.in_time().filter(pk__in=asked).values_list("pk", flat=True))
    for waiting in _locked(Delivery.objects.filter(pk=delivery.pk)) if ended else ():
        _keep(waiting, [entry for entry in _entries(waiting) if entry[0] not in ended])


def _keep(waiting: Delivery, left: list[list[Any]]) -> None:
    if left:
        _rewrite(waiting, left)
    else:
        call_off(Delivery.objects.filter(pk=waiting.pk))


def _locked(rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """Return those of the rows that still wait, locked by their ids: keys are in another order for the database than for us."""
    return rows.filter(state=Delivery.State.PENDING).select_for_update().order_by("pk")


def _begin(dedup_key: str, approval: Approval, userid: str, not_before: datetime | None, now: datetime) -> bool:
    made = outbox.post(
        dedup_key=dedup_key,
        kind=KIND,
        event=ASKED,
        message=_message([_entry(approval)]),
        recipients=[userid],
        lane=Delivery.Lane.APPROVAL,
        now=now,
        not_before=not_before,
    )
    if made:
        outbox.share(made, approval.pk, approval.stage)
    return made is not None


def _rewrite(waiting: Delivery, entries: list[list[Any]]) -> None:
    payload = {**waiting.payload, "message": _message(entries).to_json()}
    Delivery.objects.filter(pk=waiting.pk, state=Delivery.State.PENDING).update(payload=payload)


def _entry(approval: Approval) -> list[Any]:
    return [approval.pk, messages.request_text(approval).text]


def _entries(waiting: Delivery) -> list[list[Any]]:
    return list(waiting.payload["message"]["data"]["asks"])


def _message(entries: list[list[Any]]) -> Message:
    """Return the fixed text of one question, or of several one below the other."""
    texts = [str(text) for _pk, text in entries]
    head = _("【故障自愈】%(n)d 个审批在等你") % {"n": len(texts)}
    text = texts[0] if len(texts) == 1 else "\n\n".join([head, *texts])
    return Message(form="text", title=head, text=text, url=messages.todo_link(), data={"asks": entries})
