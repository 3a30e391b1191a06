"""What the pages and the rest of the portal read of the WeCom configuration."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, overload

from django.contrib.auth.models import User
from django.db import DatabaseError
from django.db.models import QuerySet
from prometheus_client.core import CounterMetricFamily, Metric

from approvals import selectors
from approvals.models import Approval
from approvals.services import posting
from fta.models import Incident, Person
from wechat.models import ApiCallCount, WecomApp

LISTED = 100


def active_app() -> WecomApp | None:
    """Return the application that the portal speaks through, or None."""
    return _in_use().first()


def applications() -> list[WecomApp]:
    """Return the applications in use, the default one first."""
    return list(_in_use())


def _in_use() -> QuerySet[WecomApp]:
    return WecomApp.objects.filter(archived=False).order_by("-is_default", "id")


def portal_origin() -> str:
    """Return the origin of 微信端地址, where links in messages begin; "" while it is not known."""
    try:
        app = _in_use().only("app_url").first()  # asked for each link: no secret is opened for it
    except DatabaseError:
        return ""
    return app.portal_origin if app else ""


def callback_secret() -> str:
    """Return what the callbacks of create_approve are signed with: the TOKEN that its callers have."""
    app = active_app()
    return app.api_token if app else ""


def api_calls() -> Iterator[Metric]:
    """Yield the calls of WeCom's API by the code of the answer, for /metrics (FTA_METRICS)."""
    calls = CounterMetricFamily(
        "fta_wecom_calls", "Calls of WeCom's API by code; none: no usable answer", labels=["api", "code"]
    )
    for api, code, count in ApiCallCount.objects.values_list("api", "code", "calls"):
        calls.add_metric([api, code], count)
    yield calls


def shown(approval: Approval, person: Person, before: datetime) -> bool:
    """Tell whether the question of an approval was sent to a person's WeCom before a moment."""
    sent = posting.asking(approval.pk).filter(kind="wecom_app", state="sent", sent_at__lt=before)
    userid = person.wecom_userid.casefold()
    return any(userid in (str(each).casefold() for each in to) for to in sent.values_list("recipients", flat=True))


@dataclass
class TodoGroup:
    """Approvals that belong together on the todo list: one storm, one incident, one business, or another system.

    `incident` is set when it has a page that this reader may open, where all of it is decided at once.
    """

    kind: str
    title: str
    approvals: list[Approval] = field(default_factory=list)
    incident: Incident | None = None


def grouped(approvals: Sequence[Approval], user: User) -> list[TodoGroup]:
    """Return the approvals by incident, then by business, then those of other systems; the soonest to expire first."""
    named = {approval.incident_id for approval in approvals if approval.incident_id}
    readable = Incident.objects.visible_to(user).in_bulk(named)
    groups: dict[tuple[int, int], TodoGroup] = {}
    for approval in sorted(approvals, key=lambda item: (item.expires_at, item.pk)):
        key, kind, title = _group_of(approval)
        group = groups.setdefault(key, TodoGroup(kind, title, incident=readable.get(approval.incident_id or 0)))
        group.approvals.append(approval)
    return [groups[key] for key in sorted(groups)]


def _group_of(approval: Approval) -> tuple[tuple[int, int], str, str]:
    business = approval.execution.business if approval.execution else None
    if approval.incident:
        kind = "storm" if approval.incident.function == posting.STORM else "incident"
        return (0, approval.incident.pk), kind, str(approval.incident)
    if approval.execution:
        return (1, business.pk if business else 0), "business", business.name if business else ""
    return (2, 0), "external", ""


def todo(user: User, chosen: Mapping[str, Any]) -> list[Approval]:
    """Return what waits for this user and fits the filters, at most LISTED of storms and as many others.

    So a storm, however large, hides nothing else.
    """
    rows = selectors.filtered(selectors.pending_for(user), chosen)
    of_storms = rows.filter(incident__function=posting.STORM)
    return [*of_storms[:LISTED], *rows.exclude(incident__function=posting.STORM)[:LISTED]]


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
