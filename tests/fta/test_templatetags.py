"""The tags and includes that every page is made of."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from django import forms
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.template import Context, Template
from django.template.loader import render_to_string
from django.test import RequestFactory, override_settings
from django.urls import ResolverMatch
from django.utils import translation

from fta.templatetags.state_words import BY_KIND

ROOT = Path(settings.BASE_DIR)
NOW = datetime(2026, 11, 25, 6, 5, 12, tzinfo=UTC)  # 14:05:12 in the portal's zone


@pytest.fixture(autouse=True)
def _fixed() -> Any:
    with (
        time_machine.travel(NOW, tick=False),
        translation.override("zh-hans"),
        override_settings(TIME_ZONE="Asia/Shanghai"),
    ):
        yield


def render(source: str, **context: Any) -> str:
    return Template("{% load portal %}" + source).render(Context(context)).strip()


class ReasonForm(forms.Form):
    name = forms.CharField(label="名称", help_text="写给人看")
    note = forms.CharField(label="说明", widget=forms.Textarea)
    on = forms.BooleanField(label="启用", required=False)
    scope = forms.MultipleChoiceField(label="范围", choices=[("a", "支付")], widget=forms.CheckboxSelectMultiple)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (NOW, "14:05:12"),
        (NOW - timedelta(hours=14), "00:05:12"),
        (NOW - timedelta(hours=15), "11-24 23:05"),
        (NOW - timedelta(days=365), "2025-11-25"),
    ],
)
def test_moment_is_as_short_as_its_day_allows(value: datetime, text: str) -> None:
    html = render("{{ value|moment }}", value=value)
    assert f">{text}</time>" in html
    assert f'datetime="{value.isoformat()}"' in html
    assert re.search(r'title="\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0800"', html)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 秒"),
        (0.003, "3 毫秒"),
        (0.8, "0.8 秒"),
        (42, "42 秒"),
        (332, "5 分 32 秒"),
        (126, "2 分 06 秒"),
        (1800, "30 分钟"),
        (timedelta(hours=4, minutes=53), "4 小时 53 分"),
        (timedelta(hours=4, seconds=59), "4 小时"),
        (timedelta(days=3, minutes=59), "3 天"),
        (timedelta(days=3, hours=4), "3 天 4 小时"),
        (None, "—"),
    ],
)
def test_span_shows_two_units(value: Any, text: str) -> None:
    assert render("{{ value|span }}", value=value) == text


def test_ago_since_and_rough_span_count_from_now() -> None:
    assert ">8 分钟前</time>" in render("{{ value|ago }}", value=NOW - timedelta(minutes=8, seconds=40))
    assert render("{{ value|since }}", value=NOW - timedelta(seconds=4)) == "4 秒"
    assert render("{{ value|since:end }}", value=NOW, end=NOW + timedelta(minutes=1)) == "1 分钟"
    assert render("{{ 1560|rough_span }}") == "26 分钟"
    assert render("{{ value|moment }}{{ value|ago }}{{ value|since }}", value=None) == "———"


def test_time_left_shows_what_is_left_and_the_moment() -> None:
    html = render('{% time_left at "过期即驳回" %}', at=NOW + timedelta(minutes=18, seconds=40))
    assert html.startswith("剩 18 分 40 秒<br>")
    assert ">14:23:52</time> 过期即驳回" in html
    assert render("{% time_left at %}", at=NOW - timedelta(seconds=1)).startswith("已过期")
    assert render("{% time_left at %}", at=None) == "—"
    assert render('{{ at|left:"rough" }}', at=NOW + timedelta(minutes=18, seconds=40)) == "剩 18 分钟"


def test_numbers_and_hashes() -> None:
    assert render("{{ 1204567|thousands }} {{ none|thousands }}", none=None) == "1,204,567 —"
    assert render("{{ value|short_hash }}", value="41b70e9c" + "0" * 48 + "8d2f33a1") == "41b7 0e9c … 8d2f 33a1"
    assert render("{{ value|short_hash }}", value="41b70e9c") == "41b70e9c"


@pytest.mark.parametrize(
    ("state", "kind", "word", "glyph"),
    [
        ("pending", "approval", "待审批", "s-held"),
        ("pending", "delivery", "待发", "s-held"),
        ("almost_succeeded", "execution", "基本成功", "s-almost"),
        ("shielded", "", "已屏蔽", "s-shield"),
        ("mystery", "", "mystery", "s-dash"),
    ],
)
def test_state_says_glyph_word_and_class(state: str, kind: str, word: str, glyph: str) -> None:
    html = render("{% state value kind %}", value=state, kind=kind)
    assert f'class="f-state is-{state}"' in html
    assert f"states.svg#{glyph}" in html
    assert html.endswith(f"{word}</span>")


def test_state_reads_an_object_and_only_running_turns() -> None:
    execution = type("Execution", (), {"state": "running"})()
    alert = type("Alert", (), {"status": "resolved"})()
    assert "f-spin" in render("{% state it %}", it=execution)
    assert "已恢复" in render("{% state it %}", it=alert)
    assert "f-spin" not in render("{% state it %}", it=alert)


def test_every_state_has_a_hue_and_a_glyph() -> None:
    tokens = (ROOT / "static/css/tokens.css").read_text()
    glyphs = (ROOT / "static/img/states.svg").read_text()
    looks = {(state, look.glyph) for table in BY_KIND.values() for state, look in table.items()}
    assert [state for state, _ in looks if not re.search(rf"\.is-{state}\b", tokens)] == []
    assert [glyph for _, glyph in looks if f'id="{glyph}"' not in glyphs] == []


def test_state_and_severity_escape_hostile_words() -> None:
    html = render("{% state bad %}{% severity bad %}", bad='"><script>')
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_severity_is_bars_and_a_word() -> None:
    assert render('{% severity "error" %}').count('class="on"') == 3
    assert render('{% severity "critical" %}').endswith("致命</span>")


def test_every_icon_that_a_template_names_exists() -> None:
    sheet = (ROOT / "static/img/icons.svg").read_text()
    used = {
        name
        for page in (ROOT / "templates").rglob("*.html")
        for name in re.findall(r'{% (?:icon|nav_link "[^"]+") "([a-z]+)"', page.read_text())
    }
    assert "bell" in used
    assert {name for name in used if f'id="i-{name}"' not in sheet} == set()


def test_nav_link_is_drawn_only_when_its_page_exists() -> None:
    assert render('{% nav_link "web:no-such-page" "bell" "告警" %}') == ""
    html = render('{% nav_link "admin:index" "bell" "告警" count=1430 tone="failed" key="a" %}')
    assert 'class="f-count is-failed">1,430</span>' in html
    assert 'data-key="a"' in html
    assert "aria-current" not in html


def test_nav_link_marks_the_page_that_is_open() -> None:
    request = RequestFactory().get("/")
    request.resolver_match = ResolverMatch(lambda: None, (), {}, url_name="logout", namespaces=["admin"])
    link = '{% nav_link "admin:index" "bell" "告警" section="admin:log" %}'
    assert 'aria-current="page"' in render(link, request=request)
    assert 'aria-current="page"' in render(link, nav="admin:index")
    assert "aria-current" not in render(link, request=request, nav="web:alerts")


def test_field_ties_help_and_error_to_its_control() -> None:
    form = ReasonForm({"name": "", "note": "x", "scope": ["a"]}, auto_id="id_%s")
    html = render_to_string("includes/field.html", {"field": form["name"], "layout": "row"})
    assert 'class="f-frow"' in html
    assert 'class="f-input is-bad"' in html
    assert 'aria-describedby="id_name_help id_name_error"' in html
    assert 'id="id_name_error"' in html
    good = render_to_string("includes/field.html", {"field": form["note"]})
    assert 'class="f-area"' in good
    assert 'rows="4"' in good
    assert "aria-invalid" not in good


def test_field_draws_ticks_and_groups_in_their_own_way() -> None:
    form = ReasonForm()
    assert 'class="f-tick"' in render_to_string("includes/field.html", {"field": form["on"]})
    assert 'role="group"' in render_to_string("includes/field.html", {"field": form["scope"]})


def test_pager_links_only_to_neighbours_that_exist() -> None:
    html = render_to_string("includes/pager.html", {"shown": 50, "total": 1432, "next_url": "?after=9"})
    assert "共 1,432 条，本页 50 条" in html
    assert 'rel="next"' in html
    assert 'rel="prev"' not in html
    assert render_to_string("includes/pager.html", {}).strip() == ""


@pytest.mark.parametrize(("kind", "main"), [("well", False), ("narrow", False), ("unbegun", True)])
def test_empty_offers_one_way_on(kind: str, main: bool) -> None:
    html = render_to_string("includes/empty.html", {"kind": kind, "title": "空", "action_url": "/x", "action": "去"})
    assert html.count("<a ") == 1
    assert ("is-main" in html) is main


def test_messages_take_the_hue_of_their_level() -> None:
    message = SimpleNamespace(level_tag="error", __str__=lambda: "x")
    html = render_to_string("includes/messages.html", {"messages": [message]})
    assert 'class="f-note is-error"' in html


@pytest.mark.parametrize("name", ["400.html", "403.html", "403_csrf.html", "404.html", "500.html"])
def test_error_pages_need_no_context(name: str) -> None:
    html = render_to_string(name)
    assert "<h1>" in html
    assert f'<p class="f-sub">{name[:3]}</p>' in html


@pytest.mark.parametrize("name", ["base.html", "base_mobile.html", "registration/login.html"])
def test_frames_hold_nothing_inline(name: str) -> None:
    html = render_to_string(name, {"form": AuthenticationForm(), "csrf_token": "t0ken"})
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", html)
    assert 'rel="icon"' in html


def test_login_offers_wecom_only_when_it_is_set_up() -> None:
    assert "企业微信登录" not in render_to_string("registration/login.html", {"form": AuthenticationForm()})
    html = render_to_string(
        "registration/login.html", {"form": AuthenticationForm(), "wecom_login_url": "/wechat/oauth/"}
    )
    assert 'href="/wechat/oauth/"' in html


def test_vendored_files_are_as_locked() -> None:
    done = subprocess.run([sys.executable, ROOT / "deploy/vendor/vendor.py", "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
