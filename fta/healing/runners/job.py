"""作业平台 / 标准运维: has another system run a job, and asks it until the job has ended. Between two questions the step is parked.

Where the token goes and which job is run is the author's to say; values from an alert are data for the job.
"""

import re
from datetime import datetime, timedelta

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.healing import variables
from fta.healing.runners import expressions, job_system
from fta.healing.runners.arguments import InvalidArgument, check_value
from fta.healing.runners.base import Foreseen, NodeType, Outcome, StepContext
from fta.healing.runners.fields import Fault, Field
from fta.healing.runners.job_calls import Answer, NotReady, Refused, Session, Unusable
from fta.healing.runners.job_system import Call, InvalidSystem, System
from fta.healing.runners.text import clean, storable
from fta.lib import http
from fta.lib.types import JSON, JSONDict
from fta.models import Credential, Execution, StepRun

_FIRST, _LONGEST = 5, 60  # seconds between two questions: from the first to this, half as long again each time
_KEPT = 64 * 1024  # bytes of a job's output
_NAME_LENGTH, _VALUE_LENGTH = 64, 1024
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class JobRunner(NodeType):
    """Params: preset or system, credential or url and secret, inputs, arguments, interval (seconds), read {name: JMESPath}."""

    type = "job"
    label = gettext_lazy("作业平台 / 标准运维")
    acting = True
    default_policy = StepRun.Policy.ONCE.value
    results = ("job", "state", "url")
    literal = frozenset({"preset", "system", "credential", "url", "secret", "interval", "read"})

    fields = (
        Field(
            "preset",
            gettext_lazy("平台"),
            "choice",
            gettext_lazy("列表里没有的平台，用 YAML 的 system 自己描述"),
            choices=tuple((name, system.label) for name, system in job_system.presets().items()),
        ),
        Field(
            "credential",
            gettext_lazy("凭据"),
            help=gettext_lazy("令牌类凭据的名称；平台地址取自凭据，令牌只发往该地址"),
        ),
        Field("inputs", gettext_lazy("运行哪个作业"), "values", gettext_lazy("如 template: 12；不能由告警决定")),
        Field("arguments", gettext_lazy("作业参数"), "mapping", gettext_lazy("交给作业的数据，可以用变量")),
        Field(
            "interval",
            gettext_lazy("查询间隔（秒）"),
            "integer",
            gettext_lazy("留空从 5 秒起逐渐放慢到 60 秒"),
            more=True,
        ),
        Field(
            "read",
            gettext_lazy("读取结果"),
            "values",
            gettext_lazy("名称: JMESPath；后面的节点用 ${node.<编号>.<名称>}"),
            more=True,
        ),
        Field("url", gettext_lazy("平台地址"), help=gettext_lazy("不用凭据时填写"), more=True),
        Field(
            "secret",
            gettext_lazy("令牌用的密文参数"),
            help=gettext_lazy("不用凭据时，填写套餐里密文参数的名称"),
            more=True,
        ),
        Field("system", gettext_lazy("平台描述"), "mapping", more=True),
    )

    def validate(self, params: JSONDict) -> list[Fault]:
        """Return what is wrong with the parameters."""
        found = self.strangers(params) + _address_problems(params) + _value_problems(params)
        try:
            return found + _input_problems(_system(params), params)
        except InvalidSystem as error:
            return [*found, Fault("system" if "system" in params else "preset", str(error))]

    def foresee(self, params: JSONDict, execution: Execution) -> Foreseen:
        """Freeze the address that the token of the credential goes to."""
        name = params.get("credential")
        if not name:
            return Foreseen()
        credential = _credential(name)
        if credential is None:
            return Foreseen(problems=[_("没有名为 %s 的令牌凭据，或它没有填平台地址") % name])
        if not _serves(credential, execution):
            return Foreseen(problems=[_("凭据 %s 属于另一个业务") % name])
        return Foreseen({"url": credential.url})

    def leaves_running(self, step: StepRun) -> bool:
        """Tell whether the job may be running at this moment, with nobody waiting for it here."""
        return bool(step.result.get("job")) and not _asking(step.result).get("ended")

    def run(self, ctx: StepContext) -> Outcome:
        """Submit the job, or ask how it is getting on."""
        if ctx.lost.is_set():
            return Outcome("unknown", outcome="lost")
        try:
            session = _session(ctx)
        except (Unusable, InvalidArgument, InvalidSystem) as error:
            return Outcome("failed", error=str(error), outcome="not_sent")
        before = ctx.step.result
        asking = _asking(before)
        if asking and not asking.get("ended"):
            return _go_on(session, ctx) if before.get("job") else _submit(session, ctx, dict(before))
        until = ctx.now + timedelta(seconds=ctx.timeout)
        tries = int(str(asking.get("tries") or 0)) + 1
        return _submit(session, ctx, {"asking": {"tries": tries, "until": until.isoformat(), "asked": 0}})

    def stop(self, ctx: StepContext) -> Outcome:
        """Have the system stop the job."""
        try:
            session = _session(ctx)
        except (Unusable, InvalidArgument, InvalidSystem) as error:
            return Outcome("unknown", result=ctx.step.result, error=str(error))
        return _stopped(session, ctx, Outcome("cancelled", error=_("已请作业平台停止作业"), outcome="stopped"))


def _submit(session: Session, ctx: StepContext, result: JSONDict) -> Outcome:
    """Send the job. An answer that is lost leaves it unknown, unless sending it again does no harm."""
    again = session.system.harmless or bool(session.system.key_header)
    try:
        answer = session.call(session.system.submit, session.values(result), int(str(_asking(result)["tries"])))
    except http.NotSent as error:
        lasting = isinstance(error, http.DestinationRefused)
        return Outcome("failed", error=str(error), outcome="not_sent", retryable=not lasting)
    except (Unusable, Refused) as error:
        return Outcome("failed", result=_over(result), error=str(error), outcome="refused")
    except (http.HttpError, NotReady) as error:
        if again and _time_left(result, ctx):
            return _parked(ctx, result, str(error))
        retryable = ctx.step.policy == StepRun.Policy.IDEMPOTENT
        return Outcome("failed" if retryable else "unknown", error=str(error), outcome="no_answer", retryable=retryable)
    job = session.system.id_in(answer.headers, answer.data)
    if not job:
        return Outcome(
            "unknown", output=answer.text, error=_("平台接受了作业，但应答里没有作业编号"), outcome="no_answer"
        )
    result = {**result, **answer.kept, "job": job}
    if session.system.complete and not expressions.holds(session.system.complete, answer.data):
        ignored = variables.text_of(expressions.search(session.system.submit.error or "@", answer.data))
        ends = Outcome("failed", error=_("平台没有接受全部参数，已停止作业：%s") % ignored[:200], outcome="refused")
        return _stopped(session, ctx, ends, result)
    start = session.system.start
    return _start(session, start, ctx, result) if start else _parked(ctx, result)


def _start(session: Session, start: Call, ctx: StepContext, result: JSONDict) -> Outcome:
    """Start a job that was only created; whether that got through the next question tells."""
    try:
        session.call(start, session.values(result))
    except (Refused, Unusable) as error:
        return Outcome("failed", result=_over(result), error=str(error), outcome="refused")
    except (http.HttpError, NotReady) as error:
        return _parked(ctx, result, str(error))
    return _parked(ctx, result)


def _go_on(session: Session, ctx: StepContext) -> Outcome:
    """Ask once; a question without an answer is asked again for as long as the node may take."""
    result = dict(ctx.step.result)
    try:
        answer, word = session.ask(result)
    except (http.HttpError, NotReady, Refused, Unusable) as error:
        return _wait_or_stop(session, ctx, result, str(error))
    result |= {**answer.kept, "state": word}
    state = session.system.states.get(word, "")
    if state == "created" and session.system.start:
        return _start(session, session.system.start, ctx, result)
    if state in ("succeeded", "failed"):
        return _ended(session, ctx, result, answer, state)
    return _wait_or_stop(session, ctx, result, "" if state else _("平台的状态 %s 不认识，继续等") % (word or "—"))


def _ended(session: Session, ctx: StepContext, result: JSONDict, answer: Answer, state: str) -> Outcome:
    read = {
        name: storable(expressions.search(str(text), answer.data))
        for name, text in _mapping(ctx.params.get("read")).items()
    }
    result = _over({**read, **result})
    output = clean(session.output(result, answer).encode(errors="replace"), _KEPT)
    if state == "succeeded":
        return Outcome("succeeded", result=result, output=output)
    error = _("作业 %(job)s 失败：%(state)s") % {"job": result["job"], "state": result["state"]}
    return Outcome("failed", result=result, output=output, error=error)


def _wait_or_stop(session: Session, ctx: StepContext, result: JSONDict, note: str) -> Outcome:
    if _time_left(result, ctx):
        return _parked(ctx, result, note)
    ends = Outcome("failed", error=_("作业超时，已请平台停止") + (f"（{note}）" if note else ""), outcome="timeout")
    return _stopped(session, ctx, ends, result)


def _stopped(session: Session, ctx: StepContext, ends: Outcome, result: JSONDict | None = None) -> Outcome:
    """Stop the job and end as told; a job of which nobody knows whether it stopped is unknown."""
    result = dict(ctx.step.result) if result is None else result
    try:
        session.stop(result)
    except (http.HttpError, NotReady, Refused) as error:
        text = _("%(why)s，但停止没有成功：%(error)s") % {"why": ends.error, "error": error}
        return Outcome("unknown", result=result, error=text, outcome="no_answer")
    return Outcome(ends.state, result=_over(result), error=ends.error, outcome=ends.outcome)


def _parked(ctx: StepContext, result: JSONDict, note: str = "") -> Outcome:
    asking = _asking(result)
    asked = int(str(asking["asked"]))
    pause = float(str(ctx.params.get("interval") or min(_FIRST * 1.5**asked, _LONGEST)))
    result = {**result, "asking": {**asking, "asked": asked + 1}}
    return Outcome("waiting", result=result, error=note, until=ctx.now + timedelta(seconds=pause))


def _time_left(result: JSONDict, ctx: StepContext) -> bool:
    return ctx.now < datetime.fromisoformat(str(_asking(result)["until"]))


def _asking(result: JSONDict) -> JSONDict:
    """Return the bookkeeping of a job's step: which try it is, until when it may take, how often it was asked, whether it ended."""
    return _mapping(result.get("asking"))


def _over(result: JSONDict) -> JSONDict:
    return {**result, "asking": {**_asking(result), "ended": True}}


def _session(ctx: StepContext) -> Session:
    """Return the way to the system. Raises Unusable, InvalidArgument, InvalidSystem."""
    system, params = _system(ctx.params), ctx.params
    url, token = str(params.get("url") or ""), ctx.raw_secrets.get(str(params.get("secret") or ""), "")
    if params.get("secret") and not token:
        raise Unusable(_("套餐没有名为 %s 的密文参数") % params["secret"])
    if params.get("credential"):
        credential = _credential(params["credential"])
        if credential is None or credential.url != ctx.foreseen.get("url"):
            raise Unusable(_("凭据 %s 不存在，或它的平台地址在计划冻结之后改过") % params["credential"])
        if not _serves(credential, ctx.execution):
            raise Unusable(_("凭据 %s 属于另一个业务") % params["credential"])
        url, token = credential.url, credential.secret
    given, arguments = _mapping(params.get("inputs")), _mapping(params.get("arguments"))
    _check_inputs(given, system)
    _check_arguments(arguments, system)
    inputs = {name: each.get("default") for name, each in system.inputs.items()} | given
    values = {**inputs, "arguments": system.arguments_of(arguments), "execution": str(ctx.execution.pk)}
    return Session(system, url.rstrip("/"), token, values, ctx)


def _check_inputs(given: JSONDict, system: System) -> None:
    """Refuse what variables have made of an input. Raises InvalidArgument."""
    _check_arguments(given, system, "inputs")
    for name, value in given.items():
        if wrong := _unfit(name, value, system):
            raise InvalidArgument(wrong)


def _unfit(name: str, value: JSON, system: System) -> str:
    """Return why an input is refused whose author wanted a limit: empty it would be none, and so would a word for all."""
    known, text = system.inputs.get(name, {}), variables.text_of(value).strip()
    if known.get("variables") and not text:
        return _("%s 的值为空，作业会不受限定；确实不限定，请删去这一项") % name
    if text.casefold() in (known.get("refuse") or ()):
        return _("%(name)s 不能是 %(text)s，请写明具体的主机") % {"name": name, "text": text}
    return ""


def _check_arguments(value: JSON, system: System, name: str = "arguments") -> None:
    """Refuse what could do harm where the job splices it into a command. Raises InvalidArgument."""
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else ((name, item) for item in value):
            _check_arguments(item, system, key)
        return
    check_value(name, value)
    text = variables.text_of(value)
    if len(text) > _VALUE_LENGTH or _CONTROL.search(text) or (isinstance(value, str) and text.startswith("-")):
        why = _("参数 %(name)s 超过 %(most)s 个字符、含有控制字符或以 - 开头")
        raise InvalidArgument(why % {"name": name, "most": _VALUE_LENGTH})
    if any(mark in text for mark in system.arguments.get("refuse") or ()):
        raise InvalidArgument(_("参数 %s 含有平台会求值的写法") % name)


def _credential(name: JSON) -> Credential | None:
    found = Credential.objects.filter(name=str(name), kind=Credential.Kind.TOKEN).exclude(url="")
    return found.first()


def _serves(credential: Credential, execution: Execution) -> bool:
    """Tell whether the execution and its package may use the credential; a package for all businesses goes by the execution."""
    owner = execution.package.business if execution.package else None
    return credential.serves(execution.business) and (owner is None or credential.serves(owner))


def _system(params: JSONDict) -> System:
    if "system" in params and "preset" not in params:
        return job_system.read(params["system"])
    found = job_system.presets().get(str(params.get("preset")))
    if found is None or "system" in params:
        raise InvalidSystem(_("preset 只能是 %s；其他平台用 system 描述，两者选一") % "、".join(job_system.presets()))
    return found


def _address_problems(params: JSONDict) -> list[Fault]:
    given = [params.get(name) or "" for name in ("credential", "url", "secret")]
    credential, url, secret = (value if isinstance(value, str) else "" for value in given)
    if not all(isinstance(value, str) for value in given):
        return [Fault("credential", _("credential、url、secret 应为文本"))]
    if bool(credential) == bool(url or secret):
        return [Fault("credential", _("填写凭据（credential），或者填写地址（url）和密文参数（secret）"))]
    if url and not url.startswith(("http://", "https://")):
        return [Fault("url", _("url 应以 http:// 或 https:// 开头"))]
    return [] if credential or url else [Fault("url", _("缺少平台地址（url）"))]


def _value_problems(params: JSONDict) -> list[Fault]:
    found = [
        Fault(key, _("%s 应为对象") % key)
        for key in ("inputs", "arguments", "read")
        if not isinstance(params.get(key) or {}, dict)
    ]
    interval = params.get("interval")
    if interval is not None and (type(interval) is not int or not 1 <= interval <= 3600):
        found.append(Fault("interval", _("interval 应为 1 到 3600 的整数")))
    for name, text in _mapping(params.get("read")).items():
        if wrong := expressions.problem(text):
            found.append(Fault("read", _("%(name)s 不是合法的 JMESPath：%(wrong)s") % {"name": name, "wrong": wrong}))
    for name in _mapping(params.get("arguments")):
        if not name or len(name) > _NAME_LENGTH:
            found.append(Fault("arguments", _("参数名 %s 太长或为空") % repr(name)[:40]))
    return found


def _input_problems(system: System, params: JSONDict) -> list[Fault]:
    inputs = _mapping(params.get("inputs"))
    found = [Fault("inputs", _("这个平台没有 %s") % name) for name in inputs if name not in system.inputs]
    for name, given in system.inputs.items():
        value = inputs.get(name, given.get("default"))
        if given.get("required") and value in (None, ""):
            found.append(Fault("inputs", _("缺少 %(name)s（%(label)s）") % {"name": name, "label": given.get("label")}))
        if isinstance(value, (dict, list)):
            found.append(Fault("inputs", _("%s 应为文本或数字") % name))
        elif not given.get("variables") and variables.names_in(value):
            found.append(Fault("inputs", _("%s 不能用变量：运行哪个作业不能由告警决定") % name))
        elif name in inputs and not variables.names_in(value) and (wrong := _unfit(name, value, system)):
            found.append(Fault("inputs", wrong))
    return found


def _mapping(value: JSON) -> JSONDict:
    return value if isinstance(value, dict) else {}
