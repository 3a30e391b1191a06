"""Template tags of the pages: states, times, numbers, icons, navigation and form controls."""

from datetime import datetime, timedelta
from typing import Any

from django import template
from django.forms import BoundField, CheckboxInput, CheckboxSelectMultiple, FileInput, RadioSelect, Select, Textarea
from django.template.context import Context
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.templatetags.moments import full_text, moment_text, rough_text, span_text
from fta.templatetags.state_words import TURNING, look_of

register = template.Library()

NOTHING = "—"
SEVERITIES = {
    "critical": (4, gettext_lazy("致命")),
    "error": (3, gettext_lazy("严重")),
    "warning": (2, gettext_lazy("警告")),
    "info": (1, gettext_lazy("提示")),
}
ROLES = {
    "admin": gettext_lazy("平台管理员"),
    "operator": gettext_lazy("运维"),
    "approver": gettext_lazy("审批人"),
    "viewer": gettext_lazy("只读"),
}
RISKS = {"low": gettext_lazy("低"), "medium": gettext_lazy("中"), "high": gettext_lazy("高")}


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """Draw an icon of ``img/icons.svg``, or a state's glyph when the name starts with ``s-``; hidden from readers."""
    sheet, symbol = ("img/states.svg", name) if name.startswith("s-") else ("img/icons.svg", f"i-{name}")
    return format_html(
        '<svg class="f-ico{}" aria-hidden="true"><use href="{}#{}"></use></svg>',
        f" {extra}" if extra else "",
        static(sheet),
        symbol,
    )


@register.simple_tag
def state(thing: Any, kind: str = "", large: bool = False) -> SafeString:
    """Draw the badge of an object with a state, or of a state's value; the kind picks the word (待审批 or 待发)."""
    value = thing if isinstance(thing, str) else getattr(thing, "state", None) or getattr(thing, "status", "")
    if not isinstance(thing, str) and not kind:
        kind = type(thing).__name__.lower()
    look = look_of(str(value), kind)
    return format_html(
        '<span class="f-state is-{}{}">{}{}</span>',
        str(value),
        " is-l" if large else "",
        icon(look.glyph, "f-spin" if value in TURNING else ""),
        look.word,
    )


@register.filter
def state_word(value: str, kind: str = "") -> str:
    """Return only the word of a state."""
    return str(look_of(str(value), kind).word)


@register.filter
def role(name: str) -> str:
    """Return the word of a role; a group that is none keeps its name."""
    return str(ROLES.get(name, name))


@register.simple_tag
def severity(value: str) -> SafeString:
    """Draw a severity as one to four bars and its word; only 致命 has a colour."""
    count, word = SEVERITIES.get(value, (0, value))
    bars = format_html_join(
        "",
        '<rect x="{}" y="{}" width="3" height="{}" class="{}"/>',
        ((4 * n, 9 - 3 * n, 3 + 3 * n, "on" if n < count else "") for n in range(4)),
    )
    return format_html(
        '<span class="f-sev is-{}"><svg viewBox="0 0 15 12" aria-hidden="true">{}</svg>{}</span>', value, bars, word
    )


@register.filter
def risk(value: str) -> str:
    """Return the word of a risk: 低, 中 or 高."""
    return str(RISKS.get(value, value or NOTHING))


def _time(value: datetime, text: str) -> SafeString:
    return format_html('<time datetime="{}" title="{}">{}</time>', value.isoformat(), full_text(value), text)


@register.filter
def moment(value: datetime | None) -> SafeString | str:
    """Show a moment: today ``14:05:12``, this year ``11-22 14:05``, else the date; its title has all of it."""
    return _time(value, moment_text(value, timezone.now())) if value else NOTHING


@register.filter
def ago(value: datetime | None) -> SafeString | str:
    """Show how long ago a moment was, ``8 分钟前``; its title has the moment."""
    return _time(value, _("%(span)s前") % {"span": rough_text(timezone.now() - value)}) if value else NOTHING


@register.filter
def span(value: timedelta | float | None) -> str:
    """Show a span of seconds or a timedelta: ``5 分 32 秒``."""
    return NOTHING if value is None or value == "" else span_text(value)


@register.filter
def rough_span(value: timedelta | float | None) -> str:
    """Show a span in its largest unit only: ``26 分钟``."""
    return NOTHING if value is None or value == "" else rough_text(value)


@register.filter
def since(value: datetime | None, end: datetime | None = None) -> str:
    """Show the span from a moment to another one, or to now: ``4 小时 53 分``."""
    return span_text((end or timezone.now()) - value) if value else NOTHING


@register.filter
def left(deadline: datetime | None, unit: str = "") -> str:
    """Show what is left until a deadline, ``剩 18 分 40 秒``; with ``"rough"`` its largest unit only."""
    if deadline is None:
        return NOTHING
    rest = deadline - timezone.now()
    if rest.total_seconds() <= 0:
        return _("已过期")
    return _("剩 %(span)s") % {"span": rough_text(rest) if unit == "rough" else span_text(rest)}


@register.simple_tag
def time_left(deadline: datetime | None, note: str = "") -> SafeString | str:
    """Show what is left until a deadline and, on a second line, its moment and what happens then."""
    if deadline is None:
        return NOTHING
    at = _time(deadline, moment_text(deadline, timezone.now()))
    return format_html('{}<br><span class="f-sub">{} {}</span>', left(deadline), at, note)


@register.filter
def thousands(value: float | str | None) -> str:
    """Show a number with thousands separators; a name that the context does not know arrives as an empty string."""
    return NOTHING if value is None or value == "" else f"{value:,}"


@register.filter
def short_hash(value: str | None) -> str:
    """Show the ends of a hash in groups of four: ``41b7 0e9c … 8d2f 33a1``."""
    if not value or len(value) <= 16:
        return value or NOTHING
    return f"{value[:4]} {value[4:8]} … {value[-8:-4]} {value[-4:]}"


@register.simple_tag(takes_context=True)
def nav_link(
    context: Context,
    name: str,
    icon_name: str,
    label: str,
    section: str = "",
    count: int | str = "",
    tone: str = "held",
    key: str = "",
) -> SafeString | str:
    """Draw a link of the side bar, or nothing when the name does not resolve.

    The link is the current one when the page's view is ``name``, or starts with one of the prefixes in ``section``
    (separated by blanks), or when the context's ``nav`` is ``name``. G then ``key`` goes there.
    """
    try:
        url = reverse(name)
    except NoReverseMatch:
        return ""
    return format_html(
        '<a class="f-nav" href="{}"{}{}>{}{}{}</a>',
        url,
        format_html(' aria-current="{}"', "page") if _is_current(context, name, section) else "",
        format_html(' data-key="{0}" aria-keyshortcuts="g {0}"', key) if key else "",
        icon(icon_name),
        label,
        format_html('<span class="f-count is-{}">{}</span>', tone, thousands(int(count))) if count else "",
    )


def _is_current(context: Context, name: str, section: str) -> bool:
    if context.get("nav"):
        return bool(context["nav"] == name)
    match = getattr(context.get("request"), "resolver_match", None)
    view_name = match.view_name if match else ""
    return bool(view_name == name or (section and view_name.startswith(tuple(section.split()))))


CONTROLS: list[tuple[type, str]] = [
    (RadioSelect, ""),
    (CheckboxSelectMultiple, ""),
    (CheckboxInput, "f-check"),
    (Select, "f-select"),
    (Textarea, "f-area"),
    (FileInput, "f-file"),
]


@register.simple_tag
def control(field: BoundField, extra: str = "") -> SafeString:
    """Draw a form field's control with the portal's class, its error mark and the ids that describe it."""
    widget = field.field.widget
    base = next((css for kind, css in CONTROLS if isinstance(widget, kind)), "f-input")
    words = [base, extra, widget.attrs.get("class", ""), "is-bad" if field.errors else ""]
    attrs: dict[str, str | bool] = {"class": " ".join(word for word in words if word)}
    ids = [f"{field.auto_id}_help"] if field.help_text else []
    ids += [f"{field.auto_id}_error"] if field.errors else []
    if widget.attrs.get("rows") == "10":  # Django's default is taller than most of our texts
        attrs["rows"] = "4"
    if ids:
        attrs["aria-describedby"] = " ".join(ids)
    if field.errors:
        attrs["aria-invalid"] = "true"
    return field.as_widget(attrs=attrs)


@register.filter
def is_check(field: BoundField) -> bool:
    """Tell whether the field is a single tick, whose label stands behind it."""
    return isinstance(field.field.widget, CheckboxInput)


@register.filter
def is_group(field: BoundField) -> bool:
    """Tell whether the field is a group of choices, which needs a legend instead of a label."""
    return isinstance(field.field.widget, RadioSelect | CheckboxSelectMultiple)
