"""HTTP 回调: one request; success by status and, if told so, by a JMESPath expression on the answer."""

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.healing import variables
from fta.healing.runners import expressions
from fta.healing.runners.base import NodeType, Outcome, StepContext
from fta.healing.runners.fields import Fault, Field
from fta.healing.runners.text import clean, storable
from fta.lib import http, secrets
from fta.lib.types import JSON, JSONDict
from fta.models import StepRun

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_KEPT = 8 * 1024  # bytes of an answer
_CONNECT = 3.0  # seconds
_ORIGIN = re.compile(r"(?:https?://|\$\{\s*params\.[^{}]*\})[^/?#]*")
# Whom a request goes to is the author's and the inventory's to say, never an alert's.
_IN_ORIGIN = re.compile(r"ip|ip_bak|host\.name|params\..+")
_DOTS = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)


class MissingSecret(Exception):
    """The package has no secret parameter of this name."""


class HttpRunner(NodeType):
    """Sends method, url, headers, body. Secrets are taken by name, in `auth` and `secret_headers`, after the rendering."""

    type = "http"
    label = gettext_lazy("HTTP 回调")
    acting = True
    default_policy = StepRun.Policy.ONCE.value
    fields = (
        Field(
            "method",
            gettext_lazy("方法"),
            "choice",
            choices=(("", gettext_lazy("POST（默认）")), *((name, name) for name in METHODS)),
        ),
        Field(
            "url",
            gettext_lazy("地址"),
            help=gettext_lazy("请求发给谁由套餐或主机清单决定，不能用告警里的值"),
            required=True,
        ),
        Field("headers", gettext_lazy("请求头"), "headers", gettext_lazy("每行一个 Name: value")),
        Field("body", gettext_lazy("请求体（JSON）"), "body", gettext_lazy('变量要写在引号里，如 {"ip": "${ip}"}')),
        Field(
            "success.status",
            gettext_lazy("算成功的状态码"),
            "numbers",
            gettext_lazy("如 200, 202；留空为 2xx"),
            more=True,
        ),
        Field(
            "success.jmespath",
            gettext_lazy("成功条件（JMESPath）"),
            help=gettext_lazy("对返回的 JSON 求值，为真才算成功"),
            more=True,
        ),
        Field(
            "auth.type",
            gettext_lazy("认证"),
            "choice",
            choices=(("", gettext_lazy("不用")), ("basic", "Basic"), ("bearer", "Bearer")),
            more=True,
        ),
        Field("auth.username", gettext_lazy("认证用户名"), help=gettext_lazy("只用于 Basic"), more=True),
        Field("auth.secret", gettext_lazy("认证用的密文参数"), help=gettext_lazy("套餐里密文参数的名称"), more=True),
        Field(
            "secret_headers",
            gettext_lazy("密文请求头"),
            "headers",
            gettext_lazy("每行一个 Name: 密文参数的名称"),
            more=True,
        ),
    )
    results = ("status", "json.<field>")
    literal = frozenset({"method", "secret_headers", "auth", "success"})

    def validate(self, params: JSONDict) -> list[Fault]:
        """Return what is wrong with the parameters."""
        found = self.strangers(params) + _url_problems(params)
        if params.get("method", "POST") not in METHODS:
            found.append(Fault("method", _("method 只能是 %s") % "、".join(METHODS)))
        for key in ("headers", "secret_headers"):
            value = params.get(key) or {}
            if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
                found.append(Fault(key, _("%s 应为对象，值为文本") % key))
        body = params.get("body")
        if isinstance(body, str) and body.lstrip().startswith("{") and variables.as_json(body) is None:
            found.append(Fault("body", _("body 像 JSON 但不合法；变量要写在引号里")))
        return found + _auth_problems(params.get("auth")) + _success_problems(params.get("success"))

    def origin(self, params: JSONDict) -> set[str]:
        """Return the names of the variables in the part of the URL that names the server."""
        url = params.get("url")
        origin = _ORIGIN.match(url) if isinstance(url, str) else None
        return variables.names_in(origin[0]) if origin else set()

    def render_one(self, key: str, value: JSON, values: Mapping[str, str]) -> JSON:
        """Return one parameter with the variables replaced; in the path and query of the URL they are quoted."""
        if key != "url" or not isinstance(value, str):
            return super().render_one(key, value, values)
        origin = _ORIGIN.match(value)
        at = origin.end() if origin else 0
        quoted = {name: quote(text, safe="") for name, text in values.items()}
        return f"{variables.render(value[:at], values)}{variables.render(value[at:], quoted)}"

    def run(self, ctx: StepContext) -> Outcome:
        """Send the request and judge the answer."""
        if ctx.lost.is_set():
            return Outcome("unknown", outcome="lost")
        secrets.remember(*ctx.raw_secrets.values())
        url = str(ctx.params.get("url") or "")
        if not url:
            return Outcome("failed", error=_("没有填 url，请在套餐里补上"), outcome="not_sent")
        if _DOTS.search(urlsplit(url).path if "://" in url else url):
            return Outcome("failed", error=_("地址的路径里不能有 . 或 .."), outcome="not_sent")
        try:
            answer = http.request(
                str(ctx.params.get("method") or "POST"),
                url,
                headers=_headers(ctx),
                timeout=(min(_CONNECT, ctx.timeout), ctx.timeout),
                **_body(ctx.params.get("body")),
            )
        except MissingSecret as error:
            return Outcome("failed", error=_("套餐没有名为 %s 的密文参数") % error, outcome="not_sent")
        except http.HttpError as error:
            return _without_answer(error, ctx.step.policy)
        return _judge(answer, ctx.params.get("success"))


def _url_problems(params: JSONDict) -> list[Fault]:
    url = params.get("url")
    if url is None and "url" in params:  # a configuration whose environment gave none loads; the step says so
        return []
    origin = _ORIGIN.match(url) if isinstance(url, str) else None
    if origin is None:
        return [Fault("url", _("url 应以 http:// 或 https:// 开头"))]
    strange = [name for name in sorted(variables.names_in(origin[0])) if not _IN_ORIGIN.fullmatch(name)]
    return [Fault("url", _("url 的主机部分不能用 ${%s}：请求发给谁不能由告警决定") % name) for name in strange]


def _auth_problems(auth: JSON) -> list[Fault]:
    if auth is None:
        return []
    if not isinstance(auth, dict) or auth.get("type") not in ("basic", "bearer"):
        return [Fault("auth.type", _("auth.type 只能是 basic 或 bearer"))]
    wanted = {"type", "secret"} | ({"username"} if auth["type"] == "basic" else set())
    if set(auth) != wanted or not all(isinstance(value, str) for value in auth.values()):
        message = _("auth 应有且只有：%s（secret 填密文参数的名称）") % "、".join(sorted(wanted))
        return [Fault("auth", message)]
    return []


def _success_problems(success: JSON) -> list[Fault]:
    if success is None:
        return []
    if not isinstance(success, dict) or set(success) - {"status", "jmespath"}:
        return [Fault("success", _("success 只能有 status 和 jmespath"))]
    found = []
    status = success.get("status", [])
    if not isinstance(status, list) or not all(type(code) is int and 100 <= code <= 599 for code in status):
        found.append(Fault("success.status", _("success.status 应为状态码列表，如 [200, 202]")))
    wrong = expressions.problem(success.get("jmespath") or "@")
    return [*found, Fault("success.jmespath", _("success.jmespath 不合法：%s") % wrong)] if wrong else found


def _headers(ctx: StepContext) -> dict[str, str]:
    headers = {str(name): str(value) for name, value in _mapping(ctx.params.get("headers")).items()}
    for name, secret in _mapping(ctx.params.get("secret_headers")).items():
        headers[name] = _secret(ctx, secret)
    auth = _mapping(ctx.params.get("auth"))
    if auth:
        token = _secret(ctx, auth.get("secret"))
        if auth.get("type") == "basic":
            pair = base64.b64encode(f"{auth.get('username', '')}:{token}".encode()).decode()
            secrets.remember(pair)
            headers["Authorization"] = f"Basic {pair}"
        else:
            headers["Authorization"] = f"Bearer {token}"
    return headers | {"Idempotency-Key": str(ctx.step.idem_key), "X-Heal-Fence": str(ctx.step.fence)}


def _secret(ctx: StepContext, name: JSON) -> str:
    if name not in ctx.raw_secrets:
        raise MissingSecret(name)
    return ctx.raw_secrets[str(name)]


def _mapping(value: JSON) -> JSONDict:
    return value if isinstance(value, dict) else {}


def _body(body: JSON) -> dict[str, Any]:
    if body is None or body == "":
        return {}
    inner = variables.as_json(body) if isinstance(body, str) else body
    return {"data": body} if inner is None else {"json": inner}


def _without_answer(error: http.HttpError, policy: str) -> Outcome:
    if isinstance(error, http.NotSent):
        lasting = isinstance(error, (http.DestinationRefused, http.InvalidRequest))
        return Outcome("failed", error=str(error), outcome="not_sent", retryable=not lasting)
    if policy == StepRun.Policy.IDEMPOTENT:
        return Outcome("failed", error=str(error), outcome="no_answer", retryable=True)
    return Outcome("unknown", error=str(error), outcome="no_answer")


def _judge(answer: http.Response, success: JSON) -> Outcome:
    rule = _mapping(success)
    result: JSONDict = {"status": answer.status}
    try:
        data = answer.json()
    except ValueError:
        data = None
    if len(answer.body) <= _KEPT:
        result["json"] = storable(data)
    output = clean(answer.text.encode(errors="replace"), _KEPT)
    wanted = rule.get("status") or range(200, 300)
    if answer.status not in wanted:  # type: ignore[operator]
        return Outcome("failed", result=result, output=output, error=_("应答状态码为 %s") % answer.status)
    if rule.get("jmespath") and not expressions.holds(str(rule["jmespath"]), data):
        return Outcome("failed", result=result, output=output, error=_("应答不满足 %s") % rule["jmespath"])
    return Outcome("succeeded", result=result, output=output)
