"""标记为基本成功: the execution that passes here ends as almost succeeded."""

from django.utils.translation import gettext_lazy

from fta.healing.runners.base import NodeType, Outcome, StepContext
from fta.healing.runners.fields import Fault
from fta.lib.types import JSONDict


class MarkAlmostSuccessRunner(NodeType):
    """Succeeds with the outcome "almost", which the result of the execution is judged by."""

    type = "mark_almost_success"
    label = gettext_lazy("标记为基本成功")

    def validate(self, params: JSONDict) -> list[Fault]:
        """Return what is wrong with the parameters: it has none."""
        return self.strangers(params)

    def run(self, ctx: StepContext) -> Outcome:
        """Mark."""
        return Outcome("succeeded", outcome="almost")
