"""What approvals show: what waits for whom, and the evidence that somebody decides by."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from prometheus_client.core import CounterMetricFamily, Metric

from approvals.models import Approval, ApprovalQuerySet, Decision, Policy
from fta.healing import inner
from fta.healing.nodes import Node, downstream
from fta.healing.variables import names_in, render, text_of
from fta.lib.secrets import redact
from fta.models import Alert, Execution, Host, Incident, Package
from fta.templatetags.moments import moment_text
from notify.messages import clean

LAST = 5
_RUN_LENGTH = 2000  # characters of one node's script that a page shows
_QUIET_TYPES = frozenset({"approval", "sleep", "mark_almost_success", "package"})
_RELATED = (
    "execution__alert__source",
    "execution__host__business",
    "execution__package",
    "execution__business",
    "execution__version",
    "incident",
    "policy",
    "step",
    "decided_by",
    "requested_by",
)


# What a list shows of each approval. Plans, parameters and contexts are large, and read with the evidence of one.
_LISTED = (
    *(
        "id",
        "code",
        "first_code",
        "kind",
        "state",
        "message",
        "stage",
        "expires_at",
        "decided_at",
        "plan_sha256",
        "evidence",
    ),
    *("execution__host__ip", "execution__host__name", "execution__host__module"),
    *("execution__alert__title", "execution__alert__alert_type"),
    *("execution__package__name", "execution__package__risk"),
    *("execution__business__name", "step__node", "incident__title", "incident__function", "incident__execution_count"),
    *("decided_by__username", "decided_by__first_name", "decided_by__last_name"),
)
_LISTED_RELATED = (
    *("execution__host", "execution__alert", "execution__package", "execution__business"),
    *("step", "incident", "decided_by"),
)


def decisions() -> Iterator[Metric]:
    """Yield the decisions by answer and by the way that they came, for /metrics (FTA_METRICS)."""
    found = CounterMetricFamily("fta_decisions", "Decisions by answer and channel", labels=["answer", "channel"])
    for answer, channel, count in Decision.objects.values_list("answer", "channel").annotate(Count("pk")).order_by():
        found.add_metric([answer, channel], count)
    yield found


def with_related(rows: ApprovalQuerySet) -> ApprovalQuerySet:
    """Return the rows with everything that their evidence reads."""
    return rows.select_related(*_RELATED)


def listed(rows: ApprovalQuerySet) -> ApprovalQuerySet:
    """Return the rows with what lists read; all else of a row is read when it is asked for."""
    return rows.select_related(*_LISTED_RELATED).only(*_LISTED)


def pending_for(user: User) -> ApprovalQuerySet:
    """Return the approvals that wait for this user's answer, the first to expire first."""
    return listed(Approval.objects.decidable_by(user)).order_by("expires_at", "pk")


def find(user: User, code: str) -> Approval | None:
    """Return the approval of this code that the user may read."""
    rows = with_related(Approval.objects.visible_to(user))
    return _of_code(rows, code).order_by("-id").first()


def by_code(code: str) -> Approval | None:
    """Return the approval of this code for `decide` to judge, so that a stranger's answer is refused and audited.

    Where a code was written in another case than it has, it is the one that waits, else the last.
    """
    rows = _of_code(Approval.objects.all(), code)
    return rows.filter(state=Approval.State.PENDING).first() or rows.order_by("-id").first()


def _of_code(rows: ApprovalQuerySet, code: str) -> ApprovalQuerySet:
    """Return the approval of exactly this code; where there is none, those that differ from it in case alone."""
    exact = rows.filter(code=code.strip())
    return exact if exact.exists() else rows.filter(code__iexact=code.strip())


def evidence(approval: Approval) -> dict[str, Any]:
    """Return what a person needs to say yes or no, as plain values.

    Keys: title, message, code, alert, host, package, risk, runs, hosts, host_count, last_five, last_five_summary, incident,
    reasons, changes, on_silence, asked, plan_sha256, short_hash, same_plan, history. What an approval of another system lacks is
    None or empty.
    """
    execution = approval.execution
    package = execution.package if execution else None
    five = last_five(execution) if execution else []
    hosts = list(execution.plan.get("hosts", [])) if execution else []
    asked = approval.asked.filter(stage=approval.stage).select_related("user").order_by("pk")
    return {
        "title": _title(approval, package),
        "message": approval.message,
        "code": approval.code,
        "kind": approval.kind,
        "alert": _alert(execution.alert) if execution and execution.alert else None,
        "host": _host(execution.host) if execution and execution.host else None,
        "package": _package(execution, package) if execution and package else None,
        "risk": str(Package.Risk(_risk(execution, package)).label) if execution and package else "",
        "runs": _runs(approval, execution) if execution else [],
        "hosts": hosts,
        "host_count": len(hosts) or (1 if execution and execution.host_id else 0),
        "last_five": five,
        "last_five_summary": _summary(five) if execution and package and execution.host else "",
        "incident": _incident(approval.incident) if approval.incident else None,
        "reasons": list(approval.evidence.get("reasons", [])),
        "changes": list(approval.evidence.get("changes", [])),
        "on_silence": on_silence(approval),
        "asked": [seat.user.get_full_name() or seat.user.get_username() for seat in asked],
        "plan_sha256": approval.plan_sha256,
        "short_hash": approval.plan_sha256[:8],
        "same_plan": execution is None or execution.plan_sha256 == approval.plan_sha256,
        "history": _history(approval),
    }


def last_five(execution: Execution) -> list[dict[str, Any]]:
    """Return the last five ended runs of the execution's package on its host, the oldest first."""
    if execution.package_id is None or execution.host_id is None:
        return []
    acted = (
        Execution.State.SUCCEEDED,
        Execution.State.ALMOST,
        Execution.State.FAILED,
        Execution.State.UNKNOWN,
        Execution.State.CANCELLED,
    )
    rows = Execution.objects.filter(package_id=execution.package_id, host_id=execution.host_id, state__in=acted)
    found = rows.exclude(pk=execution.pk).order_by("-pk").values("pk", "state", "healed", "ended_at")[:LAST]
    return [{"id": row["pk"], **{k: row[k] for k in ("state", "healed", "ended_at")}} for row in found][::-1]


def on_silence(approval: Approval) -> str:
    """Say what happens when nobody answers."""
    now = timezone.now()
    expires = moment_text(approval.expires_at, now)
    parts = []
    if approval.remind_at and approval.state == Approval.State.PENDING:
        parts.append(_("%(moment)s 再提醒一次") % {"moment": moment_text(approval.remind_at, now)})
    if approval.policy and approval.policy.on_expiry == Policy.OnExpiry.ESCALATE and not approval.escalated:
        parts.append(_("%(moment)s 升级给其他人") % {"moment": expires})
    else:
        parts.append(_("%(moment)s 过期，视为驳回，不执行") % {"moment": expires})
    return "；".join(parts)


def last_decided(user: User) -> Approval | None:
    """Return what was decided last, for an empty list to name."""
    return Approval.objects.visible_to(user).exclude(decided_by=None).order_by("-decided_at").first()


def filtered(rows: ApprovalQuerySet, chosen: Mapping[str, Any]) -> ApprovalQuerySet:
    """Return the rows that fit the list's filters."""
    fields = {
        "business": "execution__business",
        "package": "execution__package",
        "risk": "execution__package__risk",
        "kind": "kind",
    }
    return rows.filter(**{fields[name]: value for name, value in chosen.items() if value and name in fields})


def tab(user: User, name: str) -> ApprovalQuerySet:
    """Return one tab of the list: mine, pending, decided (by the user) or ended."""
    visible = listed(Approval.objects.visible_to(user))
    if name == "pending":
        return visible.filter(state=Approval.State.PENDING).order_by("expires_at", "pk")
    if name == "decided":
        return visible.filter(decisions__user=user).distinct().order_by("-pk")
    if name == "ended":
        return visible.exclude(state=Approval.State.PENDING).order_by("-pk")
    return pending_for(user)


def choices(user: User) -> tuple[QuerySet[Any], QuerySet[Any]]:
    """Return (id, name) of the businesses and of the packages that the user's approvals are about."""
    visible = Approval.objects.visible_to(user).order_by()
    business = visible.exclude(execution__business=None).values_list("execution__business", "execution__business__name")
    package = visible.exclude(execution__package=None).values_list("execution__package", "execution__package__name")
    return business.distinct(), package.distinct()


def _title(approval: Approval, package: Package | None) -> str:
    if approval.kind == Approval.Kind.GATE and package:
        return _("执行前审批：%(name)s") % {"name": package.name}
    return approval.message


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "id": alert.pk,
        "type": alert.alert_type,
        "severity": alert.severity,
        "title": clean(alert.title, "", ""),
        "content": clean(alert.content, "", ""),
        "target": alert.target,
        "source": alert.source.name,
        "starts_at": alert.starts_at or alert.received_at,
        "resolved_at": alert.resolved_at,
    }


def _host(host: Host) -> dict[str, Any]:
    people = host.operators.select_related("user")
    return {
        "ip": host.ip,
        "name": host.name,
        "business": host.business.name if host.business else "",
        "set": host.set_name,
        "module": host.module,
        "operators": [person.name for person in people],
    }


def _package(execution: Execution, package: Package) -> dict[str, Any]:
    return {
        "key": package.key,
        "name": package.name,
        "version": execution.version.number if execution.version else None,
        "risk": _risk(execution, package),
        "description": package.description,
    }


def _risk(execution: Execution, package: Package) -> str:
    """Return the risk of the plan, which is that of the riskiest package in it."""
    return str(execution.plan.get("package", {}).get("risk") or package.risk)


def _incident(incident: Incident) -> dict[str, Any]:
    return {"id": incident.pk, "title": str(incident), "count": incident.execution_count, "function": incident.function}


def _runs(approval: Approval, execution: Execution) -> list[dict[str, Any]]:
    """Return what would run, in words and rendered, from the frozen plan; of a node approval what follows that node."""
    nodes = [node for node in execution.plan.get("nodes", []) if isinstance(node, dict)]
    wanted = _after(approval.step.node, nodes) if approval.step else {node.get("id") for node in nodes}
    values = execution.plan.get("variables", {})
    swapped = set().union(*(_reached(node["id"], nodes) for node in nodes if node.get("type") == "swap_host"))
    spare = {name: _("（备机）") for name in ("ip", "host.name", "set", "module")} | {"ip_bak": values.get("ip", "")}
    found = [node for node in nodes if node.get("id") in wanted and node.get("type") not in _QUIET_TYPES]
    foreseen = execution.plan.get("foreseen", {})
    runs = []
    for node in found:
        base = {**values, **spare} if node["id"] in swapped else values
        seen, _problems = inner.values_in(execution.plan, node.get("inside") or 0, base, {})
        runs.append(_run(node, seen, foreseen.get(str(node["id"]), {})))
    return runs


def _after(start: int, nodes: list[dict[str, Any]]) -> set[int]:
    """Return the ids of the nodes that a yes at `start` leads to."""
    edges = next((node.get("next") or {} for node in nodes if node.get("id") == start), {})
    first = [*edges.get("success", []), *edges.get("always", [])]
    return set(first).union(*(_reached(node, nodes) for node in first))


def _reached(start: int, nodes: list[dict[str, Any]]) -> set[int]:
    return downstream([Node.of(node) for node in nodes], start)


def _run(node: dict[str, Any], values: Mapping[str, str], foreseen: Mapping[str, Any]) -> dict[str, Any]:
    given = node.get("params") or {}
    later = {
        name: f"${{{name}}}" for name in names_in(given) if name.startswith("node.")
    }  # known once that node has run
    params = render(given, {**values, **later})
    params = params if isinstance(params, dict) else {}
    name = str(node.get("name") or node.get("type"))
    return {
        "node": node.get("id"),
        "type": node.get("type"),
        "title": clean(name, "", ""),
        "policy": node.get("policy", ""),
        "text": redact(_words(str(node.get("type")), params | dict(foreseen)))[:_RUN_LENGTH],
    }


def _words(kind: str, params: dict[str, Any]) -> str:
    if kind == "script":
        given = params.get("arguments")
        arguments = given if isinstance(given, dict) else {}
        head = [f"{name}={value}" for name, value in arguments.items()]
        return "\n".join([*head, str(params.get("script", "")).strip()])
    if kind == "http":
        return "\n".join(filter(None, [f"{params.get('method', 'GET')} {params.get('url', '')}", _body(params)]))
    return "\n".join(f"{key}: {_value(value)}" for key, value in params.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return str(value["ip"]) if "ip" in value else "，".join(f"{key}={_value(each)}" for key, each in value.items())
    return "、".join(_value(each) for each in value) if isinstance(value, list) else text_of(value)


def _body(params: dict[str, Any]) -> str:
    body = params.get("body") or params.get("json") or ""
    if isinstance(body, dict):
        return "\n".join(f"{key}: {value}" for key, value in body.items())
    return str(body)


_JUDGED = (Execution.Healed.HEALED, Execution.Healed.NOT_HEALED, Execution.Healed.RELAPSED)


def _summary(five: list[dict[str, Any]]) -> str:
    if not five:
        return _("此主机上没有执行过")
    words = {state.value: str(state.label) for state in Execution.State}
    counts: dict[str, int] = {}
    for row in five:
        word = str(Execution.Healed(row["healed"]).label) if row["healed"] in _JUDGED else words[row["state"]]
        counts[word] = counts.get(word, 0) + 1
    return "，".join(_("%(n)d 次%(word)s") % {"n": n, "word": word} for word, n in counts.items())


def _history(approval: Approval) -> list[dict[str, Any]]:
    rows = approval.decisions.select_related("user").order_by("pk")
    said: list[dict[str, Any]] = [
        {
            "at": row.decided_at,
            "who": row.user.get_full_name() or row.user.get_username(),
            "answer": row.answer,
            "comment": row.comment,
            "stage": row.stage + 1,
        }
        for row in rows
    ]
    return said
