"""The template sandbox: data in, text out, and no way to cost much."""

import re
import time
import tracemalloc
from typing import Any

import pytest
from django.utils import translation

from notify import services
from notify.messages import EVENTS, LIBRARY, Occasion, clean, default_text, library_text, shape
from notify.services import compose
from notify.templates import BadTemplate, check, render
from tests import factories

CHINESE = re.compile(r"[\u4e00-\u9fff]")
VALUES: dict[str, Any] = {"name": "web-1", "n": 3, "labels": {"k": "{{7*7}}", "items": "x"}, "rows": [1, 2, 3]}


def test_it_fills_plain_data_and_leaves_what_looks_like_a_template() -> None:
    source = (
        "{{ name|upper }} {{ labels.k }} {{ labels.items }} {% for r in rows %}{{ loop.index }}:{{ r }} {% endfor %}"
    )
    assert render(source, VALUES) == "WEB-1 {{7*7}} x 1:1 2:2 3:3"
    assert render("{{ rows|join('、') }}{% if n > 2 %} 多{% endif %}", VALUES) == "1、2、3 多"


def test_it_names_a_variable_that_is_not_there() -> None:
    with pytest.raises(BadTemplate, match="hostname"):
        render("{{ hostname }}", VALUES)
    with pytest.raises(BadTemplate, match="第 1 行"):
        check("{{ name")


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 50000000 }}",
        "{{ 9 ** 9999999 }}",
        "{{ ((9 ** 8) ** 8) ** 8 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ name|center(300000000) }}",
        "{{ name.center(300000000) }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ name.upper() }}",
        "{{ range(10) }}",
        "{{ lipsum }}",
        "{{ self }}",
        "{% set x = name %}{{ x }}",
        "{% set x %}{{ name }}{% endset %}",
        "{% for a in rows %}{% for b in rows %}{% endfor %}{% endfor %}",
        "{% for a in rows recursive %}{{ loop(rows) }}{% endfor %}",
        "{% macro m() %}{% endmacro %}{{ m() }}",
        "{% include 'x' %}",
        "{{ 'aa'|join('" + "b" * 4000 + "')|join('" + "b" * 3900 + "') }}",
        "{{ rows }}",
        "x" * 9000,
        "{% for c in '" + "c" * 4000 + "' %}{{ name }}{% endfor %}",
    ],
)
def test_it_refuses_bombs_and_ways_out_at_once(source: str) -> None:
    started = time.monotonic()
    tracemalloc.start()
    with pytest.raises(BadTemplate):
        render(source, VALUES)
    assert time.monotonic() - started < 2
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 16 * 1024 * 1024  # bytes


@pytest.mark.parametrize(
    ("kind", "form"), [("wecom_app", "text"), ("wecom_robot", "markdown"), ("email", "plain"), ("webhook", "plain")]
)
def test_it_makes_values_harmless_for_their_channel(kind: str, form: str) -> None:
    hostile = "a\r\nb\u202e\u200bc <@all> </font><a href='http://evil/'>x</a> [ok](http://evil) `x`"
    text = clean({"v": hostile}, kind, form)["v"]
    assert "\n" not in text
    assert "\r" not in text
    assert "\u202e" not in text
    assert "\u200b" not in text
    if kind.startswith("wecom"):
        assert "<" not in text
        assert "http://" not in text
    if form == "markdown":
        assert "](" not in text
        assert "`" not in text
    if kind == "email":
        assert text.startswith("a bc <@all>")


@pytest.mark.django_db
@pytest.mark.parametrize("event", sorted(EVENTS))
@pytest.mark.parametrize("form", ["text", "markdown", "plain"])
@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_every_shipped_text_fills_with_and_without_facts(event: str, form: str, language: str) -> None:
    with translation.override(language):
        _fills(event, form)
        assert CHINESE.search(default_text(event)) is None or language == "zh-hans"


def _fills(event: str, form: str) -> None:
    now = factories.timezone.now()
    check(default_text(event))
    bare = compose(Occasion(event, "k", text="出错了"), "wecom_app", form, now)
    alert = factories.alert(host=factories.host(), target="127.0.0.10")
    run = factories.execution(
        alert=alert, package=factories.package(name="磁盘清理"), state="failed", reason="脚本退出码 1", started_at=now
    )
    full = compose(Occasion(event, "k", alert, run, text="出错了"), "wecom_app", form, now)
    for message in (bare, full):
        assert message.title
        assert message.form == form
        assert "\n\n" not in message.text


@pytest.mark.django_db
@pytest.mark.parametrize("name", LIBRARY)
@pytest.mark.parametrize("event", ["alert.firing", "alert.resolved"])
def test_what_is_shipped_to_start_from_fills(name: str, event: str) -> None:
    alert = factories.alert(host=factories.host(), labels={"instance": "10.0.0.1:9100"}, content="磁盘写满")
    values = services.values_for(Occasion(event, "k", alert), "wecom_app", "text", factories.timezone.now())
    text = render(library_text(name), values)
    assert "告警类型: disk_full" in text
    assert "故障实例ip: 10.0.0.1:9100;" in text
    assert "namespace" not in text
    assert ("持续时间" in text) == (event == "alert.resolved")


def test_markdown_is_shown_as_the_phone_does() -> None:
    text = '**<font color="warning">磁盘写满</font>**\n> 主机：a\n[查看详情](https://x/1)'
    first, second, third = shape.lines(text)
    assert first.spans == (shape.Span("磁盘写满", bold=True, colour="warning"),)
    assert (second.quoted, second.spans) == (True, (shape.Span("主机：a"),))
    assert third.spans == (shape.Span("查看详情", url="https://x/1"),)
