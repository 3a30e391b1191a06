"""子套餐: another package inside this one. Its nodes run as nodes of the one plan; this node comes last and ends as they did."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.healing.runners.base import NodeType, Outcome, StepContext
from fta.healing.runners.fields import Fault, Field
from fta.lib.types import JSONDict
from fta.models.executions import ExecutionState


class PackageRunner(NodeType):
    """Params: package (its key), params {name: value}, which may name variables of the package around it."""

    type = "package"
    label = gettext_lazy("子套餐")
    fields = (
        Field(
            "package", gettext_lazy("套餐"), "package", gettext_lazy("套餐标识；版本在冻结计划时固定"), required=True
        ),
        Field("params", gettext_lazy("参数"), "values", gettext_lazy("子套餐只看得到这里给它的参数和它自己的节点")),
    )
    literal = frozenset({"package"})

    def validate(self, params: JSONDict) -> list[Fault]:
        """Return what is wrong with the parameters; the package itself is looked up when it is saved."""
        found = self.strangers(params)
        if not isinstance(params.get("package"), str) or not params["package"]:
            found.append(Fault("package", _("填写子套餐的标识")))
        if not isinstance(params.get("params") or {}, dict):
            found.append(Fault("params", _("%s 应为对象") % "params"))
        return found

    def run(self, ctx: StepContext) -> Outcome:
        """End as the nodes inside did."""
        label = str(ExecutionState(ctx.verdict).label)
        if ctx.verdict == ExecutionState.SUCCEEDED:
            return Outcome("succeeded")
        if ctx.verdict == ExecutionState.ALMOST:
            return Outcome("succeeded", outcome="almost")
        if ctx.verdict == ExecutionState.SKIPPED:
            return Outcome("failed", error=_("子套餐里的审批没有通过"), outcome="refused")
        return Outcome("failed", error=_("子套餐：%s") % label)
