"""Message templates: a Jinja sandbox over plain data, with everything that could cost time or memory taken out.

A template has no loop within a loop, no variable of its own, no call and no attribute; what is left can only grow with the
template's own length, which is limited.
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NoReturn

from django.utils.translation import gettext as _
from jinja2 import StrictUndefined, Template, TemplateError, Undefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

SIZE_LIMIT = 8 * 1024  # bytes of a template, and of what it renders to
FILTERS = (
    "default", "first", "int", "items", "last", "length", "list", "lower", "round", "sort", "title", "trim", "truncate",
    "unique", "upper",
)  # fmt: skip
_TEXT_FILTERS = ("lower", "title", "trim", "truncate", "upper")
_TESTS = ("defined", "undefined", "none", "string", "number", "in", "eq", "ne", "lt", "gt", "le", "ge", "odd", "even")
_LOOP = ("index", "index0", "first", "last", "length")
_REFUSED = (nodes.Assign, nodes.AssignBlock, nodes.FilterBlock, nodes.Macro, nodes.CallBlock, nodes.Call, nodes.Include,
            nodes.Import, nodes.FromImport, nodes.Extends, nodes.Block)  # fmt: skip


class BadTemplate(ValueError):
    """The template does not parse, or asks for what is not there or not allowed; the text says which, in Chinese."""


def _scalar(value: Any) -> Any:
    if isinstance(value, Undefined):
        str(value)  # raises, naming the variable
    if value is not None and not isinstance(value, str | int | float):
        raise SecurityError("only texts and numbers can be shown; use a loop or join")
    return "" if value is None else value


def _join(value: Iterable[Any], separator: str = "") -> str:
    parts = [str(_scalar(part)) for part in value]
    if sum(map(len, parts)) + len(parts) * len(separator) > SIZE_LIMIT:
        raise SecurityError("join makes a text that is too long")
    return str(separator).join(parts)


def _text_only(filter_: Any) -> Any:
    def guarded(*args: Any, **kwargs: Any) -> Any:
        return filter_(*(_plain(arg) for arg in args), **kwargs)

    if hasattr(filter_, "jinja_pass_arg"):
        guarded.jinja_pass_arg = filter_.jinja_pass_arg  # type: ignore[attr-defined]
    return guarded


def _plain(value: Any) -> Any:
    return value if isinstance(value, _Sandbox) else _scalar(value)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Data is reached by its keys only, arithmetic is for small numbers, and nothing can be called."""

    intercepted_binops = frozenset({"**", "*", "%", "+"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            return _join((left, right))
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            raise SecurityError(f"{operator} is for numbers only")
        if max(abs(left), abs(right)) > 1e6 or (operator == "**" and abs(right) > 8):
            raise SecurityError(f"{operator} of numbers that are too large")
        return super().call_binop(context, operator, left, right)

    def is_safe_callable(self, obj: Any) -> bool:
        return False

    def getattr(self, obj: Any, attribute: str) -> Any:
        return (
            getattr(obj, attribute)
            if isinstance(obj, LoopContext) and attribute in _LOOP
            else self._item(obj, attribute)
        )

    def getitem(self, obj: Any, argument: Any) -> Any:
        return self._item(obj, argument)

    def _item(self, obj: Any, key: Any) -> Any:
        try:
            return obj[key]
        except (LookupError, TypeError, AttributeError):
            return self.undefined(obj=obj, name=key)


def _environment() -> _Sandbox:
    sandbox = _Sandbox(  # the texts are no HTML; values are made safe for their channel before they come here
        undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True, finalize=_scalar
    )
    sandbox.globals.clear()
    shipped = sandbox.filters
    sandbox.filters = {name: shipped[name] for name in FILTERS} | {"join": _join}
    sandbox.filters |= {name: _text_only(shipped[name]) for name in _TEXT_FILTERS}
    sandbox.tests = {name: sandbox.tests[name] for name in _TESTS}
    return sandbox


_sandbox = _environment()


def check(source: str) -> None:
    """Raise BadTemplate when the template can never render, naming the line."""
    _compile(source)


def render(source: str, values: Mapping[str, Any]) -> str:
    """Render a template over plain JSON data; a value that looks like a template stays as it is.

    Raises BadTemplate, naming a variable that is not there.
    """
    template = _compile(source)
    pieces: list[str] = []
    length = 0
    try:
        for piece in template.generate(dict(values)):
            length += len(piece.encode())
            if length > SIZE_LIMIT:
                raise SecurityError("the text is too long")
            pieces.append(piece)
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        _refuse(error)
    return "".join(pieces).strip()


def _compile(source: str) -> Template:
    if len(source.encode()) > SIZE_LIMIT:
        raise BadTemplate(_("模板超过 %(limit)d 字节。") % {"limit": SIZE_LIMIT})
    try:
        return _compiled(hashlib.sha256(source.encode()).hexdigest(), source)
    except (TemplateError, RecursionError) as error:
        _refuse(error)


@lru_cache(maxsize=256)
def _compiled(digest: str, source: str) -> Template:
    tree = _sandbox.parse(source)
    for node in tree.find_all(_REFUSED):
        raise SecurityError(f"{type(node).__name__.lower()} is not allowed")
    for loop in tree.find_all(nodes.For):
        if loop.recursive or any(True for _inner in loop.find_all(nodes.For)):
            raise SecurityError("a loop within a loop is not allowed")
    return _sandbox.from_string(source)


def _refuse(error: Exception) -> NoReturn:
    line = getattr(error, "lineno", None)
    where = _("第 %(line)d 行：") % {"line": line} if line else ""
    raise BadTemplate(_("模板有误：%(where)s%(error)s") % {"where": where, "error": error}) from error
