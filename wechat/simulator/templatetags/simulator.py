"""What the simulator's templates need beyond Django's own filters."""

from collections.abc import Sequence

from django import template

from wechat.simulator import cards
from wechat.simulator import markdown as markdown_
from wechat.simulator.state import Json
from wechat.simulator.views import phone_context

register = template.Library()


@register.filter
def local(url: object) -> str:
    """Return where a link leads from the page."""
    return phone_context.local(url)


@register.filter
def choices(card: Json) -> list[Json]:
    """Return a card's questions."""
    return cards.choices(card)


@register.filter
def opens_by_button(card: Json) -> bool:
    """Tell whether one of a card's buttons already leads where a tap on the card leads."""
    url = card.get("card_action", {}).get("url")
    return any(button.get("url") == url for button in card.get("button_list", ()))


@register.filter
def lines(detail: str) -> str:
    """Return a message with one element a line, for reading; other text stays as it is."""
    if not detail.startswith("<xml>"):
        return detail
    return detail.replace("<![CDATA[", "").replace("]]>", "").replace("><", ">\n<")


@register.filter
def markdown(text: str) -> Sequence[markdown_.Line]:
    """Return the lines of a Markdown message."""
    return markdown_.lines(text)
