"""What a script is given: values under plain names, as data. They are never part of its text or of any command line, so that
whatever an alert says arrives to the letter; what no environment variable can hold is refused.
"""

import re
from collections.abc import Mapping

from django.utils.translation import gettext as _

from fta.healing import variables
from fta.lib.plain import MAX_TEXT, UNSTORABLE
from fta.lib.types import JSON

MAX_COUNT = 64
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,31}")


class InvalidArgument(ValueError):
    """A name or value that a script must not be given; the text names it, for people."""


def check_names(names: object) -> None:
    """Accept a mapping's or list's names. Raises InvalidArgument."""
    if not isinstance(names, (dict, list)) or len(names) > MAX_COUNT:
        raise InvalidArgument(_("参数过多或格式不对，最多 %s 个") % MAX_COUNT)
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidArgument(
                _("参数名 %s 不合规：小写字母、数字、下划线，字母或下划线开头，最多 32 个字符") % repr(name)[:40]
            )


def check_value(name: str, value: JSON) -> None:
    """Accept a value that arrives whole. Raises InvalidArgument."""
    if isinstance(value, (dict, list)) or value is None:
        raise InvalidArgument(_("参数 %s 应为文本、数字或布尔值") % name)
    text = variables.text_of(value)
    if len(text) > MAX_TEXT:
        raise InvalidArgument(_("参数 %(name)s 超过 %(most)s 个字符") % {"name": name, "most": MAX_TEXT})
    if UNSTORABLE.search(text):
        raise InvalidArgument(_("参数 %s 含有不能传递的字符（NUL 或不成对的代理字符）") % name)


def environment(arguments: Mapping[str, JSON]) -> dict[str, str]:
    """Return the environment variables of the arguments: FTA_PARAM_<NAME>."""
    return {f"FTA_PARAM_{name.upper()}": variables.text_of(value) for name, value in arguments.items()}
