"""获取故障机备机: takes a spare from the inventory for this execution, by itself or by the choice of a person.

The candidates are frozen in the plan, so that nothing acts on a host that nobody could see there.
"""

import re
from collections.abc import Mapping, Sequence

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta import ports
from fta.healing import spares, variables
from fta.healing.runners.base import Foreseen, NodeType, Outcome, StepContext
from fta.healing.runners.fields import Fault, Field
from fta.lib.types import JSON, JSONDict
from fta.models import Execution, StepRun

_CHOICE = re.compile(r"\s*\D?\s*(\d{1,3})\s*\D?\s*")  # a number, with a measure word or so on either side


class InvalidChoice(ValueError):
    """An answer's comment names no candidate; the text says what would, for the person."""


class SpareHostRunner(NodeType):
    """Params: set, module, attributes {name: value}, mode (auto or approval), message and policy of the approval."""

    type = "spare_host"
    label = gettext_lazy("获取故障机备机")
    fields = (
        Field(
            "mode",
            gettext_lazy("怎样选"),
            "choice",
            gettext_lazy("由人选时，审批消息列出候选备机；同意即用第 1 台，回复 TY 编号 2 用第 2 台"),
            choices=(
                ("", gettext_lazy("自动（默认）")),
                ("auto", gettext_lazy("自动")),
                ("approval", gettext_lazy("由人选")),
            ),
        ),
        Field("set", gettext_lazy("集群"), help=gettext_lazy("如 ${set}；留空不限")),
        Field("module", gettext_lazy("模块"), help=gettext_lazy("如 空闲机；留空不限")),
        Field("attributes", gettext_lazy("属性"), "values", gettext_lazy("主机清单里的属性，都相等才算")),
        Field("message", gettext_lazy("审批内容"), "text", more=True),
        Field("policy", gettext_lazy("审批策略"), "policy", more=True),
    )
    results = ("ip_bak", "host", "name")
    literal = frozenset({"mode", "policy"})

    def validate(self, params: JSONDict) -> list[Fault]:
        """Return what is wrong with the parameters."""
        found = self.strangers(params)
        if params.get("mode") not in (None, "", "auto", "approval"):
            found.append(Fault("mode", _("mode 只能是 auto 或 approval")))
        for key in ("set", "module", "message", "policy"):
            if not isinstance(params.get(key, ""), str):
                found.append(Fault(key, _("%s 应为文本") % key))
        if not isinstance(params.get("attributes") or {}, dict):
            found.append(Fault("attributes", _("%s 应为对象") % "attributes"))
        for key in ("set", "module", "attributes"):
            late = sorted(name for name in variables.names_in(params.get(key)) if name.startswith("node."))
            found += [Fault(key, _("候选备机在开始前就要确定，不能用 ${%s}") % name) for name in late]
        return found

    def render(self, params: JSONDict, values: Mapping[str, str]) -> JSONDict:
        """Return the parameters with the variables replaced, without those that the author left empty: they limit nothing."""
        return super().render({key: value for key, value in params.items() if value != ""}, values)

    def foresee(self, params: JSONDict, execution: Execution) -> Foreseen:
        """Freeze the candidates."""
        # One that a variable has made empty is compared all the same: it would be no limit at all otherwise.
        wanted = {key: params[key] for key in ("set", "module", "attributes") if params.get(key) not in (None, {})}
        return Foreseen({"candidates": [*spares.candidates(execution, wanted)]})

    def run(self, ctx: StepContext) -> Outcome:
        """Take the first candidate that is free, or the one that a person has chosen."""
        found = [each for each in _list(ctx.foreseen.get("candidates")) if isinstance(each, dict)]
        if not found:
            return Outcome("failed", error=_("没有符合条件的备机"), outcome="not_sent")
        if ctx.params.get("mode") != "approval":
            return _take(found, ctx)
        choice = ctx.step.result.get("chosen")
        if choice is None:
            return _ask(found, ctx)
        return _take([each for each in found if each["id"] == choice], ctx)


def chosen(result: JSONDict, comment: str) -> JSONDict:
    """Return the result of a step with what an approval's comment chooses of the candidates offered. Raises InvalidChoice."""
    offered = _list(result.get("offered"))
    number = _CHOICE.fullmatch(comment)
    place = int(number[1]) if number else 1
    if not 1 <= place <= len(offered) or (number is None and re.search(r"\d", comment)):
        raise InvalidChoice(_("备注只写候选备机的序号，1 到 %s；不写就用第 1 台") % len(offered))
    return {**result, "chosen": offered[place - 1]}


def _ask(found: Sequence[JSONDict], ctx: StepContext) -> Outcome:
    """Ask once, with the candidates written down before anybody can answer; run again, it only goes on waiting."""
    if "approval" in ctx.step.result:
        return Outcome("waiting", result=ctx.step.result)
    head = str(ctx.params.get("message") or "").strip() or _("为 %s 启用备机") % ((ctx.host or {}).get("ip") or "—")
    listed = "；".join(
        _("%(number)s 号 %(host)s") % {"number": at, "host": _named(each)} for at, each in enumerate(found, 1)
    )
    hint = _("同意用 1 号，用别的在编号后加序号，如 TY %s 2") % ctx.step if len(found) > 1 else ""
    message = "。".join(filter(None, [head.rstrip("。"), _("候选备机：%s") % listed, hint]))
    mine = StepRun.objects.filter(pk=ctx.step.pk, fence=ctx.step.fence, state=StepRun.State.RUNNING)
    with transaction.atomic():
        number = ports.gate().ask_step(ctx.step, message, str(ctx.params.get("policy") or ""), ctx.now)
        result: JSONDict = {"approval": number, "offered": [each["id"] for each in found]}
        mine.update(result=result)
    return Outcome("waiting", result=result)


def _take(found: Sequence[JSONDict], ctx: StepContext) -> Outcome:
    for each in found:
        if spares.reserve(each, ctx.execution, ctx.now):
            taken = {"ip_bak": each["ip"], "host": each["id"], "name": each["name"]}
            return Outcome("succeeded", result={**ctx.step.result, **taken}, output=_named(each))
    return Outcome("failed", result=ctx.step.result, error=_("备机已被占用或已变更，没有可用的"), outcome="not_sent")


def _named(host: JSONDict) -> str:
    place = " / ".join(str(host[key]) for key in ("set", "module") if host.get(key))
    return f"{host['ip']} {host.get('name') or ''}".strip() + (f"（{place}）" if place else "")


def _list(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []
