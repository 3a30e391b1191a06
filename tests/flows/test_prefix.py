"""The portal under a path prefix, behind a proxy that hands the prefix on and behind one that cuts it off."""

import re

import requests

from tests.flows.conftest import PREFIX
from tests.stage import Stage


def test_it_works_under_a_prefix(embedded: Stage) -> None:
    for root in (embedded.base + "/", embedded.base + PREFIX):
        page = requests.get(f"{root}login/", timeout=5)
        assert page.status_code == 200
        links = set(re.findall(r'(?:href|src|action)="(/[^"]*)"', page.text))
        assert links
        assert all(link.startswith(PREFIX) for link in links), links
        (style,) = (link for link in links if link.endswith("portal.css"))
        assert requests.get(root + style.removeprefix(PREFIX), timeout=5).status_code == 200
        away = requests.get(f"{root}executions/", timeout=5, allow_redirects=False)
        assert away.headers["Location"].startswith(f"{PREFIX}login/?next={PREFIX}executions/")
        assert requests.post(f"{root}wechat/entry/", b"<xml/>", timeout=5).status_code == 403
