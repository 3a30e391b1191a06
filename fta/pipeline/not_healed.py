"""The one message of a spell of flow control: what was not healed, by type, business and host."""

from datetime import datetime

from django.conf import settings
from django.db.models import Count, QuerySet
from django.utils.translation import gettext as _

from fta.models import Execution, Overflow
from fta.templatetags.moments import moment_text

_SHOWN = 5


def not_healed(spell: Overflow, rows: QuerySet[Execution], now: datetime) -> str:
    """Return what people are told of a spell; `rows` are the executions that it left unhealed."""
    words = {
        "from": moment_text(spell.began_at, now),
        "to": moment_text(spell.last_at, now),
        "most": settings.FTA_MAX_EXECUTIONS_PER_MINUTE,
        "minutes": settings.FTA_STUCK_MINUTES,
    }
    if spell.stage == Overflow.Stage.RATE:
        head = _("限流：%(from)s 至 %(to)s 每分钟超过 %(most)s 条执行") % words
    else:
        head = (
            _("限流：%(from)s 起有执行待了 %(minutes)s 分钟以上还没有开始，请检查引擎是否在跑、是否被长步骤占满")
            % words
        )
    if not spell.count:
        return _("%(head)s；暂无因此未自愈的。") % {"head": head}
    return _(
        "%(head)s；%(n)d 条仅记录、未自愈。类型：%(types)s。业务：%(businesses)s。主机：%(hosts)s。执行 #%(first)s 至 #%(last)s。"
    ) % {
        "head": head,
        "n": spell.count,
        "types": _counted(rows, "alert_type"),
        "businesses": _counted(rows, "business__name"),
        "hosts": _counted(rows, "host__ip"),
        "first": spell.first_execution,
        "last": spell.last_execution,
    }


def _counted(rows: QuerySet[Execution], field: str) -> str:
    found = list(rows.order_by().values_list(field).annotate(n=Count("pk")).order_by("-n", field))
    none = _("（无）")
    text = "、".join(f"{value or none} {n}" for value, n in found[:_SHOWN])
    return _("%(text)s 等 %(n)d 个") % {"text": text, "n": len(found)} if len(found) > _SHOWN else text
