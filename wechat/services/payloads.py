"""The bodies of WeCom messages, within WeCom's limits (pages 90236, 90248, 91770): bytes for text, characters for cards."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from django.urls import reverse
from django.utils.translation import gettext as _

from fta.lib.links import absolute
from fta.lib.secrets import redact
from notify.message import Message, as_text, cut, split
from notify.models import Delivery

Payload = dict[str, Any]
Way = Literal["app", "robot", "chat"]

TEXT_BYTES = 2048
MARKDOWN_BYTES: dict[Way, int] = {"app": 2048, "chat": 2048, "robot": 4096}
_MOBILE = re.compile(r"1\d{10}")
TITLE_BYTES, DESCRIPTION_BYTES, URL_BYTES = 128, 512, 2048
_SHOWN = 2000


def shown(text: str) -> str:
    """Return what the delivery's page may show of a request."""
    return redact(text)[:_SHOWN]


def bodies(message: Message, preferred: str, way: Way, mentions: Sequence[str] = ()) -> list[Payload]:
    """Return the requests' bodies for one message, several when its text is too long for one.

    A message that is `plain` takes the form which the channel prefers. A card needs a link; without one it becomes text.
    """
    form = preferred if message.form == "plain" else message.form
    if way == "robot" and form == "textcard":  # a robot has none
        form, message = "markdown", _with_link(message)
    if form in ("textcard", "news", "template_card") and _fits_url(message.url):
        if form == "news":
            return _in_full(_news(message), message)
        return _in_full(_notice(message) if form == "template_card" and way != "chat" else _textcard(message), message)
    message = replace(message, url=message.url or str(message.data.get("page") or ""))
    if form in ("markdown", "markdown_v2", "image"):
        kind = form if way == "robot" and form == "markdown_v2" else "markdown"
        words = as_text(message) if kind == "markdown_v2" else _with_people(as_text(message), mentions)
        return [{"msgtype": kind, kind: {"content": part}} for part in split(words, MARKDOWN_BYTES[way], message.url)]
    return [
        {"msgtype": "text", "text": {"content": part} | (_mentioned(mentions, way) if number == 0 else {})}
        for number, part in enumerate(split(as_text(message), TEXT_BYTES, message.url))
    ]


def _fits_url(url: str) -> bool:
    return url.startswith(("http://", "https://")) and len(url.encode()) <= URL_BYTES


def _body(message: Message) -> str:
    """Return the text of a card; an empty one is refused by WeCom (41033), so the title stands in."""
    return message.text.strip() or message.title


def _with_link(message: Message) -> Message:
    """Return a card as a text that ends with its link."""
    fits = _fits_url(message.url) and message.url not in message.text
    link = "\n" + _("[查看详情](%(link)s)") % {"link": message.url} if fits else ""
    return replace(message, form="text", text=as_text(message) + link)


def _with_people(text: str, mentions: Sequence[str]) -> str:
    """Append the mentions: in markdown only <@userid> works, the list beside the text does not."""
    userids = [each for each in mentions if not _MOBILE.fullmatch(each)]
    return f"{text}\n{' '.join(f'<@{userid}>' for userid in userids)}" if userids else text


def _mentioned(mentions: Sequence[str], way: Way) -> Payload:
    """Name whom to remind beside a text; only a robot knows people by their mobile numbers too."""
    if way == "app":
        return {}
    mobiles = [each for each in mentions if way == "robot" and _MOBILE.fullmatch(each)]
    lists = {"mentioned_list": [each for each in mentions if each not in mobiles], "mentioned_mobile_list": mobiles}
    return {name: people for name, people in lists.items() if people}


def _textcard(message: Message) -> Payload:
    card = {
        "title": cut(message.title or _body(message), TITLE_BYTES),
        "description": cut(_body(message), DESCRIPTION_BYTES),
        "url": message.url,
    }
    return {"msgtype": "textcard", "textcard": card}


def _news(message: Message) -> Payload:
    if message.data.get("articles"):
        return {"msgtype": "news", "news": {"articles": [_within(each) for each in message.data["articles"]]}}
    article = {
        "title": cut(message.title or _body(message), TITLE_BYTES),
        "description": cut(message.text, DESCRIPTION_BYTES),
        "url": message.url,
    }
    if _fits_url(message.picture):
        article["picurl"] = message.picture
    return {"msgtype": "news", "news": {"articles": [article]}}


def _within(article: Payload) -> Payload:
    """Return an article of somebody else's within WeCom's sizes."""
    sizes = {"title": TITLE_BYTES, "description": DESCRIPTION_BYTES}
    return {name: cut(str(value), sizes.get(name, URL_BYTES)) for name, value in article.items()}


def _in_full(card: Payload, message: Message) -> list[Payload]:
    """Return a card, marked where it shows only the beginning of a text, and after it the whole as messages of their own."""
    body, words = card[card["msgtype"]], message.text.strip() or message.title
    own = {"title": message.title or words, "description": words}
    if card["msgtype"] == "template_card":
        rows = [(body["main_title"], "title", own["title"]), (body, "sub_title_text", words)]
    else:
        parts = zip(body.get("articles", [body]), message.data.get("articles") or [own], strict=True)
        rows = [(part, name, str(given.get(name, ""))) for part, given in parts for name in own]
    lost = [_marked(part, name, whole) for part, name, whole in rows]
    seen = [whole for (_part, _name, whole), cut_off in zip(rows, lost, strict=True) if not cut_off]
    wholes = [whole for _part, _name, whole in rows]
    if all(any(whole in text for text in seen) for whole in wholes):
        return [card]
    page = str(message.data.get("page") or message.url)
    texts = split("\n".join(filter(None, dict.fromkeys(wholes))), TEXT_BYTES, page)
    return [card, *({"msgtype": "text", "text": {"content": text}} for text in texts)]


def _marked(part: Payload, name: str, whole: str) -> bool:
    """Tell whether a card shows no more than the beginning of a text, and let its end say so."""
    shown = str(part.get(name, ""))
    if not shown or len(shown) >= len(whole.strip()):
        return False
    part[name] = cut(shown, len(shown.encode()) - 3) + "…"
    return True


def _notice(message: Message) -> Payload:
    card: Payload = {
        "card_type": "text_notice",
        "source": {"desc": _("故障自愈"), "desc_color": 0},
        "main_title": {"title": (message.title or _body(message))[:64]},
        "sub_title_text": message.text[:200],
        "horizontal_content_list": facts(message),
        "card_action": {"type": 1, "url": message.url},
    }
    return {"msgtype": "template_card", "template_card": card}


def facts(message: Message) -> list[Payload]:
    """Return the rows of a card, at most the six that WeCom takes (42035)."""
    return [{"keyname": name[:10] or "—", "value": value[:60]} for name, value in message.facts[:6]]


def on_page(delivery: Delivery, message: Message) -> Message:
    """Return the message with the address of its delivery's page, where all of it is read when it is too long to be sent."""
    page = absolute(reverse("notify:delivery", args=[delivery.pk]))
    return replace(message, data={**message.data, "page": page})
