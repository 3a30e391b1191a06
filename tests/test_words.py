"""Every word for people is marked for translation. What is left out is a language of its own: grammar, texts that WeCom fixes."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CHINESE = re.compile(r"[\u4e00-\u9fff]")
MARKS = {
    "_",
    "gettext",
    "gettext_lazy",
    "gettext_noop",
    "ngettext",
    "ngettext_lazy",
    "pgettext",
    "pgettext_lazy",
}
UNMARKED = (
    "approvals/messages.py",  # the fixed texts of requests and reasons
    "approvals/forms/policies.py",  # 组: and 值班: are how an approver is written
    "notify/forms/rules.py",  # 值班: is how a receiver is written
    "fta/config/host_table.py",  # the columns of a list of hosts
    "wechat/services/members.py",  # the columns of WeCom's export
    "fta/pipeline/budget.py",  # what a row is called in the database
    "wechat/commands/",  # what members may say
    "wechat/events.py",  # says it for them
    "wechat/menu.py",  # lives at WeCom, in one language
    "wechat/messages.py",  # the fixed answers
    "wechat/simulator/",  # the members and alerts of a demo
)
SPOKEN = re.compile(
    r"\{#.*?#\}|\{% comment %\}.*?\{% endcomment %\}|\{% blocktranslate.*?\{% endblocktranslate %\}"
    r"|\{% translate .*?%\}|_\(\"[^\"]*\"\)|_\('[^']*'\)|<code>(?:组|值班):|简体中文",
    re.S,
)


def _python() -> Iterator[Path]:
    for app in ("fta", "notify", "approvals", "wechat"):
        yield from (path for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts)


def _name(call: ast.Call) -> str:
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def _unmarked(source: str) -> list[str]:
    """Return the Chinese string constants of a module that no call for translation holds."""
    found, marked = {}, set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and _name(node) in MARKS:
            marked |= {id(each) for argument in node.args for each in ast.walk(argument)}
        elif isinstance(node, ast.Expr):  # a docstring
            marked.add(id(node.value))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and CHINESE.search(node.value):
            found[id(node)] = f"{node.lineno}: {node.value}"
    return [text for key, text in found.items() if key not in marked]


def test_every_word_in_python_is_marked() -> None:
    missing = {}
    for path in _python():
        name, source = str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        if CHINESE.search(source) and not name.startswith(UNMARKED) and (words := _unmarked(source)):
            missing[name] = words
    assert missing == {}


def test_every_word_in_templates_is_marked() -> None:
    missing = {}
    for path in (ROOT / "templates").rglob("*.html"):  # the texts of messages are chosen as a whole, by language
        rest = SPOKEN.sub("", path.read_text(encoding="utf-8"))
        if words := [line.strip() for line in rest.splitlines() if CHINESE.search(line)]:
            missing[str(path.relative_to(ROOT))] = words
    assert missing == {}


@pytest.mark.parametrize(
    ("source", "count"), [('x = "告警"', 1), ('x = _("告警")', 0), ('f"{x} 告警"', 1), ('"""告警"""', 0)]
)
def test_it_sees_what_is_missing(source: str, count: int) -> None:
    assert len(_unmarked(source)) == count
