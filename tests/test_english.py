"""The portal in English: every word has one, with the same places to fill, and no page falls back to Chinese."""

import ast
import gettext
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone, translation
from django.utils.translation.template import templatize

from approvals import services
from approvals.models import Policy
from fta.models import Person
from tests import factories
from tests.approvals.conftest import held
from tests.database import ROOT
from tests.test_words import CHINESE, MARKS
from wechat.models import WecomApp

WAIT = {"id": 1, "name": "Wait", "type": "sleep", "params": {"seconds": 1}}
CATALOGUE = ROOT / "locale/en/LC_MESSAGES/django.mo"
CODE = re.compile(r"<textarea.*?</textarea>|<pre.*?</pre>|<code.*?</code>", re.DOTALL)
PLACES = re.compile(r"%\(\w+\)|%[sd]|\{\w+\}|</?kbd>|<span[^>]*>")
MARKED = re.compile(r"gettext(?:_noop|_lazy)?\(u?('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")")
# What stays Chinese in English: what a person types or finds in WeCom, what other systems compare, and the choice of a language.
KEPT = re.compile(
    r"待办|详情|转交|停止|恢复|帮助|值班|是 or 否|空闲机|国庆节|账号|姓名|邮箱|名称|业务|集群|模块|负责人|备机|属性\.机房|组:"
    r"|审批列表|简体中文|磁盘写满|即将执行|,请审核！|同意请回复|驳回请回复|【故障自愈】|愈"
    r"|token不正确|POST不是合法JSON|创建审批单成功"
)


@pytest.fixture(scope="module")
def words() -> dict[str, str]:
    with CATALOGUE.open("rb") as stored:
        catalogue: Any = gettext.GNUTranslations(stored)
    return {key if isinstance(key, str) else key[0]: text for key, text in catalogue._catalog.items() if key}


def spoken() -> Iterator[str]:
    """Yield every text that code and templates mark."""
    for app in ("fta", "notify", "approvals", "wechat"):
        for path in (ROOT / app).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                name = str(getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
                first = node.args[0] if isinstance(node, ast.Call) and name in MARKS and node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value
    for path in [*ROOT.glob("templates/**/*.html"), *ROOT.glob("wechat/simulator/templates/**/*.html")]:
        for found in MARKED.findall(templatize(path.read_text(encoding="utf-8"))):
            yield ast.literal_eval(found)


def test_every_word_has_an_english_one(words: dict[str, str]) -> None:
    assert {text for text in spoken() if CHINESE.search(text)} - words.keys() == set()


def test_it_fills_the_same_places(words: dict[str, str]) -> None:
    for chinese, english in words.items():
        assert sorted(PLACES.findall(chinese)) == sorted(PLACES.findall(english)), chinese
        assert not CHINESE.search(KEPT.sub("", english)), english


def addresses(patterns: Any, namespace: str = "") -> Iterator[str]:
    """Yield the names of the pages that need no argument."""
    for each in patterns:
        if isinstance(each, URLResolver):
            yield from addresses(each.url_patterns, f"{each.namespace}:" if each.namespace else namespace)
        elif (
            isinstance(each, URLPattern) and each.name and not each.pattern.converters and not each.pattern.regex.groups
        ):
            yield namespace + each.name


@pytest.fixture
def filled(db: None) -> dict[str, int]:
    """Fill the portal with rows whose own words are Latin; return an id for each page about one of them."""
    game = factories.business("game", "Game")
    lisi = factories.person("lisi", "operator", businesses=(game,))
    host = factories.host("127.0.0.10", "local-1", business=game, operators=[lisi])
    package = factories.package("clean", name="Clean", business=game, nodes=[WAIT])
    factories.package("clean-disk", name="Clean disk", business=game, nodes=[WAIT])
    rule = factories.rule("Disk", package=package)
    Policy.objects.create(name="default", stages=[{"approvers": [{"person": "lisi"}], "quorum": 1}])
    WecomApp.objects.create(name="default", is_default=True, corp_id="ww1", agent_id=7, secret="s" * 20)
    alert = factories.alert(title="Disk full", content="95 %", target="127.0.0.10", host=host, business=game)
    run = factories.execution(alert=alert, package=package, rule=rule, state="succeeded")
    factories.step(run)
    with translation.override("en"):
        waits = held(
            game,
            alert=factories.alert(title="Disk full", content="95 %", target="127.0.0.10", host=host, business=game),
        )
        approval = services.open_gate(waits, ["the rule asks first"], timezone.now())
    return {"web:alert": alert.pk, "web:execution": run.pk, "approvals:detail": approval.pk, "web:host": host.pk}


def test_no_page_speaks_chinese(settings: Any, filled: dict[str, int], admin: Person, client: Client) -> None:
    settings.LANGUAGE_CODE = "en"
    client.force_login(admin.user)
    pages = [
        reverse(name) for name in addresses(get_resolver().url_patterns) if not name.startswith(("admin:", "api:"))
    ]
    pages += [reverse(name, args=[pk]) for name, pk in filled.items()]
    left: dict[str, set[str]] = {}
    looked = 0
    with translation.override("en"):
        for page in pages:
            if page == reverse("web:library"):  # ready packages are data, written in Chinese
                continue
            answer = client.get(page)
            if answer.status_code != 200 or not answer.get("Content-Type", "").startswith("text/html"):
                continue
            looked += 1
            text = re.sub(
                r"<textarea.*?</textarea>|<pre.*?</pre>|<code.*?</code>",
                "",
                unescape(answer.content.decode()),
                flags=re.S,
            )
            if "<html" in text and '<html lang="en"' not in text:
                left[page] = {"not said to be English"}
            if found := set(re.findall(r"[^<>\"\n]*[\u4e00-\u9fff][^<>\"\n]*", KEPT.sub("", text))):
                left[page] = found
    assert looked > 40
    assert left == {}, "\n".join(f"{page}: {texts}" for page, texts in left.items())
