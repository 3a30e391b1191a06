"""A browser, a running portal with a simulated corp beside it, and the phone of a member."""

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.conftest import skip_or_fail
from tests.database import SECRETS
from tests.stage import Stage

# The headless build first: a fresh context of the full browser takes four times its work.
BROWSERS = (os.environ.get("FTA_CHROMIUM", ""), "/usr/bin/chromium-headless-shell", "/usr/bin/chromium")
# Nothing but this machine can be reached, whatever a page links to.
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"),
]
PREFIX = "/o/bk_fta_solution/"  # tests open the portal as a proxy that cuts it off would, and every link leads to it
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1440, "height": 900}
HOSTS = range(21, 60)  # a host of its own for every alert of a test, so that no convergence joins two tests


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    chromium = next((name for name in BROWSERS if name and Path(name).exists()), "")
    if not chromium:
        skip_or_fail("browser", "Chromium is not installed")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="package")
def portal(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The demo's portal with more hosts, under the path that a proxy gives it; started once for all pages."""
    made = Stage(tmp_path_factory.mktemp("pages"), SITE_PREFIX=PREFIX)
    try:
        yield made.prepare_more_hosts().start("web", "engine")
    finally:
        made.close()


@pytest.fixture(scope="package")
def free_hosts() -> Iterator[str]:
    return iter([f"127.0.0.{n}" for n in HOSTS])


class Watch:
    """Everything that pages complained about: script errors, refusals of the content policy, missing files."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.expected: tuple[str, ...] = ()

    def attend(self, page: Page) -> None:
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(words in message.text for words in self.expected):
            self.complaints.append(f"{message.page.url if message.page else ''}: {message.text}")


Contexts = Callable[..., BrowserContext]


@pytest.fixture
def watch() -> Iterator[Watch]:
    made = Watch()
    yield made
    assert made.complaints == []


@pytest.fixture
def contexts(browser: Browser, watch: Watch) -> Iterator[Contexts]:
    """Make browser contexts that share nothing; their pages are watched."""
    made: list[BrowserContext] = []

    def make(**options: Any) -> BrowserContext:
        context = browser.new_context(locale="zh-CN", timezone_id="Asia/Shanghai", **options)
        context.set_default_timeout(10_000)
        context.on("page", watch.attend)
        made.append(context)
        return context

    expect.set_options(timeout=10_000)
    yield make
    for context in made:
        context.close()


class Phone:
    """The simulator's page in one member's hand."""

    def __init__(self, page: Page, stage: Stage, userid: str) -> None:
        self.page, self.stage, self.userid = page, stage, userid
        page.goto(f"{stage.wecom}/?member={userid}")
        self.chat = page.get_by_label("会话", exact=True)

    def say(self, text: str) -> None:
        self.page.get_by_role("textbox", name="回复").fill(text)
        self.page.get_by_role("button", name="发送").click()

    def card(self, words: str) -> Any:
        return self.chat.locator(".f-tcard").filter(has_text=words)


@pytest.fixture
def phone(contexts: Contexts, portal: Stage) -> Callable[[str], Phone]:
    return lambda userid: Phone(contexts(viewport=DESKTOP).new_page(), portal, userid)


@pytest.fixture(scope="package")
def admin_state(browser: Browser, portal: Stage) -> Any:
    """Sign in as the administrator through the form; return what the browser keeps of it."""
    context = browser.new_context(locale="zh-CN")
    page = context.new_page()
    page.goto(portal.base)
    page.get_by_label("用户名").fill("admin")
    page.get_by_label("密码").fill(SECRETS["ADMIN_PASSWORD"])
    page.get_by_role("button", name="登录", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def menu(portal: Stage, contexts: Contexts, admin_state: Any) -> None:
    """Have the menu published, by its button."""
    if portal.world.menus:
        return
    page = contexts(storage_state=admin_state).new_page()
    page.goto(f"{portal.base}/doc/wechat_config/")
    page.get_by_role("button", name="发布菜单").click()
    expect(page.locator("main")).to_contain_text("菜单已发布")


def sideways(page: Page) -> bool:
    """Tell whether the page as a whole can be scrolled to the side."""
    found: bool = page.evaluate("document.scrollingElement.scrollWidth > document.scrollingElement.clientWidth")
    return found


def keep(page: Page, name: str) -> None:
    """Save a picture for people to look at, when FTA_SCREENSHOTS says where."""
    folder = os.environ.get("FTA_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


class Asked:
    """An alert that waits for a yes: its host, its execution, its approval and the code to answer with."""

    def __init__(self, stage: Stage, ip: str) -> None:
        self.stage, self.ip = stage, ip
        _forget(stage, "notify_groupclock")  # what lisi was asked a moment ago, with which this question would wait
        self.alert = stage.post_alert(f"e2e-{ip}", "host_down", ip, content=f"{ip} 连续 3 次 Ping 不通")["alerts"][0][
            "id"
        ]
        text = stage.wait(self._texts, f"lisi to be asked about {ip}", 60)
        self.code = re.search(r"同意请回复: TY (\d+_\d+)", text)[1]  # type: ignore[index]

    def _texts(self) -> str:
        said = (text for text in self.stage.texts("lisi") if f"重启 {self.ip}（" in text and "请审核" in text)
        return next(said, "")

    @property
    def approval(self) -> dict[str, Any]:
        found: dict[str, Any] = self.stage.execution_of(self.alert)["approvals"][0]  # type: ignore[index]
        return found

    def calls(self) -> int:
        return sum(call["body"]["ip"] == self.ip for call in self.stage.hook.calls)


@pytest.fixture(autouse=True)
def _a_minute_later(request: pytest.FixtureRequest) -> None:
    """Forget on both sides how many messages each member got: WeCom takes 30 a minute, and people are slower than tests."""
    if "portal" in request.fixturenames:
        stage: Stage = request.getfixturevalue("portal")
        _forget(stage, "notify_allowance", "notify_groupclock")
        with stage.world.lock:
            stage.world.reached_at.clear()


def _forget(stage: Stage, *tables: str) -> None:
    with closing(sqlite3.connect(stage.folder / "stage.sqlite3", timeout=20)) as link, link:
        for table in tables:
            link.execute(f"DELETE FROM {table}")


@pytest.fixture
def ask(portal: Stage, free_hosts: Iterator[str]) -> Callable[[], Asked]:
    return lambda: Asked(portal, next(free_hosts))


@pytest.fixture(scope="package")
def waiting(portal: Stage, free_hosts: Iterator[str]) -> Asked:
    """One approval that nobody answers, for pages to show."""
    return Asked(portal, next(free_hosts))
