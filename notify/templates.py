"""Message templates: a Jinja sandbox over plain data, with everything that could cost time or memory taken out.

A template may hold what is listed here and nothing else: no loop within a loop, no variable of its own, no call, no attribute.
What makes texts or lists is weighed, and the clock is looked at in every turn of a loop and before every filter.
"""

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, NoReturn

from django.utils.translation import gettext as _
from jinja2 import StrictUndefined, Template, TemplateError, Undefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

SIZE_LIMIT = 8 * 1024  # bytes of a template, and of a text within it
FILLED_LIMIT = 16 * 1024  # bytes of what it renders to: four parts of the longest message
LOOP_LIMIT = 1000  # items of a list, turns of a loop
TIME_LIMIT = 0.5  # seconds of this thread's processor time: a machine that is busy with other things does not count
FILTERS = (
    "default", "first", "int", "items", "last", "length", "list", "lower", "sort", "title", "trim", "truncate", "unique",
    "upper",
)  # fmt: skip
_TEXT_FILTERS = ("lower", "title", "trim", "truncate", "upper")
_LIST_FILTERS = ("items", "list", "sort", "unique")
_TESTS = ("defined", "undefined", "none", "string", "number", "in", "eq", "ne", "lt", "gt", "le", "ge", "odd", "even")
_LOOP = ("index", "index0", "first", "last", "length")
_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Name, nodes.Const, nodes.List, nodes.Tuple,
    nodes.Dict, nodes.Pair, nodes.Keyword, nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Getitem, nodes.Getattr,
    nodes.Slice, nodes.Concat, nodes.Compare, nodes.Operand, nodes.BinExpr, nodes.UnaryExpr,
)  # fmt: skip
# What a template can make Python raise; none of it is a fault of the portal.
_FAULTS = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, AssertionError,
           RecursionError, SyntaxError, MemoryError)  # fmt: skip
_until: ContextVar[float] = ContextVar("_until", default=float("inf"))


class BadTemplate(ValueError):
    """The template does not parse, or asks for what is not there or not allowed; the text says which, in Chinese."""


@contextmanager
def _timed() -> Iterator[None]:
    token = _until.set(time.thread_time() + TIME_LIMIT)
    try:
        yield
    finally:
        _until.reset(token)


def _look_at_the_clock() -> None:
    if time.thread_time() > _until.get():
        raise SecurityError(_("填写它太费时间"))


def _weighed(value: Any, most: int) -> Any:
    if isinstance(value, str | list | tuple | dict) and len(value) > most:
        raise SecurityError(_("其中的文字或列表太长"))
    return value


def _scalar(value: Any) -> Any:
    if isinstance(value, Undefined):
        str(value)  # raises, naming the variable
    if value is not None and not isinstance(value, str | int | float):
        raise SecurityError(_("只能显示文字和数字；列表用 for 或 join"))
    return "" if value is None else value


def _join(value: Iterable[Any], separator: str = "") -> str:
    parts = [str(_scalar(part)) for part in _Items(value)]
    if sum(map(len, parts)) + len(parts) * len(str(separator)) > SIZE_LIMIT:
        raise SecurityError(_("连起来的文字太长"))
    return str(separator).join(parts)


def _round(value: Any, precision: int = 0) -> Any:
    # More places, to the left of the point, make Python compute a power of ten of any size.
    if not isinstance(value, int | float) or precision not in range(7):
        raise SecurityError(_("round 只用于数字，小数 0 至 6 位"))
    return round(value, precision)


class _Items(list[Any]):
    """What a loop goes through: not too much of it, and not for long."""

    def __init__(self, value: Iterable[Any]) -> None:
        super().__init__(_weighed(value, LOOP_LIMIT))

    def __iter__(self) -> Iterator[Any]:
        for item in super().__iter__():
            _look_at_the_clock()
            yield item


def _guarded(name: str, filter_: Any) -> Any:
    most = LOOP_LIMIT if name in _LIST_FILTERS else SIZE_LIMIT

    def guarded(*args: Any, **kwargs: Any) -> Any:
        _look_at_the_clock()
        for value in (*args, *kwargs.values()):
            _weighed(value, most)
        return filter_(*(_scalar(arg) if _is_text(name, arg) else arg for arg in args), **kwargs)

    if hasattr(filter_, "jinja_pass_arg"):
        guarded.jinja_pass_arg = filter_.jinja_pass_arg  # type: ignore[attr-defined]
    return guarded


def _is_text(name: str, value: Any) -> bool:
    """Tell whether a filter takes a text or number here."""
    return name in _TEXT_FILTERS and not isinstance(value, _Sandbox)


class _Metered(NodeTransformer):
    """Lets loops and `~` go through what weighs."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, "each", [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(parts, "join", [], [], None, None, lineno=node.lineno)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Data is reached by its keys only, arithmetic is for small numbers, and nothing can be called."""

    intercepted_binops = frozenset({"**", "*", "%", "+"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            return _join((left, right))
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            raise SecurityError(_("%(what)s 只用于数字") % {"what": operator})
        if max(abs(left), abs(right)) > 1e6 or (operator == "**" and abs(right) > 8):
            raise SecurityError(_("%(what)s 两边的数字太大") % {"what": operator})
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
        undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True, finalize=_scalar,
        optimized=False,  # what can be computed while compiling would be, again at every level
    )  # fmt: skip
    sandbox.globals.clear()
    shipped = sandbox.filters
    sandbox.filters = {name: _guarded(name, shipped[name]) for name in FILTERS}
    sandbox.filters |= {"join": _guarded("join", _join), "round": _guarded("round", _round), "each": _Items}
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
        with _timed():
            for piece in template.generate(dict(values)):
                length += len(piece.encode())
                if length > FILLED_LIMIT:
                    raise SecurityError(_("填出来的文字太长"))
                pieces.append(piece)
    except _FAULTS as error:
        _refuse(error)
    return "".join(pieces).replace("\x00", "").strip()  # NUL: PostgreSQL stores none


def _compile(source: str) -> Template:
    if len(source) > SIZE_LIMIT or len(source.encode(errors="replace")) > SIZE_LIMIT:
        raise BadTemplate(_("模板超过 %(limit)d 字节。") % {"limit": SIZE_LIMIT})
    try:
        return _compiled(hashlib.sha256(source.encode(errors="replace")).hexdigest(), source)
    except _FAULTS as error:
        _refuse(error)


@lru_cache(maxsize=256)
def _compiled(digest: str, source: str) -> Template:
    with _timed():
        tree = _sandbox.parse(source)
        for node in tree.find_all(nodes.Node):
            if not isinstance(node, _ALLOWED):
                raise SecurityError(_("不能用 %(what)s") % {"what": type(node).__name__.lower()})
        for loop in tree.find_all(nodes.For):
            if loop.recursive or any(True for _inner in loop.find_all(nodes.For)):
                raise SecurityError(_("循环里不能再有循环"))
        metered = _Metered().visit(tree)
        metered.set_environment(_sandbox)
        return _sandbox.from_string(metered)


def _refuse(error: BaseException) -> NoReturn:
    line = getattr(error, "lineno", None) if isinstance(error, TemplateError) else None
    where = _("第 %(line)d 行：") % {"line": line} if line else ""
    why = str(error) or type(error).__name__
    raise BadTemplate(_("模板有误：%(where)s%(error)s") % {"where": where, "error": why}) from error
