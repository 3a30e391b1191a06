"""暂停等待: parks the step until a moment; no worker is held."""

from datetime import datetime, timedelta

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.healing.nodes import seconds
from fta.healing.runners.base import NodeType, Outcome, StepContext
from fta.healing.runners.fields import Fault, Field
from fta.lib.types import JSON, JSONDict

_LONGEST = 24 * 3600
_TOLERANCE = timedelta(seconds=2)  # whoever wakes the step judges by the database's clock, which may be a little ahead


class SleepRunner(NodeType):
    """Waits for `seconds`, a number or a duration such as 5m; 0 does not wait."""

    type = "sleep"
    label = gettext_lazy("暂停等待")
    fields = (
        Field(
            "seconds", gettext_lazy("等多久"), "duration", gettext_lazy("如 30、5m、1h，最长 24 小时"), required=True
        ),
    )
    results = ("until",)

    def validate(self, params: JSONDict) -> list[Fault]:
        """Return what is wrong with the parameters."""
        value = params.get("seconds")
        if isinstance(value, str) and "${" in value:
            return self.strangers(params)
        return self.strangers(params) + ([Fault("seconds", _complaint())] if _length(value) is None else [])

    def run(self, ctx: StepContext) -> Outcome:
        """Park at the first run, succeed at the next one."""
        until = ctx.step.result.get("until")
        if until and datetime.fromisoformat(until) <= ctx.now + _TOLERANCE:
            return Outcome("succeeded", result=ctx.step.result)
        length = _length(ctx.params.get("seconds"))
        if length is None:
            return Outcome("failed", error=_complaint())
        if length == 0:
            return Outcome("succeeded")
        at = datetime.fromisoformat(until) if until else ctx.now + timedelta(seconds=length)
        return Outcome("waiting", result={"until": at.isoformat()}, until=at)


def _length(value: JSON) -> int | None:
    try:
        found = seconds(value)
    except ValueError:
        return None
    return found if found <= _LONGEST else None


def _complaint() -> str:
    return _("等待时长应为 0 到 24 小时，如 30、5m、1h")
