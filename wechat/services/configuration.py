"""Change the WeCom configuration: which fields, which secrets, who the approval admins are; audited without the secrets."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from approvals.models import ApprovalAdmin
from fta import audit
from notify.models import Channel
from wechat.models import WecomApp
from wechat.selectors import person_of_userid

PLAIN = ("corp_id", "agent_id", "api_url", "app_url", "static_url", "verify_files")
SECRETS = ("secret", "token", "encoding_aes_key", "api_token")
_FOR_CALLBACKS = {"corp_id", "agent_id"}


def admin_userids() -> list[str]:
    """Return the WeCom userids of the approval admins."""
    rows = ApprovalAdmin.objects.exclude(person__wecom_userid="").order_by("pk")
    return list(rows.values_list("person__wecom_userid", flat=True))


OVERLAP = timedelta(hours=24)  # how long what WeCom has may differ from what was saved here
SETTLED = timedelta(minutes=10)  # WeCom's own repeats come within seconds; no message older than this is taken


def rotated(app: WecomApp, values: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return what else to write when these values replace the callback secrets: the old ones stay good for a while.

    They are what WeCom has until somebody saves the new ones there; a pair that WeCom never verified is not kept. Cleared
    secrets end at once.
    """
    before, after = (
        (app.token, app.encoding_aes_key),
        tuple(values.get(name, getattr(app, name)) for name in ("token", "encoding_aes_key")),
    )
    if before == after:
        return {}
    found: dict[str, Any] = {"callback_verified_at": None}
    if not all(after):
        found |= {"previous_token": "", "previous_aes_key": "", "previous_until": None}
    elif all(before) and app.callback_verified_at:
        found |= {"previous_token": before[0], "previous_aes_key": before[1], "previous_until": now + OVERLAP}
    return found


def verified(app: WecomApp, now: datetime) -> None:
    """Note that WeCom has the present secrets: what it made with the old ones is here within minutes."""
    mine = WecomApp.objects.filter(pk=app.pk)
    mine.update(callback_verified_at=now)
    mine.filter(previous_until__gt=now + SETTLED).update(previous_until=now + SETTLED)


@transaction.atomic
def save(
    values: Mapping[str, Any],
    admins: Sequence[str] | None,
    actor: str,
    now: datetime,
    app: WecomApp | None = None,
) -> WecomApp:
    """Write the given fields of an application, the default one unless told otherwise, and the list of approval admins.

    A field that is absent stays. A changed callback secret voids the verification of the callback.
    """
    app = _locked(app)
    changed = {name: value for name, value in values.items() if getattr(app, name) != value}
    for name, value in {**changed, **rotated(app, changed, now)}.items():
        setattr(app, name, value)
    if changed.keys() & _FOR_CALLBACKS:
        app.callback_verified_at = None
    app.archived = False
    app.save()
    told = {name: changed[name] for name in changed if name in PLAIN}
    secrets = sorted(name for name in changed if name in SECRETS)
    if changed:
        audit.record(actor, "wechat.configure", app, now, changed=told, secrets_changed=secrets)
    if admins is not None:
        _set_admins(admins, actor, now)
    return app


def _locked(app: WecomApp | None) -> WecomApp:
    if app is not None:
        return WecomApp.objects.select_for_update().get(pk=app.pk) if app.pk else app
    WecomApp.objects.get_or_create(is_default=True, defaults={"name": "default"})
    return WecomApp.objects.select_for_update().get(is_default=True)


@transaction.atomic
def make_default(app: WecomApp, actor: str, now: datetime) -> None:
    """Let the portal speak through this application: its cards, its sign-in, what no channel says otherwise."""
    WecomApp.objects.filter(is_default=True).update(is_default=False)
    WecomApp.objects.filter(pk=app.pk).update(is_default=True)
    audit.record(actor, "wechat.default_app", app, now, name=app.name)


class StillUsed(Exception):
    """Channels send through the application; the text names them."""


@transaction.atomic
def archive(app: WecomApp, actor: str, now: datetime) -> bool:
    """Take an application out of use; the default one stays, and False is returned. Raises StillUsed."""
    channels = Channel.objects.filter(archived=False, kind__startswith="wecom")  # what they are set to is sealed
    if users := [channel.name for channel in channels if channel.config.get("app") == app.name]:
        raise StillUsed("、".join(users))
    if not WecomApp.objects.filter(pk=app.pk, is_default=False).update(archived=True):
        return False
    audit.record(actor, "wechat.archive_app", app, now, name=app.name)
    return True


def _set_admins(userids: Sequence[str], actor: str, now: datetime) -> None:
    before = admin_userids()
    wanted = list(dict.fromkeys(userid.strip().casefold() for userid in userids))
    if set(before) == set(wanted):
        return
    people = [person_of_userid(userid, create=True) for userid in wanted]
    ApprovalAdmin.objects.exclude(person__in=people).delete()
    for person in people:
        ApprovalAdmin.objects.get_or_create(person=person)
    audit.record(actor, "wechat.approval_admins", ("wechat.wecomapp", "default"), now, before=before, after=wanted)
