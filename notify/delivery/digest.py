"""Gather what had to wait into one message, so that a storm costs its readers one message and not a hundred."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _

from fta.lib.links import absolute
from fta.models.engine import DbNow
from notify.message import Form, Message, cut, size
from notify.models import BY_PERSON, Delivery

MIN_FOLLOWERS = 4  # fewer are quicker read one by one
MAX_FOLLOWERS = 200
_SHOWN = 15
_TITLE_BYTES = 96  # of each, so that a digest is one message and not several
_KINDS = ("wecom_app", "wecom_robot", "wecom_chat", "email")
_FORMS = ("text", "markdown", "textcard", "news", "plain")
_HOLD = timedelta(seconds=120)  # longer than a lease, so that nobody sends them while the digest is on its way


def followers(row: Delivery) -> list[Delivery]:
    """Take the deliveries that waited with this one for the same readers; empty when there are only a few.

    Only those that wait for a limit, or for their group, are gathered; never approvals.
    """
    if row.lane == Delivery.Lane.APPROVAL or row.not_before is None or row.kind not in _KINDS or row.to_nobody:
        return []
    soon = Q(not_before__lte=DbNow() + timedelta(seconds=60))
    same = Delivery.objects.filter(
        soon,
        state=Delivery.State.PENDING,
        kind=row.kind,
        channel=row.channel,
        recipients=row.recipients,
        lane__gt=Delivery.Lane.APPROVAL,
        attempts=0,
        payload__message__form__in=_FORMS,
        payload__message__data=row.payload["message"].get("data", {}),  # departments and tags are receivers too
    ).order_by("id")
    if not row.recipients and row.kind in BY_PERSON:
        same = same.exclude(payload__has_key="people")  # those of nobody are not for the channel's own
    group = row.payload.get("group")
    waiting = (same.filter(payload__group=group) if group else same).select_for_update(skip_locked=True, of=("self",))
    with transaction.atomic():  # what another digest takes just now is skipped, and waits too late to be found after it
        rows = list(waiting[:MAX_FOLLOWERS])
        if len(rows) < (1 if group else MIN_FOLLOWERS):
            return []
        Delivery.objects.filter(pk__in=[each.pk for each in rows]).update(not_before=DbNow() + _HOLD)
    return rows


def note(message: Message, group: Sequence[Delivery]) -> Message:
    """Build the digest: how many there are, the first line of each up to fifteen, and where to read the rest.

    It reminds everybody whom one of them would have reminded.
    """
    titles = [message.title, *(str(each.payload["message"].get("title", "")) for each in group)]
    head = _("%(count)d 条通知合并为一条") % {"count": len(titles)}
    lines = [f"· {_short(title)}" for title in titles[:_SHOWN]]
    if len(titles) > _SHOWN:
        lines.append(_("…… 另有 %(count)d 条") % {"count": len(titles) - _SHOWN})
    link = absolute(reverse("notify:deliveries"))
    form: Form = "markdown" if message.form == "markdown" else "text"  # a card has no room for a list
    text = "\n".join([head, *lines, link])
    reminded = [who for each in group for who in each.payload["message"].get("mentions", ())]
    mentions = tuple(dict.fromkeys([*message.mentions, *reminded]))
    return replace(message, form=form, title=head, text=text, url=link, facts=(), picture="", mentions=mentions)


def _short(title: str) -> str:
    return title if size(title) <= _TITLE_BYTES else cut(title, _TITLE_BYTES) + "…"


def absorb(row: Delivery, group: Sequence[Delivery], now: datetime) -> None:
    """Record that these went out within the digest; the caller's transaction."""
    if not group:
        return
    waiting = Delivery.objects.filter(pk__in=[each.pk for each in group], state=Delivery.State.PENDING)
    waiting.update(
        state=Delivery.State.SENT,
        sent_at=now,
        provider={"digest": row.pk},
        last_error=_("合并在投递 #%(pk)d 里发出。") % {"pk": row.pk},
    )
