"""审批: asks people and parks the step until they have decided."""

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta import ports
from fta.healing.runners.base import NodeType, Outcome, StepContext
from fta.healing.runners.fields import Fault, Field
from fta.lib.types import JSONDict


class ApprovalRunner(NodeType):
    """Asks `message` by the approval policy named `policy`; the decision settles the step, not the clock."""

    type = "approval"
    label = gettext_lazy("审批")
    fields = (
        Field(
            "message", gettext_lazy("请示什么"), "text", gettext_lazy("如 重启 ${ip}（${alert_type}）"), required=True
        ),
        Field("policy", gettext_lazy("审批策略"), "policy"),
    )
    literal = frozenset({"policy"})  # who may decide must not come from an alert

    def validate(self, params: JSONDict) -> list[Fault]:
        """Return what is wrong with the parameters."""
        found = self.strangers(params)
        if not isinstance(params.get("message"), str) or not str(params["message"]).strip():
            found.append(Fault("message", _("审批内容（message）不能为空")))
        if not isinstance(params.get("policy", ""), str):
            found.append(Fault("policy", _("审批策略（policy）应为策略名称")))
        return found

    def run(self, ctx: StepContext) -> Outcome:
        """Ask once; run again, it only goes on waiting."""
        asked = ctx.step.result.get("approval")
        if asked is None:
            message, policy = str(ctx.params.get("message") or ""), str(ctx.params.get("policy") or "")
            with transaction.atomic():
                asked = ports.gate().ask_step(ctx.step, message, policy, ctx.now)
        return Outcome("waiting", result={"approval": asked})
