"""What is asked of the tables: who may see which delivery, which rules tell of an event, who is reached how."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _

from fta.models import Business, Duty, Host, Person
from fta.models.scope import in_scope, is_admin, roles_of
from notify.models import BY_PERSON, Channel, ChannelKind, Delivery, NotificationRule, Template

R = TypeVar("R", bound=Model)
TEST_EVENT = "channel.test"
SPANS = ("group_wait", "group_interval", "repeat_interval")  # options of a notification rule, in seconds
GROUPS = ("event", "alert_type", "severity", "target", "business", "set", "module", "host", "source", "package")
_LABEL = re.compile(r"(labels\.)?[A-Za-z_][\w.\-/]*")
SCOPED_ROLES = ("operator", "approver", "viewer")
RECEIVING_ROLES = (*SCOPED_ROLES, "maintainer", "host", "admin")


@dataclass(frozen=True)
class Address:
    """One delivery's worth of receivers: the transport's kind, whom it names, and what tells it from the channel's others."""

    kind: str
    recipients: tuple[str, ...] = ()
    part: str = ""
    mentions: tuple[str, ...] = ()


def visible_deliveries(user: Any) -> QuerySet[Delivery]:
    """Return the deliveries that the user may read: of own businesses; those of no business are for admins."""
    return _scoped(user, *SCOPED_ROLES)


def operable_deliveries(user: Any) -> QuerySet[Delivery]:
    """Return the deliveries that the user may send again."""
    return _scoped(user, "operator")


def _scoped(user: Any, *roles: str) -> QuerySet[Delivery]:
    mine = in_scope(user, "execution__business", *roles) | in_scope(user, "alert__business", *roles)
    if roles_of(user) & set(roles) and not is_admin(user):
        mine |= Q(event=TEST_EVENT)  # of no business, and who sent it must see what became of it
    return Delivery.objects.filter(mine).select_related("channel", "alert", "execution")


def readable(user: Any, rows: QuerySet[R]) -> QuerySet[R]:
    """Return the rows of the configuration for whoever has any role, none for strangers."""
    return rows if roles_of(user) else rows.none()


def editable(user: Any, rows: QuerySet[R]) -> QuerySet[R]:
    """Return the rows of the configuration for admins, none for others."""
    return rows if is_admin(user) else rows.none()


def testable(user: Any, rows: QuerySet[Channel]) -> QuerySet[Channel]:
    """Return the channels by which the user may send a test message: it changes nothing, so operators may."""
    return rows if roles_of(user) & {"operator", "admin"} else rows.none()


def live_templates() -> QuerySet[Template]:
    """Return the templates that are not archived."""
    return Template.objects.filter(archived=False).order_by("name")


def live_channels() -> QuerySet[Channel]:
    """Return the channels that are not archived."""
    return Channel.objects.filter(archived=False)


def live_rules() -> QuerySet[NotificationRule]:
    """Return the notification rules that are not archived."""
    return NotificationRule.objects.filter(archived=False).prefetch_related("channels")


def is_group(name: str) -> bool:
    """Tell whether a rule may group by this: one of GROUPS, else a label, which Alertmanager's users name alone."""
    return name in GROUPS or _LABEL.fullmatch(name) is not None


def template_for(event: str, kind: str, chosen: Template | None) -> Template | None:
    """Return the rule's template where it fits, else the one written for this event and kind; None for the shipped text."""
    if chosen is not None and not chosen.archived and chosen.event in ("", event) and chosen.channel_kind in ("", kind):
        return chosen
    rows = Template.objects.filter(event=event, channel_kind__in=(kind, ""), archived=False)
    return rows.order_by("-channel_kind", "id").first()


def people(to: Iterable[Any], business: Business | None, host: Host | None, at: datetime) -> list[Person]:
    """Return the active people that a list names: usernames, `{"role": …}` and `{"duty": …}`.

    The roles are operator, approver, viewer and maintainer of the business, admin of the portal, and host, which is whoever is in
    charge of the alert's host.
    A duty list is read for the moment `at`.
    """
    names = [item for item in to if isinstance(item, str)]
    others = [item for item in to if isinstance(item, dict)]
    roles = {item.get("role") for item in others}
    names += [Duty.objects.on_duty(str(item["duty"]), at) for item in others if item.get("duty")]
    if not names and not others:
        return []
    wanted = Q(user__username__in=names)
    if business is not None:
        wanted |= Q(user__groups__name__in=roles & set(SCOPED_ROLES), businesses=business)
    if "admin" in roles:
        wanted |= Q(user__groups__name="admin") | Q(user__is_superuser=True)
    if business is not None and "maintainer" in roles:
        wanted |= Q(maintains=business)
    if host is not None and "host" in roles:
        wanted |= Q(hosts=host)
    return list(Person.objects.active().filter(wanted).select_related("user").distinct())


def people_called(names: Iterable[str]) -> list[Person]:
    """Return the active people of these usernames or WeCom accounts."""
    wanted = Q(user__username__in=names) | Q(wecom_userid__in=[name.casefold() for name in names])
    return list(Person.objects.active().filter(wanted).select_related("user"))


def addresses(channel: Channel, persons: Sequence[Person]) -> list[Address]:
    """Return where a message by this channel goes: to these people, or to those that its configuration names.

    A channel that reaches none of the people has an address without recipients; whoever asked for them says so in the delivery.
    Each group of a robot channel is an address of its own, so that each has an outcome of its own.
    """
    if channel.kind in BY_PERSON:
        return [
            Address(channel.kind, tuple(found for person in persons if (found := address_of(person, channel.kind))))
        ]
    userids = tuple(person.wecom_userid for person in persons if person.wecom_userid)
    if channel.kind != ChannelKind.WECOM_ROBOT:
        return [Address(channel.kind, mentions=userids)]
    names = [str(group.get("name", "")) for group in channel.config.get("groups") or []]
    robots = [Address(channel.kind, (name,), name, userids) for name in names]
    accounts = tuple(listed(channel.config.get("to_user")))  # one channel may serve groups and accounts at once
    return robots + ([Address(ChannelKind.WECOM_APP, accounts, "@")] if accounts else [])


def address_of(person: Person, kind: str) -> str:
    """Return what a kind of channel that reaches single people calls a person; "" for one whom it does not reach."""
    return person.user.email if kind == ChannelKind.EMAIL else person.wecom_userid


def listed(value: Any) -> list[str]:
    """Return a configured list of names, which may be written as one text with commas."""
    items = value.split(",") if isinstance(value, str) else value or []
    return [text for text in (str(item).strip() for item in items) if text]


def form_of(channel: Channel | None, kind: str) -> str:
    """Return the form in which the channel wants its messages."""
    wanted = str(channel.config.get("message") or "") if channel else ""
    if kind == ChannelKind.WECOM_ROBOT:
        return wanted or "markdown"
    if kind in (ChannelKind.WECOM_APP, ChannelKind.WECOM_CHAT):
        return wanted or "text"
    return "plain"


def receivers_of(channel: Channel) -> str:
    """Return in one line whom a channel's configuration names; no secrets."""
    config = channel.config
    names = [str(group.get("name", "")) for group in config.get("groups") or []]
    names += [name for key in ("to_user", "to_party", "to_tag", "to") for name in listed(config.get(key))]
    if channel.kind == ChannelKind.WECOM_CHAT:
        names.append(str(config.get("chat_id") or ""))
    if config.get("url"):
        names.append(urlsplit(str(config["url"])).hostname or "")
    return "、".join(names)


def reached(channel: Channel, persons: Sequence[Person] | None) -> str:
    """Return in one line who hears what goes by a channel to these people, or to its own (None), and who of them does not."""
    if persons is None:
        return receivers_of(channel)
    names = [person.name for person in persons]
    if channel.kind not in BY_PERSON:
        own = receivers_of(channel)
        return _("%(who)s（提醒 %(names)s）") % {"who": own, "names": "、".join(names)} if names else own
    lacking = "、".join(person.name for person in persons if not address_of(person, channel.kind))
    found = "、".join(person.name for person in persons if address_of(person, channel.kind)) or _("无人")
    what = _("邮箱") if channel.kind == ChannelKind.EMAIL else _("企业微信账号")
    return _("%(who)s（%(names)s没有%(what)s）") % {"who": found, "names": lacking, "what": what} if lacking else found


def receivers(row: Delivery) -> str:
    """Return in one line who gets a delivery."""
    if row.recipients:
        return "、".join(map(str, row.recipients))
    if row.to_nobody:
        return ""
    return receivers_of(row.channel) if row.channel else ""
