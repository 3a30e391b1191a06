"""自定义收敛防御: ends an execution whose target and alert type come back too often."""

from datetime import timedelta

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.healing.runners.base import NodeType, Outcome, StepContext
from fta.healing.runners.fields import Fault, Field
from fta.lib.types import JSONDict
from fta.models import Execution


class GuardRunner(NodeType):
    """Skips when the same host had at least `count` executions of the same alert type in `minutes`, this one included."""

    type = "guard"
    label = gettext_lazy("自定义收敛防御")
    fields = (
        Field("count", gettext_lazy("达到几次"), "integer", required=True),
        Field(
            "minutes",
            gettext_lazy("多少分钟内"),
            "integer",
            gettext_lazy("同一对象的同类告警达到次数，就不再往下做，结果为已跳过"),
            required=True,
        ),
    )
    results = ("seen",)
    literal = frozenset({"count", "minutes"})

    def validate(self, params: JSONDict) -> list[Fault]:
        """Return what is wrong with the parameters."""
        found = self.strangers(params)
        for key, most in (("count", 10_000), ("minutes", 7 * 24 * 60)):
            value = params.get(key)
            if type(value) is not int or not 1 <= value <= most:
                found.append(Fault(key, _("%(key)s 应为 1 到 %(most)s 的整数") % {"key": key, "most": most}))
        return found

    def run(self, ctx: StepContext) -> Outcome:
        """Count and judge."""
        this = ctx.execution
        count, minutes = int(str(ctx.params["count"])), int(str(ctx.params["minutes"]))
        same = Execution.objects.filter(
            alert_type=this.alert_type,
            received_at__gt=this.received_at - timedelta(minutes=minutes),
            received_at__lte=this.received_at,
            id__lte=this.pk,
        )
        # Without a registered host the target that the alert names stands for it.
        same = same.filter(host=this.host_id) if this.host_id else same.filter(host=None, alert__target=_target(this))
        if not this.alert_type:  # run by hand, for which no alert says what is wrong: the package stands for that
            same = same.filter(package=this.package_id)
        seen = same.exclude(state=Execution.State.SHADOWED).count()  # a rehearsal has done nothing
        if seen < count:
            return Outcome("succeeded", result={"seen": seen})
        text = _("%(minutes)s 分钟内同一对象的同类告警已有 %(seen)s 次，达到 %(count)s 次，不再处理")
        reason = text % {"minutes": minutes, "seen": seen, "count": count}
        return Outcome("skipped", result={"seen": seen}, output=reason, outcome="guard")


def _target(execution: Execution) -> str:
    return execution.alert.target if execution.alert else ""
