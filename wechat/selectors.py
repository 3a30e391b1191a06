"""What the pages and the rest of the portal read of the WeCom configuration."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, overload

from django.contrib.auth.models import User
from django.db import DatabaseError

from approvals.models import Approval
from fta.models import Person
from wechat.models import WecomApp


def active_app() -> WecomApp | None:
    """Return the application that the portal speaks through, or None."""
    return WecomApp.objects.filter(archived=False).order_by("-is_default", "id").first()


def portal_origin() -> str:
    """Return the origin of 微信端地址, where links in messages begin; "" while it is not known."""
    try:
        app = active_app()
    except DatabaseError:
        return ""
    return app.portal_origin if app else ""


def callback_secret() -> str:
    """Return what the callbacks of create_approve are signed with: the TOKEN that its callers have."""
    app = active_app()
    return app.api_token if app else ""


@dataclass
class TodoGroup:
    """Approvals that belong together on the todo list: one storm, one business, or another system."""

    kind: str
    title: str
    approvals: list[Approval] = field(default_factory=list)


def grouped(approvals: Sequence[Approval]) -> list[TodoGroup]:
    """Return the approvals by incident, then by business, then those of other systems; the soonest to expire first."""
    groups: dict[tuple[int, int], TodoGroup] = {}
    for approval in sorted(approvals, key=lambda item: (item.expires_at, item.pk)):
        key, kind, title = _group_of(approval)
        groups.setdefault(key, TodoGroup(kind, title)).approvals.append(approval)
    return [groups[key] for key in sorted(groups)]


def _group_of(approval: Approval) -> tuple[tuple[int, int], str, str]:
    business = approval.execution.business if approval.execution else None
    if approval.incident:
        return (0, approval.incident.pk), "incident", str(approval.incident)
    if approval.execution:
        return (1, business.pk if business else 0), "business", business.name if business else ""
    return (2, 0), "external", ""


@overload
def person_of_userid(userid: str, create: Literal[True]) -> Person: ...


@overload
def person_of_userid(userid: str, create: Literal[False] = False) -> Person | None: ...


def person_of_userid(userid: str, create: bool = False) -> Person | None:
    """Return the person with this WeCom account, active or not; None for nobody.

    With `create`, one whom the portal does not know yet becomes a person without password, role or business.
    """
    userid = userid.strip().casefold()
    person = Person.objects.filter(wecom_userid=userid).first() if userid else None
    if person is not None or not create:
        return person
    user = User.objects.filter(username__iexact=userid).first() or User.objects.create_user(userid)
    person, created = Person.objects.get_or_create(user=user, defaults={"wecom_userid": userid})
    if not created and not person.wecom_userid:
        person.wecom_userid = userid
        person.save(update_fields=["wecom_userid"])
    return person
