"""What JSON, both databases and every process can hold: values from a file or a caller are judged by it at the door."""

import math
import re
from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _

MAX_TEXT = 8192  # characters of one value: 64 of them in UTF-8 fit into the environment of a process, 2 MiB on Linux
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL stores none of these, and no process takes them


def faults(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (path, words) for every part of a value that JSON, or PostgreSQL's jsonb, cannot hold."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or UNSTORABLE.search(key):
                yield path, _("名称 %s 应为文本，且不含空字符") % ascii(key)[:40]
                continue
            yield from faults(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from faults(item, f"{path}[{at}]")
    elif isinstance(value, str):
        if UNSTORABLE.search(value):
            yield path, _("含有不能保存的字符（空字符或不完整的 Unicode）")
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, _("应为有限的数字")
    elif value is not None and not isinstance(value, (bool, int, float)):
        yield path, _("应为文本、数字、布尔值、列表或对象")
