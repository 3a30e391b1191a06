"""Compose the message of an occasion for one kind of channel: the facts made safe, the template filled, the form chosen."""

import logging
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from notify.message import Form, Message
from notify.messages import Occasion, clean, clean_lines, default_text, facts
from notify.models import Template
from notify.templates import BadTemplate, render

logger = logging.getLogger(__name__)

# The only colours that WeCom's markdown has.
_COLOURS = {
    "alert.firing": "warning",
    "execution.failed": "warning",
    "execution.unknown": "warning",
    "system.fault": "warning",
    "convergence.defence": "warning",
    "alert.resolved": "info",
    "execution.succeeded": "info",
    "execution.almost": "info",
}
_LONG = (("alert", "content"), ("execution", "reason"))
_FORMS: dict[str, Form] = {"text": "text", "markdown": "markdown", "textcard": "textcard", "news": "news"}


def compose(occasion: Occasion, kind: str, form: str, now: datetime, template: Template | None = None) -> Message:
    """Return the message of an occasion for a channel kind, in the form that the channel wants.

    It speaks the portal's language, whoever caused it.
    A template that fails is replaced by the shipped text: a message that is not as wished is better than none.
    """
    with translation.override(settings.LANGUAGE_CODE):
        return _composed(occasion, kind, form, now, template)


def _composed(occasion: Occasion, kind: str, form: str, now: datetime, template: Template | None) -> Message:
    values = values_for(occasion, kind, form, now)
    own = _own(template, values) if template else ""
    text = own or render(default_text(occasion.event), values)
    title, *rest = text.split("\n")
    return build(title, [line for line in rest if line.strip()], values["url"], form, "" if own else occasion.event)


def values_for(occasion: Occasion, kind: str, form: str, now: datetime) -> dict[str, Any]:
    """Return what a template sees; the link is ours, and stays a link. What an alert or a script says at length keeps its lines."""
    raw = facts(occasion, now)
    values: dict[str, Any] = clean(raw, kind, form)
    for part, name in _LONG:
        values[part][name] = clean_lines(str(raw[part][name]), kind, form)
    return values | {"url": raw["url"]}


def build(title: str, lines: list[str], url: str, form: str, event: str = "") -> Message:
    """Put a first line and the lines below into the form; `event` dresses a markdown text of ours."""
    link = url if url.startswith(("http://", "https://")) else ""
    kind = _FORMS.get(form, "plain")
    if form in ("markdown", "markdown_v2", "image"):
        parts = _dressed(title, lines, event, form) if event else [title, *lines]
        body = "\n".join([*parts, _("[查看详情](%(link)s)") % {"link": link}] if link else parts)
        return Message(kind, title=title, text=body, url=link)
    if form in ("text", "file"):
        return Message(kind, title=title, text="\n".join([title, *lines, *([link] if link else [])]), url=link)
    shown = "\n".join(lines if form in ("textcard", "news") else [title, *lines])
    return Message(kind, title=title, text=shown, url=link)


def _own(template: Template, values: dict[str, Any]) -> str:
    try:
        return render(template.body, values)
    except BadTemplate as error:
        logger.warning("Template %s cannot be used for %s: %s", template.name, values["event"], error)
        return ""


def _dressed(title: str, lines: list[str], event: str, form: str) -> list[str]:
    quoted = [f"> {line}" for line in lines]
    if form == "markdown_v2":  # it has no colours
        return [f"**{title}**", "", *quoted, ""]
    colour = _COLOURS.get(event, "comment")
    return [f'**<font color="{colour}">{title}</font>**', *quoted]
