"""Change channels, rules and templates: guard, write, audit, in one transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext as _

from fta.audit import record
from fta.config.document import Use, users_of
from fta.lib.types import User
from fta.models.engine import ConfigVersion
from notify.models import Channel, NotificationRule, Template

_BY_ROW = (
    "channel",
    "notification rule",
)  # these go on pointing at a channel whatever its name; all others know the name
_SECTIONS = {Channel: "channels", NotificationRule: "notification_rules", Template: "templates"}
M = TypeVar("M", Channel, NotificationRule, Template)


class NameTaken(Exception):
    """Another one has this name, perhaps an archived one."""


class InUse(Exception):
    """Something still names it, so it can neither be archived nor get another name."""

    def __init__(self, users: Sequence[Use]) -> None:
        self.reason = _("还在使用：%(names)s。先从那里去掉。") % {"names": "、".join(use.words for use in users)}
        super().__init__(self.reason)


@transaction.atomic
def save_channel(row: Channel | None, values: Mapping[str, Any], user: User | AnonymousUser, now: datetime) -> Channel:
    """Create or change a channel; the audit tells which parts changed, never the secrets in them.

    Raises NameTaken, and InUse for another name while something knows it by this one.
    """
    if row is not None and values.get("name", row.name) != row.name:
        users = [use for use in users_of(_SECTIONS[Channel], row.name) if use.kind not in _BY_ROW]
        if users:
            raise InUse(users)
    return _save(Channel, row, values, user, now)


@transaction.atomic
def acted(row: Channel, action: str, config: Mapping[str, Any], user: User | AnonymousUser, now: datetime) -> None:
    """Keep the configuration that an action of the channel's kind left, and audit that it was done."""
    record(user.get_username(), f"channel.{action}", row, now, name=row.name)
    _save(Channel, row, {"config": dict(config)}, user, now)


def save_template(
    row: Template | None, values: Mapping[str, Any], user: User | AnonymousUser, now: datetime
) -> Template:
    """Create or change a template."""
    return _save(Template, row, values, user, now)


@transaction.atomic
def save_rule(
    row: NotificationRule | None,
    values: Mapping[str, Any],
    channels: Sequence[Channel],
    user: User | AnonymousUser,
    now: datetime,
) -> NotificationRule:
    """Create or change a notification rule with its channels."""
    saved = _save(NotificationRule, row, values, user, now)
    if {channel.pk for channel in saved.channels.all()} != {channel.pk for channel in channels}:
        saved.channels.set(channels)
        record(user.get_username(), "notificationrule.channels", saved, now, channels=[c.name for c in channels])
    return saved


@transaction.atomic
def archive(row: Channel | NotificationRule | Template, user: User | AnonymousUser, now: datetime) -> None:
    """Take one out of use; deliveries that stand on it keep it. Raises InUse."""
    if users := users_of(_SECTIONS[type(row)], row.name):
        raise InUse(users)
    type(row)._default_manager.filter(pk=row.pk).update(archived=True)
    record(user.get_username(), f"{row._meta.model_name}.archive", row, now, name=str(row))
    ConfigVersion.bump("notification_rules")


@transaction.atomic
def _save(model: type[M], row: M | None, values: Mapping[str, Any], user: User | AnonymousUser, now: datetime) -> M:
    made = row is None
    saved: M = row if row is not None else model()
    changed = [name for name, value in values.items() if made or getattr(saved, name) != value]
    for name in changed:
        setattr(saved, name, values[name])
    _write(saved)
    if changed:
        record(
            user.get_username(), f"{model._meta.model_name}.{'add' if made else 'change'}", saved, now, changed=changed
        )
        ConfigVersion.bump("channels" if isinstance(saved, Channel) else "notification_rules")
    return saved


def _write(row: models.Model) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise NameTaken(str(row)) from error
