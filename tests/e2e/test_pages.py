"""Every page of the side bar, on a desk and on a phone: it opens, complains of nothing and does not slide sideways."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import DESKTOP, PHONE, Asked, Contexts, keep, sideways
from tests.stage import Stage

pytestmark = pytest.mark.browser

WIDTHS = {"desktop": DESKTOP, "phone": PHONE}  # resized in place: the layout is CSS alone
# Pages that the side bar does not name.
MORE = (
    "/packages/new/", "/packages/restart-after-approval/", "/packages/restart-after-approval/edit/",
    "/packages/restart-after-approval/versions/", "/packages/restart-after-approval/compare/?from=1&to=1",
    "/rules/new/", "/convergence-rules/new/", "/shields/new/", "/switch/", "/search/?q=web",
    "/inventory/businesses/", "/inventory/people/", "/sources/inbox/", "/notify/templates/", "/wechat/todo/",
    "/doc/wechat_config/gateway/", "/doc/wechat_config/gateway/new/",
)  # fmt: skip


def test_it_opens_every_page(portal: Stage, contexts: Contexts, admin_state: Any, waiting: Asked) -> None:
    page = contexts(viewport=DESKTOP, storage_state=admin_state, base_url=portal.base).new_page()
    page.goto("/")
    links = page.locator("#f-side a[href]").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert len(links) >= 16
    run, approval = portal.execution_of(waiting.alert) or {}, waiting.approval["id"]
    rows = [
        f"/alerts/{waiting.alert}/",
        f"/executions/{run['id']}/",
        f"/approvals/{approval}/",
        f"/wechat/todo/{approval}/",
    ]

    found: dict[str, tuple[int, list[str]]] = {}
    for path in dict.fromkeys([*links, *MORE, *rows]):
        answer = page.goto(path)
        sliding = []
        for name, size in WIDTHS.items():
            page.set_viewport_size(size)
            keep(page, f"{name}-{path.split('?')[0].strip('/').replace('/', '-') or 'dashboard'}")
            sliding += [name] if sideways(page) else []
        found[path] = (answer.status if answer else 0, sliding)

    assert found == dict.fromkeys(found, (200, []))


def test_what_people_look_for_in_a_list_is_in_sight_on_a_phone(
    portal: Stage, contexts: Contexts, admin_state: Any, waiting: Asked
) -> None:
    page = contexts(viewport=PHONE, storage_state=admin_state, base_url=portal.base).new_page()
    for path in ("/approvals/?tab=pending", "/alerts/", "/executions/", "/notify/deliveries/"):
        page.goto(path)
        expect(page.locator("tbody .is-end").first).to_be_in_viewport(ratio=0.9)
