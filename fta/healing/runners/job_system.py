"""How one kind of job system is spoken to, as data: the presets are YAML files beside this module, an author may write another.

A call is a method, a path below the address of the system, and a body. `{name}` in them stands for an input of the node, for
`arguments`, `execution`, `key`, `id` (of the job) or for what an earlier answer had kept under a name.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import re2
import yaml
from django.utils.translation import gettext as _

from fta.healing import variables
from fta.healing.runners import expressions
from fta.lib.types import JSON, JSONDict

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
STATES = ("created", "running", "succeeded", "failed")
_HOME = Path(__file__).parent / "presets"
_PLACE = re.compile(r"\{([a-z_]{1,32})\}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class InvalidSystem(ValueError):
    """The description of a system does not make sense; the text says where."""


class Unfilled(LookupError):
    """A call names something that is not known (yet)."""


@dataclass(frozen=True)
class Call:
    """One request. `ok` is an expression that must hold in a good answer, `error` finds the reason in a bad one."""

    path: str
    method: str
    json: JSON = None
    form: JSON = None
    status: Sequence[int] = range(200, 300)
    ok: str = ""
    error: str = ""
    keep: Mapping[str, str] = field(default_factory=dict)

    def filled(self, values: Mapping[str, JSON]) -> tuple[str, JSON, JSON]:
        """Return path, JSON body and form. Raises Unfilled for a name in the path without a value."""

        def segment(found: re.Match[str]) -> str:
            value = values.get(found[1])
            if value in (None, ""):
                raise Unfilled(found[1])
            return quote(variables.text_of(value), safe="/")

        return _PLACE.sub(segment, self.path), fill(self.json, values), fill(self.form, values)


@dataclass(frozen=True)
class System:
    """One kind of job system. `states` maps its words to ours.

    An input is {label, required, default, variables, refuse}; unless it has `variables` it is the author's own text: which job
    is run must not come from an alert. `refuse` lists words, in lower case, that it must not be.
    """

    label: str
    submit: Call
    poll: Call
    state: str
    states: Mapping[str, str]
    id: "str | Mapping[str, str]"  # an expression on the answer to `submit`, or the header and the pattern to find it by
    auth: Mapping[str, str] = field(default_factory=dict)  # header, and scheme: Bearer, Basic or none
    headers: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)  # as: object or list; name: with * for the name; refuse
    complete: str = ""  # holds in the answer to `submit` when the system took everything that it was given
    harmless: bool = False  # `submit` alone does nothing: it may be sent again
    key_header: str = ""  # the system does the same submit only once for one value of this header
    start: Call | None = None
    output: Call | None = None
    text: str = ""
    stop: Sequence[Call] = ()

    def arguments_of(self, arguments: Mapping[str, JSON]) -> JSON:
        """Return a node's arguments in the form that the system takes."""
        shape = str(self.arguments.get("name") or "*")
        named = {shape.replace("*", name): value for name, value in arguments.items()}
        if self.arguments.get("as") != "list":
            return named
        items = [
            (name, value if isinstance(value, dict) else {"value": variables.text_of(value)})
            for name, value in named.items()
        ]
        return [{"name": name, **value} for name, value in items]

    def id_in(self, headers: Mapping[str, str], data: JSON) -> str:
        """Return the id of the job that an answer to `submit` names, '' when there is none that can be used."""
        if isinstance(self.id, str):
            found = variables.text_of(expressions.search(self.id, data))
        else:
            match = re2.search(self.id["pattern"], headers.get(self.id["header"], "")[:2000])
            found = match[1] if match else ""
        return found if _ID.fullmatch(found) else ""


def fill(value: JSON, values: Mapping[str, JSON]) -> JSON:
    """Return a body with its names replaced; what is nothing but a name becomes the value itself, and is left out without one."""
    if isinstance(value, str):
        whole = _PLACE.fullmatch(value)
        return (
            values.get(whole[1]) if whole else _PLACE.sub(lambda found: variables.text_of(values.get(found[1])), value)
        )
    if isinstance(value, list):
        return [fill(item, values) for item in value]
    if isinstance(value, dict):
        made = {key: fill(item, values) for key, item in value.items()}
        return {key: item for key, item in made.items() if item is not None}
    return value


def expression(text: str, values: Mapping[str, JSON]) -> str:
    """Return an expression with the id of the job in it."""
    return text.replace("{id}", variables.text_of(values.get("id")))


@lru_cache(maxsize=1)
def presets() -> dict[str, System]:
    """Return the systems that come with the portal, by name."""
    files = sorted(_HOME.glob("*.yaml"))
    return {path.stem: read(yaml.safe_load(path.read_text(encoding="utf-8"))) for path in files}


def read(data: JSON) -> System:
    """Read a system. Raises InvalidSystem naming the part that is wrong."""
    given = _mapping(data, "system")
    strange = set(given) - _KEYS
    if strange:
        raise InvalidSystem(_("没有 %s") % "、".join(sorted(strange)))
    submit, poll = _mapping(given.get("submit"), "submit"), _mapping(given.get("poll"), "poll")
    output = _mapping(given.get("output") or {}, "output")
    system = System(
        label=str(given.get("label") or ""),
        auth=_texts(given.get("auth"), "auth"),
        headers=_texts(given.get("headers"), "headers"),
        inputs=_inputs(_mapping(given.get("inputs") or {}, "inputs")),
        arguments=_mapping(given.get("arguments") or {}, "arguments"),
        submit=_call(submit, "submit", "POST"),
        id=_id(submit.get("id")),
        complete=_expression(submit.get("complete") or "", "submit.complete"),
        harmless=submit.get("harmless") is True,
        key_header=str(submit.get("key_header") or ""),
        start=_call(_mapping(given["start"], "start"), "start", "POST") if given.get("start") else None,
        poll=_call(poll, "poll", "GET"),
        state=_expression(poll.get("state"), "poll.state"),
        states=dict(_states(_mapping(given.get("states"), "states"))),
        output=_call(output, "output", "GET") if output.get("path") else None,
        text=_expression(output.get("text") or "", "output.text"),
        stop=[_call(_mapping(each, "stop"), "stop", "POST") for each in _list(given.get("stop") or [], "stop")],
    )
    if not {"succeeded", "failed"} <= set(system.states.values()):
        raise InvalidSystem(_("states 至少要有 succeeded 和 failed"))
    calls = [system.submit, system.start, system.poll, system.output, *system.stop]
    places = {name for call in calls if call for name in _PLACE.findall(call.path)}
    free = [name for name, each in system.inputs.items() if each.get("variables") and name in places]
    if free:
        raise InvalidSystem(_("%s 出现在请求路径里，不能带变量") % "、".join(free))
    return system


_KEYS = frozenset(
    {"label", "auth", "headers", "inputs", "arguments", "submit", "start", "poll", "states", "output", "stop"}
)


def _inputs(data: JSONDict) -> dict[str, JSONDict]:
    found = {name: _mapping(each or {}, f"inputs.{name}") for name, each in data.items()}
    for name, each in found.items():
        _list(each.get("refuse") or [], f"inputs.{name}.refuse")
    return found


def _call(data: JSONDict, where: str, method: str) -> Call:
    path, verb, status = data.get("path"), data.get("method") or method, data.get("status")
    if not isinstance(path, str) or not path.startswith("/") or ".." in path:
        raise InvalidSystem(_("%s.path 应以 / 开头") % where)
    if verb not in METHODS:
        raise InvalidSystem(_("%(where)s.method 只能是 %(methods)s") % {"where": where, "methods": "、".join(METHODS)})
    codes = range(200, 300) if status is None else _codes(_list(status, f"{where}.status"), f"{where}.status")
    return Call(
        path=path,
        method=str(verb),
        json=data.get("json"),
        form=data.get("form"),
        status=codes,
        ok=_expression(data.get("ok") or "", f"{where}.ok"),
        error=_expression(data.get("error") or "", f"{where}.error"),
        keep={
            name: _expression(text, f"{where}.keep") for name, text in _texts(data.get("keep"), f"{where}.keep").items()
        },
    )


def _codes(value: list[JSON], where: str) -> list[int]:
    found = [code for code in value if isinstance(code, int) and 100 <= code <= 599]
    if len(found) != len(value):
        raise InvalidSystem(_("%s 应为状态码列表，如 [200, 202]") % where)
    return found


def _id(value: JSON) -> "str | Mapping[str, str]":
    if not isinstance(value, dict):
        return _expression(value, "submit.id")
    found = _texts(value, "submit.id")
    try:
        if set(found) == {"header", "pattern"} and re2.compile(found["pattern"]).groups == 1:
            return found
    except re2.error as error:
        raise InvalidSystem(_("submit.id.pattern 不合法：%s") % error) from error
    raise InvalidSystem(_("submit.id 应为 JMESPath，或 {header, pattern}，pattern 里有一个括号"))


def _states(data: JSONDict) -> Iterator[tuple[str, str]]:
    for ours, theirs in data.items():
        if ours not in STATES:
            raise InvalidSystem(_("states 只能有 %s") % "、".join(STATES))
        for word in _list(theirs, f"states.{ours}"):
            yield variables.text_of(word), ours


def _expression(value: JSON, where: str) -> str:
    if value == "":
        return ""
    wrong = expressions.problem(expression(value, {"id": "1"}) if isinstance(value, str) else value)
    if wrong or not isinstance(value, str):
        raise InvalidSystem(_("%(where)s 不是合法的 JMESPath：%(wrong)s") % {"where": where, "wrong": wrong})
    return value


def _mapping(value: JSON, where: str) -> JSONDict:
    if not isinstance(value, dict):
        raise InvalidSystem(_("%s 应为对象") % where)
    return value


def _list(value: JSON, where: str) -> list[JSON]:
    if not isinstance(value, list):
        raise InvalidSystem(_("%s 应为列表") % where)
    return value


def _texts(value: JSON, where: str) -> dict[str, str]:
    found = _mapping(value or {}, where)
    if not all(isinstance(item, str) for item in found.values()):
        raise InvalidSystem(_("%s 的值应为文本") % where)
    return {str(key): str(item) for key, item in found.items()}
