"""通知: a message by chosen channels to chosen people. Writing the deliveries is the whole step; sending is not waited for."""

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta import ports
from fta.healing.runners.base import NodeType, Outcome, StepContext
from fta.healing.runners.fields import Fault, Field
from fta.lib.types import JSON, JSONDict


class NotifyRunner(NodeType):
    """Tells `message` to the userids `to`, through the channels named `channels`."""

    type = "notify"
    label = gettext_lazy("通知")
    fields = (
        Field("message", gettext_lazy("内容"), "text", required=True),
        Field("channels", gettext_lazy("通知服务"), "channels", required=True),
        Field(
            "to",
            gettext_lazy("告诉谁"),
            "texts",
            gettext_lazy("企业微信账号，多个用逗号隔开，可以用 ${operators}；留空按通知服务的设置"),
        ),
    )
    results = ("deliveries",)
    literal = frozenset({"channels"})

    def validate(self, params: JSONDict) -> list[Fault]:
        """Return what is wrong with the parameters."""
        found = self.strangers(params)
        if not isinstance(params.get("message"), str) or not str(params["message"]).strip():
            found.append(Fault("message", _("通知内容（message）不能为空")))
        for key in ("channels", "to"):
            value = params.get(key) or []
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                found.append(Fault(key, _("%s 应为文本列表") % key))
        if not params.get("channels"):
            found.append(Fault("channels", _("至少选择一个通知服务（channels）")))
        return found

    def run(self, ctx: StepContext) -> Outcome:
        """Write the deliveries."""
        message = str(ctx.params.get("message") or "")
        try:
            with transaction.atomic():
                sent = ports.messenger().tell(
                    ctx.step, message, _texts(ctx.params.get("channels")), _people(ctx.params.get("to")), ctx.now
                )
        except ValueError as error:  # names the channel that does not exist
            return Outcome("failed", error=str(error))
        return Outcome("succeeded", result={"deliveries": list(sent)}, output=message)


def _texts(value: JSON) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _people(value: JSON) -> list[str]:
    """Return single userids: one entry may have become a list of them, as `${operators}` does."""
    found = [name.strip() for entry in _texts(value) for name in entry.split(",")]
    return list(dict.fromkeys(name for name in found if name))
