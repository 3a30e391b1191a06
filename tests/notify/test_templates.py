"""The template sandbox: data in, text out, and no way to cost much."""

import time
from typing import Any

import pytest

from notify.messages import EVENTS, Occasion, clean, default_text
from notify.services import compose
from notify.templates import BadTemplate, check, render
from tests import factories

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
    with pytest.raises(BadTemplate):
        render(source, VALUES)
    assert time.monotonic() - started < 1


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
def test_every_shipped_text_fills_with_and_without_facts(event: str, form: str) -> None:
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
