"""What the list and the page of packages show."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.template.loader import render_to_string

from fta.healing.ending import FAILURES_UNTIL_APPROVAL
from fta.healing.versions import usage_of
from fta.models import Execution, Package, PackageVersion, Rule
from fta.models.scope import is_admin, roles_of
from fta.web import package_mode, territory
from fta.web.forms.fields import yaml_text
from fta.web.forms.packages import RunForm
from fta.web.package_canvas import drawing_of, drawing_of_draft, labels, names_of
from fta.web.package_draft import Draft
from fta.web.package_text import text_of
from fta.web.sentences import duration_text

LAST = 5
VERSIONS_SHOWN = 5


@dataclass(frozen=True)
class Listed:
    """A package with its latest results and the number of rules that use it."""

    package: Package
    last: list[Execution]
    rules: int


def listed(rows: QuerySet[Package], user: Any) -> list[Listed]:
    """Return the packages of the list."""
    used = Count("rule", filter=Q(rule__archived=False))
    return [Listed(row, last_results(row, user), row.used) for row in rows.annotate(used=used)]


def last_results(package: Package, user: Any) -> list[Execution]:
    """Return the latest executions of a package that began and ended and that the user may see, the newest first."""
    rows = Execution.objects.visible_to(user).filter(package=package, state__in=Execution.ENDED)
    return list(rows.exclude(started_at=None).order_by("-pk")[:LAST])


def context(
    package: Package, version: PackageVersion | None, user: Any, run_form: RunForm | None = None
) -> dict[str, Any]:
    """Return what one package's page shows."""
    mine = Package.objects.operable_by(user).filter(pk=package.pk).exists()
    rules = territory.visible(Rule.objects.filter(package=package, archived=False), user)
    usage = usage_of(package)
    visible = set(Package.objects.visible_to(user).values_list("pk", flat=True)) if usage.packages else set()
    runs = Execution.objects.visible_to(user).filter(package=package).select_related("host", "business").order_by("-pk")
    return {
        "package": package,
        "version": version,
        "is_current": version == package.current,
        "drawing": drawing_of(version) if version else None,
        "nodes": [_node(each) for each in version.nodes] if version else [],
        "parameters": version.parameters if version else [],
        "secrets": set(version.secrets) if version else set(),
        "versions": package.versions.order_by("-number")[:VERSIONS_SHOWN],
        "rules": rules,
        "outer": [other for other in usage.packages if other.pk in visible],
        "running": usage.running,
        "runs": runs[:10],
        "mine": mine,
        "may_make": territory.may_edit(user),
        "window": duration_text(int(package.budget.get("window") or 0)),
        "asks_after_failures": package.failures_in_a_row >= FAILURES_UNTIL_APPROVAL,
        **package_mode.card(package, user, mine),
        "run_form": run_form or _run_form(package, user),
    }


def editor(draft: Draft, package: Package | None, version: PackageVersion | None) -> dict[str, Any]:
    """Return what the editor shows."""
    return {
        "draft": draft,
        "package": package,
        "version": version,
        "types": labels().items(),
        "drawing": drawing_of_draft(draft),
        "names": names_of(draft),
        "yaml": _yaml(draft),
        "next_number": package.current.number + 1 if package and package.current else 1,
    }


def look(draft: Draft) -> dict[str, Any]:
    """Judge a draft and return the parts of the editor that follow from its fields, for its script."""
    draft.is_valid()
    draft.head.errors.pop("note", None)  # asked for when it is saved
    context = {"draft": draft, "drawing": drawing_of_draft(draft)}
    return {
        "canvas": render_to_string("fta/_canvas.html", context),
        "problems": render_to_string("fta/_package_problems.html", context),
        "faults": draft.faults(),
        "yaml": text_of(draft),
        "names": names_of(draft),
    }


def _yaml(draft: Draft) -> str:
    return draft.text if draft.text is not None else text_of(draft.sent())


def _run_form(package: Package, user: Any) -> RunForm | None:
    if package.current is None or not (is_admin(user) or "operator" in roles_of(user)):
        return None
    return RunForm(package.current.parameters, auto_id="run-%s")


def _node(node: Mapping[str, Any]) -> dict[str, Any]:
    params = dict(node.get("params") or {})
    script = params.pop("script", "")
    return {
        **node,
        "label": labels().get(str(node.get("type")), node.get("type")),
        "timeout_text": duration_text(int(node.get("timeout") or 0)),
        "script": script,
        "rest": yaml_text(params),
        "after": list(_edges(node.get("next") or {})),
    }


def _edges(following: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for kind in ("success", "failure", "always"):
        targets = following.get(kind) or []
        if targets:
            yield kind, "、".join(str(target) for target in targets)
