"""What the page of one execution shows: its graph, the step that is looked at, its steps, approvals, messages and history."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from fta.healing.nodes import Node
from fta.healing.plan import is_intact, nodes_of
from fta.healing.preview import rendered
from fta.healing.runners import RUNNERS
from fta.models import Execution, StepRun
from fta.templatetags.moments import span_text
from fta.templatetags.state_words import look_of
from fta.web import selectors
from fta.web.flow_svg import META_UNITS, Drawing, Look, draw, fit
from fta.web.forms.fields import yaml_text
from fta.web.words import channel_word, event_word

OUTPUT_SHOWN = 20_000  # characters of a step's output on the page; the rest is in the download
HISTORY_SHOWN = 200
DELIVERIES_SHOWN = 20
_OWN = {"approval", "chosen"}  # of a result: numbers of rows, which the page shows beside in words
DECIDED = {"approved", "refused", "expired"}


@dataclass(frozen=True)
class Row:
    """A node of the plan with the latest run of it, if any."""

    node: Node
    label: str
    step: StepRun | None
    state: str
    note: str

    @property
    def timeout(self) -> str:
        """Return how long the node may take."""
        return span_text(self.node.timeout)


def is_active(execution: Execution) -> bool:
    """Tell whether something may still happen in the execution."""
    return execution.state not in Execution.ENDED


def live_part(execution: Execution, picked: int | None) -> dict[str, Any]:
    """Return what changes while the execution runs."""
    nodes = _nodes(execution)
    approvals = list(execution.approvals.select_related("decided_by").order_by("-pk"))
    deliveries = execution.delivery_set.select_related("channel").order_by("-pk")[:DELIVERIES_SHOWN]
    rows = _rows(execution, nodes, approvals)
    row = _picked(rows, picked)
    return {
        "execution": execution,
        "active": is_active(execution),
        "rows": rows,
        "done": sum(1 for each in rows if each.step and each.step.state in StepRun.ENDED),
        "drawing": _drawing(execution, rows, row),
        "row": row,
        "step": row.step if row else None,
        "output": row.step.output[-OUTPUT_SHOWN:] if row and row.step else "",
        "output_cut": bool(row and row.step and len(row.step.output) > OUTPUT_SHOWN),
        "approvals": [(each, channel_word(each.channel)) for each in approvals],
        "deliveries": [(each, event_word(each.event)) for each in deliveries],
        # What a dry run found stands in a part of its own.
        "history": execution.history.exclude(kind__startswith="check.").order_by("-pk")[:HISTORY_SHOWN],
    }


def still_part(execution: Execution) -> dict[str, Any]:
    """Return what the page shows once: evidence and the plan."""
    return {
        "plan": execution.plan,
        "intact": is_intact(execution) if execution.plan_sha256 else None,
        "last_results": selectors.last_results(execution),
        "checks": execution.history.filter(kind__startswith="check.").order_by("pk"),
        "preview": _preview(execution),
        "unknown_steps": execution.steps.filter(state=StepRun.State.UNKNOWN).order_by("node"),
    }


def _preview(execution: Execution) -> list[tuple[dict[str, Any], str]]:
    """Return the nodes of what was only rehearsed with their rendered parameters as text."""
    if execution.state != Execution.State.SHADOWED:
        return []
    return [(node, yaml_text(node["params"])) for node in rendered(execution)]


def node_choices(execution: Execution) -> list[tuple[int, str]]:
    """Return the nodes of the plan for a select."""
    return [(node.id, f"{node.path} · {node.name or _label(node)}") for node in _nodes(execution)]


def _nodes(execution: Execution) -> list[Node]:
    return nodes_of(execution.plan) or nodes_of({"nodes": execution.version.nodes if execution.version else []})


def _label(node: Node) -> str:
    runner = RUNNERS.get(node.type)
    return str(runner.label) if runner else node.type


def _rows(execution: Execution, nodes: list[Node], approvals: list[Any]) -> list[Row]:
    latest: dict[int, StepRun] = {step.node: step for step in execution.steps.order_by("iteration", "pk")}
    asked: dict[int, str] = {each.step_id: each.state for each in reversed(approvals) if each.step_id}
    return [_row(node, latest.get(node.id), asked) for node in nodes]


def _row(node: Node, step: StepRun | None, asked: Mapping[int, str]) -> Row:
    if step is None:
        return Row(node, _label(node), None, "idle", "")
    state = asked.get(step.pk, "") if step.type == "approval" else ""
    if state in DECIDED:
        return Row(node, _label(node), step, state, step.error)
    waiting = "held" if step.pk in asked else "sleeping"
    return Row(node, _label(node), step, waiting if step.state == "waiting" else step.state, _note(step))


def _note(step: StepRun) -> str:
    if step.error:
        return step.error
    if step.type == "approval":
        return ""  # its result is the number of the approval, which the page shows beside
    told = {
        name: value for name, value in step.result.items() if name not in _OWN and isinstance(value, str | int | float)
    }
    parts = [f"{name} = {value}" for name, value in told.items()]
    return "，".join(parts)[:200]


def _picked(rows: list[Row], picked: int | None) -> Row | None:
    """Return the row asked for; else the one that runs, failed or is unknown, else the last that began."""
    begun = [row for row in rows if row.step]
    telling = [row for row in begun if row.state in ("running", "unknown", "failed", "held", "sleeping")]
    asked = [row for row in rows if row.node.id == picked]
    return next(iter(asked or telling[-1:] or begun[-1:]), None)


def _drawing(execution: Execution, rows: list[Row], picked: Row | None) -> Drawing | None:
    if not rows:
        return None
    url = reverse("web:execution", args=[execution.pk])
    looks = {row.node.id: Look(row.state, _meta(row), f"{url}?node={row.node.id}#f-output") for row in rows}
    labels = {row.node.type: row.label for row in rows}
    return draw([row.node for row in rows], labels, looks, picked.node.id if picked else None)


def _meta(row: Row) -> str:
    step = row.step
    if step is None:
        return _("超时 %(span)s") % {"span": row.timeout}
    word = str(look_of(row.state, "approval" if row.state in DECIDED else "step").word)
    if step.started_at and step.ended_at:
        return fit(f"{word} · {span_text(step.ended_at - step.started_at)}", META_UNITS)
    return fit(_("%(word)s · 第 %(n)d 次") % {"word": word, "n": step.attempt}, META_UNITS) if step.attempt else word
