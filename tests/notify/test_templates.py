"""The template sandbox: data in, text out, and no way to cost much."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from django.core.checks import run_checks
from django.utils import translation

from approvals.models import Approval
from notify import services
from notify.message import size
from notify.messages import EVENTS, LIBRARY, Occasion, clean, default_text, library_text, shape
from notify.services import compose
from notify.templates import LOOP_LIMIT, BadTemplate, check, render
from tests import factories
from tests.database import ROOT
from tests.notify.bombs import BOMBS

CHINESE = re.compile(r"[\u3001-\u9fff\uff00-\uff60]")  # and full-width marks
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


@pytest.fixture(scope="module")
def filled() -> dict[str, tuple[str, float, int]]:
    """What became of each bomb in a process of its own: its outcome, seconds, and bytes that the process grew by."""
    try:
        command = [sys.executable, "-m", "tests.notify.bombs"]
        out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    except subprocess.TimeoutExpired as late:  # the one after the last line never ended
        out = (late.stdout or b"").decode()
    return {name: (outcome, seconds, grown) for name, outcome, seconds, grown in map(json.loads, out.splitlines())}


@pytest.mark.parametrize("name", BOMBS)
def test_it_refuses_what_would_cost_time_or_memory(filled: dict[str, tuple[str, float, int]], name: str) -> None:
    outcome, seconds, grown = filled[name]
    assert outcome == "refused"
    assert seconds < 2
    assert grown < 16 * 1024 * 1024


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ name.upper() }}",
        "{{ lipsum }}",
        "{{ self }}",
        "{% set x %}{{ name }}{% endset %}",
        "{% filter upper %}x{% endfilter %}",
        "{% autoescape true %}x{% endautoescape %}",
        "{% include 'x' %}",
        "{% extends 'x' %}",
        "{% block x %}{% endblock %}",
        "{{ rows }}",
        "{{ rows|sort(attribute='__class__.__mro__') }}",
        "{{ rows|map('upper') }}",
        "{{ 1 / 0 }}",
    ],
)
def test_it_refuses_ways_out(source: str) -> None:
    with pytest.raises(BadTemplate):
        render(source, VALUES)


def test_it_says_in_words_what_is_refused() -> None:
    for source, said in (
        ("{% with a = 1 %}{% endwith %}", "不能用 with"),
        ("{% for a in rows %}{% for b in rows %}{% endfor %}{% endfor %}", "循环里不能再有循环"),
        ("{{ n|round(9) }}", "round 只用于数字"),
        ("{{ name * 2 }}", "\\* 只用于数字"),
        ("{{ rows }}", "只能显示文字和数字"),
    ):
        with pytest.raises(BadTemplate, match=said):
            render(source, VALUES)


@pytest.mark.parametrize(
    "source",
    [
        "{% for c in long %}{% endfor %}",
        "{{ long|list|length }}",
        "{{ long|sort|first }}",
        "{{ long|unique|list|length }}",
    ],
)
def test_a_loop_and_a_list_have_a_thousand_items_at_most(source: str) -> None:
    render(source, {"long": "x" * LOOP_LIMIT})
    with pytest.raises(BadTemplate, match="太长"):
        render(source, {"long": "x" * (LOOP_LIMIT + 1)})


def test_what_a_template_does_within_the_limits_stays() -> None:
    source = (
        "{{ 3.14159|round(2) }} {{ 2.6|round }} {{ name ~ '/' ~ n ~ none }} {{ missing|default('x') }} {{ '9'|int + 1 }} "
        "{% for k, v in labels|items|sort if v != 'x' %}{{ loop.index }}/{{ loop.length }} {{ k }}={{ v }}{% else %}no{% endfor %}"
        "{{ name if n > 2 else 'few' }} {{ rows[0] + rows[-1] }} {{ name[:3] }} {{ name|truncate(2, true, '…', 0) }}\x00"
    )
    assert render(source, VALUES) == "3.14 3.0 web-1/3 x 10 1/1 k={{7*7}}web-1 4 web w…"


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
@pytest.mark.parametrize(("form", "quote"), [("text", ""), ("markdown", "> ")])
def test_what_an_alert_says_at_length_keeps_its_lines(form: str, quote: str) -> None:
    lines = [f"  第 {number} 行 <@all> http://evil" for number in range(60)]
    alert = factories.alert(content="\r\n".join(lines), host=factories.host())
    now = factories.timezone.now()
    text = compose(Occasion("alert.firing", "k", alert), "wecom_app", form, now).text
    assert "\n".join(f"{quote}  第 {number} 行 ＜@all＞ http：//evil" for number in range(60)) in text
    run = factories.execution(alert=alert, state="failed", reason="一\n二", package=factories.package())
    assert f"原因：一\n{quote}二" in compose(Occasion("execution.failed", "k", alert, run), "wecom_app", form, now).text
    alert.content = "长" * 9000
    text = compose(Occasion("alert.firing", "k", alert), "wecom_app", form, now).text
    assert "…（共 9000 字）" in text
    assert 8000 < size(text) < 9000


@pytest.mark.django_db
def test_every_shipped_text_fills_with_the_longest_values() -> None:
    long = "长" * 20000
    host = factories.host(name="长" * 64)
    alert = factories.alert(content=long, title="长" * 255, alert_type="长" * 255, host=host)
    package = factories.package(name="长" * 64)
    run = factories.execution(alert=alert, state="failed", reason=long, package=package)
    for event in EVENTS:
        assert compose(Occasion(event, "k", alert, run, text=long), "wecom_app", "text", factories.timezone.now()).text


@pytest.mark.django_db
@pytest.mark.parametrize("event", sorted(EVENTS))
@pytest.mark.parametrize("form", ["text", "markdown", "plain"])
@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_every_shipped_text_fills_with_and_without_facts(event: str, form: str, language: str, settings: Any) -> None:
    settings.LANGUAGE_CODE = language
    _fills(event, form)


@pytest.mark.django_db
@pytest.mark.parametrize("form", ["text", "markdown"])
def test_messages_are_in_english_throughout_where_the_portal_is(settings: Any, form: str) -> None:
    settings.LANGUAGE_CODE = "en"
    assert run_checks(tags=["translation"]) == []
    now, game = factories.timezone.now(), factories.business("game", "game")
    source = factories.source(business=game)
    resolved = factories.alert(target="", title="disk full", source=source, business=game, resolved_at=now)
    alert = factories.alert(host=factories.host(business=game), title="disk full", source=source)
    run = factories.execution(
        alert=alert, package=factories.package(name="cleanup"), state="failed", reason="exit status 1",
        started_at=now, ended_at=now + factories.timedelta(seconds=95),
    )  # fmt: skip
    asked = Approval(pk=1, code="C", message="reboot", created_at=now, expires_at=now + factories.timedelta(minutes=29))
    texts = []
    for event in EVENTS:
        for number, made in enumerate(((None, None), (resolved, None), (alert, run))):
            message = compose(
                Occasion(event, f"k{number}", *made, approval=asked, text="broken"), "wecom_app", form, now
            )
            texts.append(f"{message.title}\n{message.text}")
    assert [text for text in texts if CHINESE.search(text)] == []
    assert any("local-1 (127.0.0.10)" in text and "took 1 min 35 s" in text for text in texts)
    with translation.override("zh-hans"):  # somebody's own language is not the portal's
        assert CHINESE.search(compose(Occasion("alert.firing", "k", alert), "wecom_app", form, now).text) is None


@pytest.mark.django_db
def test_messages_are_in_chinese_otherwise() -> None:
    alert = factories.alert(host=factories.host())
    with translation.override("en"):
        assert (
            "致命" in compose(Occasion("alert.firing", "k", alert), "wecom_app", "text", factories.timezone.now()).text
        )


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
    at = factories.timezone.now() if event == "alert.resolved" else None
    labels = {"instance": "10.0.0.1:9100"}
    alert = factories.alert(host=factories.host(), labels=labels, content="磁盘写满", resolved_at=at)
    values = services.values_for(Occasion(event, "k", alert), "wecom_app", "text", factories.timezone.now())
    text = render(library_text(name), values)
    assert "告警类型: disk_full" in text
    assert "故障实例ip: 10.0.0.1:9100;" in text
    assert "namespace" not in text
    assert ("恢复时间: " in text) == (event == "alert.resolved")


def test_markdown_is_shown_as_the_phone_does() -> None:
    text = '**<font color="warning">磁盘写满</font>**\n> 主机：a\n[查看详情](https://x/1)'
    first, second, third = shape.lines(text)
    assert first.spans == (shape.Span("磁盘写满", bold=True, colour="warning"),)
    assert (second.quoted, second.spans) == (True, (shape.Span("主机：a"),))
    assert third.spans == (shape.Span("查看详情", url="https://x/1"),)
