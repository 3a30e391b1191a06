"""Approval cards: sent once, updated once for everybody who got them (pages 90236 and 94945)."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from approvals.services import posting
from notify.message import Message
from notify.models import Delivery
from notify.transports import base
from wechat.client import Client
from wechat.errors import WecomError
from wechat.models import CardCopy, WecomApp
from wechat.services.payloads import Payload, bodies, facts, shown

CODE_LIFE = timedelta(hours=72)
SENDING_PAUSE = 5.0
_SPENT = 60140
_COLOURS = {"approved": 3, "refused": 2, "pending": 1}  # of the line above the title: green, red, black


def approval_card(message: Message) -> Payload:
    """Return the card that asks: evidence above, buttons below; one of the buttons opens the page instead of answering."""
    card: Payload = {
        "card_type": "button_interaction",
        "source": {"desc": _("故障自愈审批"), "desc_color": 1},
        "main_title": {"title": message.title or _("审批")},
        "sub_title_text": message.text,
        "horizontal_content_list": facts(message),
        "task_id": message.task_id,
        "button_list": _buttons(message),
    }
    if message.url.startswith("http"):
        card["card_action"] = {"type": 1, "url": message.url}
    return {"msgtype": "template_card", "template_card": card}


def _buttons(message: Message) -> list[Payload]:
    """Return the buttons that answer, and where the page has an address the one that opens it."""
    buttons: list[Payload] = []
    for label, key, style in message.buttons:
        button: Payload = {"text": label, "style": int(style or 1)}
        if ":" in key:
            buttons.append(button | {"type": 0, "key": key})
        elif message.url.startswith("http"):
            buttons.append(button | {"type": 1, "url": message.url})
    return buttons


def remember_card(app: WecomApp, delivery: Delivery, message: Message) -> None:
    """Write the card's row before it is sent."""
    CardCopy.objects.get_or_create(
        delivery_ref=delivery.pk,
        defaults={
            "app": app,
            "approval_ref": delivery.approval_ref or 0,
            "task_id": message.task_id,
            "userids": list(delivery.recipients),
            "issued_at": timezone.now(),
        },
    )


def keep_code(delivery: Delivery, response_code: str) -> None:
    """Keep the right to update the card, which begins now."""
    rows = CardCopy.objects.filter(delivery_ref=delivery.pk, used_at=None)
    rows.update(response_code=response_code, issued_at=timezone.now())


def update_all(client: Client, delivery: Delivery, message: Message) -> base.Receipt:
    """Show on every receiver's card how the approval ended; where a card cannot be updated any more, a message says it.

    Each card is updated by the application that sent it, which need not be the default one any more.
    """
    now = timezone.now()
    asks = posting.questions(delivery.approval_ref or 0)
    posting.call_off(asks)  # what was being sent when the approval ended, and did not get through
    if asks.filter(kind=delivery.kind, state=Delivery.State.SENDING).exists():
        text = _("卡片还在发送，稍后更新。")
        raise base.NotSent(text, retry_after=SENDING_PAUSE, alone=True, request=shown(message.text))
    rows = CardCopy.objects.filter(approval_ref=delivery.approval_ref or 0, used_at=None)
    copies = list(rows.select_related("app").order_by("pk"))
    told: list[str] = []
    refused: WecomError | None = None
    for copy in copies:
        sender = client if copy.app_id == client.app.pk else Client(copy.app)
        try:
            if not _update(sender, delivery, copy, message, now):
                told += copy.userids
        except WecomError as error:
            if error.info.kind not in ("admin", "data"):
                raise  # it passes, and all of them are tried again
            refused = error  # the others may still be told
            continue
        CardCopy.objects.filter(pk=copy.pk, used_at=None).update(used_at=now)
    if refused:
        raise refused
    note = _("卡片不能再更新，已改发消息：%(who)s") % {"who": "、".join(told)} if told else ""
    return base.Receipt({"cards": len(copies)}, shown(message.text), "ok", note)


def _is_nowhere(copy: CardCopy) -> bool:
    """Tell whether nobody got the card, so that there is nothing to correct: it failed, or was called off unsent."""
    sent = Delivery.objects.filter(pk=copy.delivery_ref)
    arrived = Q(tries__outcome=base.UNKNOWN) | Q(sent_at__isnull=False)
    called_off = not copy.response_code and not sent.filter(arrived).exists()
    return sent.filter(state=Delivery.State.FAILED).exists() or called_off


def _update(client: Client, delivery: Delivery, copy: CardCopy, message: Message, now: datetime) -> bool:
    """Update one card; False when a message had to do."""
    if copy.response_code and now - copy.issued_at < CODE_LIFE:
        try:
            client.update_card(_update_body(client, copy, message))
        except WecomError as error:
            if error.info.kind != "data":
                raise
            if error.errcode == _SPENT and delivery.attempts > 1:
                return True  # an earlier try of this update arrived, only its answer was lost
        else:
            return True
    if _is_nowhere(copy):
        return True
    _tell(client, delivery, copy.userids, message)
    return False


def _update_body(client: Client, copy: CardCopy, message: Message) -> Payload:
    body: Payload = {
        "userids": list(copy.userids),
        "atall": 1,  # the code that came with the sending closes the card for all of its receivers
        "agentid": client.app.agent_id or 0,
        "response_code": copy.response_code,
    }
    if not message.url.startswith("http"):
        return body | {"button": {"replace_name": message.text[:30] or message.title[:30]}}
    card = {
        "card_type": "text_notice",
        "source": {"desc": _("故障自愈审批"), "desc_color": _COLOURS.get(message.state, 0)},
        "main_title": {"title": message.title, "desc": message.text},
        "horizontal_content_list": facts(message),
        "card_action": {"type": 1, "url": message.url},
    }
    return body | {"template_card": card}


def _tell(client: Client, delivery: Delivery, userids: Sequence[str], message: Message) -> None:
    words = Message(form="text", text="\n".join(filter(None, (message.title, message.text))))
    for body in bodies(words, "text", "app"):
        client.send(
            {
                "touser": "|".join(userids),
                "agentid": client.app.agent_id or 0,
                "safe": 0,
                **body,
                "enable_duplicate_check": 1,
                "duplicate_check_interval": 1800 + delivery.pk % 7200,
            }
        )
