"""脚本作业: runs a fixed script on the host of the plan.

Arguments reach it as JSON on stdin and as FTA_PARAM_<NAME> in its environment; the script's text is the author's and is
never rendered.
"""

import json
import re
from contextlib import closing

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.healing.runners import running
from fta.healing.runners.arguments import InvalidArgument, check_names, check_value, environment
from fta.healing.runners.base import NodeType, Outcome, StepContext
from fta.healing.runners.fields import Fault, Field
from fta.healing.runners.targets import NoTarget, target_of
from fta.lib import secrets
from fta.lib.types import JSON, JSONDict
from fta.models import StepRun

_MAX_SCRIPT = 64 * 1024
_INTERPRETER = re.compile(r"/[A-Za-z0-9._/+-]{1,200}")


class ScriptRunner(NodeType):
    """Params: script, arguments {name: value}, secrets [names of secret parameters], interpreter (a path)."""

    type = "script"
    label = gettext_lazy("脚本作业")
    acting = True
    journaled = True
    default_policy = StepRun.Policy.ONCE.value
    fields = (
        Field(
            "script",
            gettext_lazy("脚本"),
            "script",
            gettext_lazy("正文不接受变量拼接；参数以 JSON（标准输入）和环境变量 FTA_PARAM_名称 传入"),
            required=True,
        ),
        Field(
            "arguments",
            gettext_lazy("参数"),
            "values",
            gettext_lazy("每行一个 name=value，值可以用变量，如 path=${params.path}"),
        ),
        Field(
            "interpreter",
            gettext_lazy("解释器"),
            help=gettext_lazy("留空看脚本第一行 #!，没有则用 /bin/sh"),
            more=True,
        ),
        Field(
            "secrets",
            gettext_lazy("要用的密文参数"),
            "texts",
            gettext_lazy("套餐里密文参数的名称，多个用逗号隔开"),
            more=True,
        ),
    )
    results = ("exit_code",)
    literal = frozenset({"script", "secrets", "interpreter"})

    def validate(self, params: JSONDict) -> list[Fault]:
        """Return what is wrong with the parameters; a value with a variable in it is judged when it is known."""
        found = self.strangers(params)
        script, interpreter = params.get("script"), params.get("interpreter")
        if not isinstance(script, str) or not script.strip() or len(script.encode()) > _MAX_SCRIPT or "\0" in script:
            found.append(Fault("script", _("脚本内容（script）不能为空，最大 64 KiB")))
        if interpreter is not None and not (isinstance(interpreter, str) and _INTERPRETER.fullmatch(interpreter)):
            found.append(Fault("interpreter", _("解释器（interpreter）应为绝对路径，如 /bin/bash")))
        try:
            _check(params, rendered=False)
        except InvalidArgument as error:
            found.append(Fault("arguments", str(error)))
        return found

    def run(self, ctx: StepContext) -> Outcome:
        """Run the script where the plan says."""
        secrets.remember(*ctx.raw_secrets.values())
        try:
            _check(ctx.params, rendered=True)
            files = _files(ctx)
            target = target_of(ctx.host)
        except (InvalidArgument, NoTarget) as error:
            return Outcome("failed", error=str(error), outcome="not_sent")
        with closing(target):
            return running.run(ctx, target, files)

    def resume(self, ctx: StepContext) -> Outcome:
        """Find out on the host what became of a script whose worker vanished."""
        secrets.remember(*ctx.raw_secrets.values())
        try:
            target = target_of(ctx.host)
        except NoTarget as error:
            return Outcome("unknown", error=str(error), outcome="lost")
        with closing(target):
            return running.resume(ctx, target)


def _check(params: JSONDict, rendered: bool) -> None:
    arguments, wanted = _given(params)
    check_names(arguments)
    check_names(wanted)
    if set(arguments) & {str(name) for name in wanted}:
        raise InvalidArgument(_("同一个名称不能既是参数又是密文"))
    for name, value in arguments.items():
        if rendered or not (isinstance(value, str) and "${" in value):
            check_value(name, value)


def _given(params: JSONDict) -> tuple[JSONDict, list[JSON]]:
    arguments, wanted = params.get("arguments") or {}, params.get("secrets") or []
    if not isinstance(arguments, dict) or not isinstance(wanted, list):
        raise InvalidArgument(_("arguments 应为对象，secrets 应为名称列表"))
    return arguments, wanted


def _files(ctx: StepContext) -> dict[str, bytes]:
    """Return what the host is given: script, input and environment never become part of a command line."""
    script = str(ctx.params["script"])
    arguments, wanted = _given(ctx.params)
    given = {str(name): ctx.raw_secrets.get(str(name), "\0") for name in wanted}
    for name, value in given.items():
        if "\0" in value:
            raise InvalidArgument(_("套餐没有名为 %s 的密文参数，或其内容不能使用") % name)
    extra = {"FTA_EXECUTION": str(ctx.execution.pk), "FTA_IDEMPOTENCY_KEY": str(ctx.step.idem_key)}
    variables = extra | environment(arguments) | environment(given)
    return {
        "script": script.encode(),
        "input": json.dumps({**arguments, **given}, ensure_ascii=False).encode(),
        "command": "".join(f"{word}\n" for word in _interpreter(ctx.params, script)).encode(),
        **{f"env/{name}": value.encode() for name, value in variables.items()},
    }


def _interpreter(params: JSONDict, script: str) -> list[str]:
    """Return what runs the script. The first line is read here: executing a file just written may find it busy."""
    if params.get("interpreter"):
        return [str(params["interpreter"])]
    first = script.split("\n", 1)[0].strip()
    return first[2:].strip().split(None, 1) if first.startswith("#!") and first[2:].strip() else ["/bin/sh"]
