"""What the pages show of a backtest."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from fta.backtest import InvalidDraft, start
from fta.backtest.happened import BELOW, DECISIONS, HELD, RUN, SKIPPED, UNMATCHED, WAITING
from fta.models import BacktestRun, Business, ConvergenceRule, Execution, Rule
from fta.models.scope import in_scope, is_admin
from fta.web.filters import READERS

DAYS = (1, 7, 30)
_DEFAULT_DAYS = 7


def begin(
    request: HttpRequest,
    now: datetime,
    *,
    rule: dict[str, Any] | None = None,
    convergence: dict[str, Any] | None = None,
) -> BacktestRun:
    """Start a backtest of a draft over the last ?days. Raises InvalidDraft."""
    user: Any = request.user
    mine = Business.objects.filter(in_scope(user, "pk", *READERS)).values_list("pk", flat=True)
    since = now - timedelta(days=days_of(request))
    return start(
        user,
        since,
        now,
        now,
        rules=[rule] if rule else [],
        convergence_rules=[convergence] if convergence else [],
        businesses=None if is_admin(user) else list(mine),
    )


def show_refusal(form: forms.Form, error: InvalidDraft) -> None:
    """Tell on the form why there is no backtest of it."""
    for _path, message in error.problems:
        form.add_error(None, _("不能回测：%(why)s") % {"why": message})


def panel(request: HttpRequest) -> dict[str, Any]:
    """Return what the panel offers before a backtest was begun."""
    return {"offered": DAYS, "days": days_of(request)}


def days_of(request: HttpRequest) -> int:
    """Return how many days the request asks about."""
    text = request.POST.get("replay_days", "")
    return int(text) if text in map(str, DAYS) else _DEFAULT_DAYS


def rule_draft(row: Rule, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the form's rule as a draft that replaces the stored one."""
    names = ("name", "priority", "enabled", "match", "mode", "timeout", "stale_after")
    package = values["package"].key if values["package"] else None
    return {**{name: values[name] for name in names}, "package": package, "id": row.pk}


def convergence_draft(row: ConvergenceRule, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the form's convergence rule as a draft that replaces the stored one."""
    names = ("name", "alert_types", "window", "count", "dimensions", "function", "priority", "enabled")
    own = {"business_id": values["business"].pk if values["business"] else None}
    blocked = [business.pk for business in values["blocked_by"]]
    return {**{name: values[name] for name in names}, **own, "blocked_by": blocked, "id": row.pk}


def context_of(run: BacktestRun) -> dict[str, Any]:
    """Return what the panel shows."""
    report, drafts = run.report, [*run.request["rules"], *run.request["convergence_rules"]]
    running = run.state in (run.State.WAITING, run.State.RUNNING)
    names = "、".join(draft["name"] for draft in drafts if draft.get("name"))
    shown: dict[str, Any] = {"backtest": run, "running": running, "name": names}
    if report:
        shown |= {"figures": _figures(report), "spots": [_spot(spot) for spot in report["spots"]]}
    return shown | {"since": parse_datetime(run.request["from"]), "until": parse_datetime(run.request["to"])}


def _figures(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    total = report["alerts"]
    found = []
    for label, names in (
        (_("接入"), None),
        (_("直接执行"), (RUN,)),
        (_("收敛掉"), (SKIPPED, BELOW, WAITING)),
        (_("被拦下"), (HELD,)),
        (_("异常防御事件"), ("defences",)),
        (_("审批请求"), ("asks",)),
        (_("其中夜间（0–7 点）"), ("night_asks",)),
        (_("消息（每人）"), ("messages",)),
    ):
        today, draft = (
            total - report[which][UNMATCHED] if names is None else sum(report[which][name] for name in names)
            for which in ("today", "draft")
        )
        found.append({"label": label, "value": draft, "note": _compared(today, draft)})
    return found


def _compared(today: int, draft: int) -> str:
    if today == draft:
        return _("与现行相同")
    said = _("现行 %(n)d，多 %(more)d") if draft > today else _("现行 %(n)d，少 %(more)d")
    return said % {"n": today, "more": abs(draft - today)}


def _spot(spot: Mapping[str, Any]) -> dict[str, Any]:
    states = {str(state): str(label) for state, label in Execution.State.choices}
    words = {name: str(word) for name, word in DECISIONS.items()}
    return {
        "at": parse_datetime(spot["at"]),
        "title": f"{spot['business']} {spot['alert_type']}".strip(),
        "alert": spot["alert"],
        "count": spot["count"],
        "today": _counted(spot["today"], words),
        "draft": _counted(spot["draft"], words),
        "real": _counted(spot["real"], states | words),
    }


def _counted(counts: Mapping[str, int], words: Mapping[str, str]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return "，".join(f"{words.get(name, name)} {n}" for name, n in ordered)
