"""Tables that people upload as CSV."""

import csv
import io
from collections.abc import Iterator

from django.utils.translation import gettext as _


class BadFile(ValueError):
    """The file cannot be read, in words for whoever uploaded it."""


def read_csv(raw: bytes) -> Iterator[list[str]]:
    """Yield the rows of a CSV file; Excel in Chinese writes GB 18030 unless it is told to write UTF-8. Raises BadFile."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = raw.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise BadFile(_("看不懂文件的编码，请另存为 UTF-8 的 CSV。"))
    if "\x00" in text:
        raise BadFile(_("这不是 CSV 文本。"))
    try:
        for row in csv.reader(io.StringIO(text)):
            yield [value.strip() for value in row]
    except csv.Error as error:
        raise BadFile(_("这不是 CSV 文本。")) from error
