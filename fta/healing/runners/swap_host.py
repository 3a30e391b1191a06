"""故障机与备机互换: the nodes after this one act on the spare; ${ip} is then the spare's and ${ip_bak} the faulty host's."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.healing.runners.base import NodeType, Outcome, StepContext
from fta.healing.runners.fields import Fault
from fta.lib.types import JSONDict
from fta.models import Reservation


class SwapHostRunner(NodeType):
    """Takes the spare that the execution has reserved; it stays reserved until a person gives it back."""

    type = "swap_host"
    label = gettext_lazy("故障机与备机互换")
    results = ("ip", "ip_bak", "host")

    def validate(self, params: JSONDict) -> list[Fault]:
        """Return what is wrong with the parameters: it has none."""
        return self.strangers(params)

    def run(self, ctx: StepContext) -> Outcome:
        """Swap, if the execution holds a spare."""
        spare = ctx.spare
        held = Reservation.objects.filter(execution=ctx.execution)
        if spare is None or not held.filter(host=int(str(spare["id"]))).exists():
            return Outcome("failed", error=_("还没有备机；前面要有成功的「获取故障机备机」"), outcome="not_sent")
        ip, ip_bak = spare["ip"], (ctx.host or {}).get("ip", "")
        return Outcome("succeeded", result={"ip": ip, "ip_bak": ip_bak, "host": spare["id"]}, output=f"{ip_bak} → {ip}")
