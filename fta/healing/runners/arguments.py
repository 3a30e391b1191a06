"""What a script is given: typed values under plain names, never spliced into the script and never taken for an option."""

import re
import unicodedata
from collections.abc import Mapping

from django.utils.translation import gettext as _

from fta.healing import variables
from fta.lib.types import JSON

MAX_COUNT = 64
MAX_LENGTH = 256
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,31}")
_REFUSED = frozenset({"Cc", "Cs", "Zl", "Zp"})  # control characters, lone surrogates, line and paragraph separators


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
    """Accept a value that cannot do harm by its form. Raises InvalidArgument."""
    if isinstance(value, (dict, list)) or value is None:
        raise InvalidArgument(_("参数 %s 应为文本、数字或布尔值") % name)
    text = variables.text_of(value)
    if len(text) > MAX_LENGTH:
        raise InvalidArgument(_("参数 %(name)s 超过 %(most)s 个字符") % {"name": name, "most": MAX_LENGTH})
    if any(unicodedata.category(char) in _REFUSED for char in text):
        raise InvalidArgument(_("参数 %s 含有控制字符") % name)
    if isinstance(value, str) and text.startswith("-"):
        raise InvalidArgument(_("参数 %s 不能以 - 开头") % name)


def environment(arguments: Mapping[str, JSON]) -> dict[str, str]:
    """Return the environment variables of the arguments: FTA_PARAM_<NAME>."""
    return {f"FTA_PARAM_{name.upper()}": variables.text_of(value) for name, value in arguments.items()}
