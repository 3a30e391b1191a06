"""What the phone makes of Markdown: the vendor's few marks, and everything else as the text that it is."""

import pytest

from wechat.simulator.markdown import Span, lines


@pytest.mark.parametrize(
    ("text", "kind", "spans"),
    [
        ("", "", []),
        ("# 标题", "heading", [Span("标题")]),
        ("#7 号机", "", [Span("#7 号机")]),
        ("> 告警：**磁盘** 98%", "quote", [Span("告警："), Span("磁盘", "bold"), Span(" 98%")]),
        ('**<font color="info">成功</font>**！', "", [Span("成功", "bold info"), Span("！")]),
        ('<font color="red">x', "", [Span('<font color="red">x')]),
        ("`**a**` 与 [详情](http://127.0.0.1/)", "", [Span("**a**", "code"), Span(" 与 "), Span("详情", "", "http://127.0.0.1/")]),
        ("[未完](", "", [Span("[未完](")]),
        ("<script>alert(1)</script>", "", [Span("<script>alert(1)</script>")]),
    ],
)  # fmt: skip
def test_it_reads_what_the_vendor_shows(text: str, kind: str, spans: list[Span]) -> None:
    (line,) = lines(text + "\n")
    assert (line.kind, line.spans) == (kind, spans)
