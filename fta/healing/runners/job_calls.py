"""The requests of one job to the system that runs it, through the one door for HTTP."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from fta.healing import variables
from fta.healing.runners import expressions
from fta.healing.runners.base import StepContext
from fta.healing.runners.job_system import Call, System, Unfilled, expression
from fta.lib import http, secrets
from fta.lib.types import JSON, JSONDict

_CONNECT = 3.0  # seconds
_ANSWER, _LEAST = 30.0, 5.0  # seconds for one answer; the job itself may take as long as its node
_STOPS = 3  # attempts to stop a job


class Unusable(Exception):
    """The node cannot be run as it is written; the text says why."""


class Refused(Exception):
    """The system said no; the text is its reason."""


class NotReady(Exception):
    """The answer says nothing of the job: a gateway's error, or no JSON."""


@dataclass(frozen=True)
class Answer:
    """What a system answered to a call that it took."""

    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    data: JSON = None
    kept: JSONDict = field(default_factory=dict)


@dataclass(frozen=True)
class Session:
    """One job's way to its system: the address, the token, and what fills the calls."""

    system: System
    base: str
    token: str
    inputs: Mapping[str, JSON]
    ctx: StepContext

    def values(self, result: JSONDict) -> dict[str, JSON]:
        """Return what the names in a call stand for."""
        return {**result, **self.inputs, "id": result.get("job")}

    def call(self, call: Call, values: Mapping[str, JSON], tries: int = 1) -> Answer:
        """Make a call. Raises Refused, NotReady, Unusable, http.HttpError."""
        try:
            path, body, form = call.filled(values)
        except Unfilled as error:
            raise Unusable(_("缺少 %s") % error) from error
        secrets.remember(self.token)
        try:
            answer = http.request(
                call.method,
                self.base + path,
                headers=self._headers(tries),
                timeout=(_CONNECT, max(_LEAST, min(_ANSWER, self.ctx.timeout))),
                **_body(body, form),
            )
        except http.InvalidRequest as error:
            raise Unusable(str(error)) from error
        return _judged(call, values, answer)

    def ask(self, result: JSONDict) -> tuple[Answer, str]:
        """Return the answer to "how is the job", and the system's word for it."""
        values = self.values(result)
        answer = self.call(self.system.poll, values)
        if answer.data is None:
            raise NotReady(_("应答不是 JSON：%s") % answer.text[:300])
        return answer, variables.text_of(expressions.search(expression(self.system.state, values), answer.data))

    def output(self, result: JSONDict, polled: Answer) -> str:
        """Return the output of an ended job as text; one that cannot be read does not change how the job ended."""
        answer = polled
        if self.system.output:
            try:
                answer = self.call(self.system.output, self.values(result))
            except (Refused, NotReady, Unusable, http.HttpError) as error:
                return _("没有读到作业输出：%s") % error
        elif not self.system.text:
            return ""
        if not self.system.text:
            return answer.text
        return variables.text_of(expressions.search(expression(self.system.text, self.values(result)), answer.data))

    def stop(self, result: JSONDict) -> None:
        """Stop the job by the first call of which every name is known. Raises Refused, NotReady, http.HttpError."""
        try:
            answer, word = self.ask(result)
        except (Refused, NotReady, http.HttpError):
            answer, word = Answer(), ""
        if self.system.states.get(word) in ("succeeded", "failed"):
            return
        values = self.values({**result, **answer.kept})
        last: Exception = Refused(_("这个平台没有描述怎样停止作业"))
        for _turn in range(_STOPS):
            for call in self.system.stop:
                try:
                    self.call(call, values)
                except Unusable:
                    continue
                except (NotReady, http.HttpError) as error:
                    last = error
                    break
                return
            if self.ctx.lost.wait(0.2):
                break
        raise last

    def _headers(self, tries: int) -> dict[str, str]:
        headers = dict(self.system.headers)
        name, scheme = self.system.auth.get("header"), self.system.auth.get("scheme", "")
        if name and self.token:
            token = self.token.strip()
            if scheme == "Basic":
                token = base64.b64encode(token.encode()).decode()
                secrets.remember(token)
            headers[name] = f"{scheme} {token}".strip()
        if self.system.key_header:
            key = str(self.ctx.step.idem_key)
            headers[self.system.key_header] = key if tries == 1 else f"{key}-{tries}"
        return headers


def _body(body: JSON, form: JSON) -> dict[str, Any]:
    if form is not None:
        return {
            "data": {key: variables.text_of(value) for key, value in form.items()} if isinstance(form, dict) else {}
        }
    return {} if body is None else {"json": body}


def _judged(call: Call, values: Mapping[str, JSON], answer: http.Response) -> Answer:
    try:
        data: JSON = answer.json()
    except ValueError:
        data = None
    text = secrets.redact(answer.text)
    if answer.status not in call.status:
        reason = _("应答状态码为 %(status)s：%(text)s") % {"status": answer.status, "text": text[:300]}
        raise Refused(reason) if 400 <= answer.status < 500 else NotReady(reason)
    if call.ok and data is None:
        raise NotReady(_("应答不是 JSON：%s") % text[:300])
    if call.ok and not expressions.holds(call.ok, data):
        said = (
            variables.text_of(expressions.search(call.error, data))
            if call.error
            else json.dumps(data, ensure_ascii=False)
        )
        raise Refused(_("平台拒绝：%s") % secrets.redact(said)[:300])
    found = {name: expressions.search(expression(each, values), data) for name, each in call.keep.items()}
    return Answer(answer.headers, text, data, {name: value for name, value in found.items() if value is not None})
