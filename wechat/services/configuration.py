"""Change the WeCom configuration: which fields, which secrets, who the approval admins are; audited without the secrets."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from approvals.models import ApprovalAdmin
from fta import audit
from wechat.models import WecomApp
from wechat.selectors import person_of_userid

PLAIN = ("corp_id", "agent_id", "api_url", "app_url", "static_url", "verify_files")
SECRETS = ("secret", "token", "encoding_aes_key", "api_token")
_FOR_CALLBACKS = {"corp_id", "token", "encoding_aes_key", "agent_id"}


def admin_userids() -> list[str]:
    """Return the WeCom userids of the approval admins."""
    rows = ApprovalAdmin.objects.exclude(person__wecom_userid="").order_by("pk")
    return list(rows.values_list("person__wecom_userid", flat=True))


@transaction.atomic
def save(values: Mapping[str, Any], admins: Sequence[str] | None, actor: str, now: datetime) -> WecomApp:
    """Write the given fields of the default application and the list of approval admins; return the application.

    A field that is absent stays. A changed callback secret voids the verification of the callback.
    """
    WecomApp.objects.get_or_create(is_default=True, defaults={"name": "default"})
    app = WecomApp.objects.select_for_update().get(is_default=True)
    changed = {name: value for name, value in values.items() if getattr(app, name) != value}
    for name, value in changed.items():
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
