"""What became of the gateway's calls, and how each client fares: read for administrators."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from notify.models import Delivery
from notify.selectors import editable, visible_deliveries
from wechat.models import GatewayCall, GatewayClient

_RECENT = timedelta(hours=1)
_REFUSED = ~Q(errcode=0)

_Words = tuple[str | Promise, str | Promise]
# What a refusal means and what to do at the tool: what `wechat.errors` says is about the portal's own application.
_REFUSALS: dict[int, _Words] = {
    40008: (_("消息类型不支持"), _("工具换成 text、markdown、textcard 或 news。")),
    41011: (_("没有带 AgentId"), _("在工具里填上这个客户端的 AgentId。")),
    44004: (_("消息内容为空"), _("检查工具的消息模板：它没有产生内容。")),
    45002: (_("消息太长"), _("缩短工具的消息模板。")),
    45008: (_("图文消息的条数不对"), _("一次 1 至 8 条，在工具里增减。")),
    45009: (
        _("超过每分钟上限"),
        _("调高这个客户端的上限，或让工具合并消息（Alertmanager 的 group_by、group_interval）。"),
    ),
    47001: (_("请求不是 JSON 对象"), _("核对工具的请求格式。")),
    82001: (
        _("没有接收人"),
        _("在工具里填 touser、toparty 或 totag（Alertmanager 是 to_user、to_party、to_tag）。"),
    ),
    301002: (_("AgentId 不是这个客户端的"), _("把工具里的 AgentId 改成这个客户端的。")),
}


@dataclass(frozen=True)
class ToldCall:
    """A call and what came of it: the delivery that it became, or why it was refused."""

    call: GatewayCall
    delivery: Delivery | None = None

    @property
    def meaning(self) -> str | Promise:
        """Return what its code means; for one without words of its own, what the tool was answered."""
        return _REFUSALS.get(self.call.errcode, (self.call.errmsg, ""))[0]

    @property
    def remedy(self) -> str | Promise:
        """Return what to do about its code."""
        return _REFUSALS.get(self.call.errcode, ("", ""))[1]


@dataclass(frozen=True)
class Health:
    """How a client fares: its calls of the last hour, those of them that were refused, and the last refusal of all."""

    client: GatewayClient
    calls: int
    refused: int
    last_refusal: ToldCall | None


def clients(user: Any) -> QuerySet[GatewayClient]:
    """Return the clients in use for admins, none for others."""
    return editable(user, GatewayClient.objects.filter(archived=False).order_by("name"))


def calls(user: Any) -> QuerySet[GatewayCall]:
    """Return the calls of all clients, archived ones too, for admins, none for others."""
    return editable(user, GatewayCall.objects.select_related("client"))


def refused(rows: QuerySet[GatewayCall]) -> QuerySet[GatewayCall]:
    """Return those of the calls that were refused."""
    return rows.filter(_REFUSED)


def told(rows: Sequence[GatewayCall], user: Any) -> list[ToldCall]:
    """Return the calls with their deliveries; one that has been cleared away is None."""
    refs = [row.delivery_ref for row in rows if row.delivery_ref]
    deliveries = visible_deliveries(user).in_bulk(refs)
    return [ToldCall(row, deliveries.get(row.delivery_ref or 0)) for row in rows]


def health_of(rows: Iterable[GatewayClient], now: datetime) -> list[Health]:
    """Return how these clients fare."""
    known = {row.pk: row for row in rows}
    # The clients are named, so that the index of client and time serves.
    recent = GatewayCall.objects.filter(client__in=known, at__gt=now - _RECENT)
    counted = recent.values("client").annotate(calls=Count("pk"), refused=Count("pk", filter=_REFUSED))
    counts = {row["client"]: (row["calls"], row["refused"]) for row in counted}
    last = _last_refusals(known)
    return [Health(row, *counts.get(pk, (0, 0)), last.get(pk)) for pk, row in known.items()]


def _last_refusals(known: Iterable[int]) -> dict[int, ToldCall]:
    newest = GatewayCall.objects.filter(_REFUSED, client=OuterRef("pk")).order_by("-pk").values("pk")[:1]
    pks = GatewayClient.objects.filter(pk__in=known).values_list(Subquery(newest), flat=True)
    found = GatewayCall.objects.filter(pk__in=[pk for pk in pks if pk])
    return {row.client_id: ToldCall(row) for row in found}
