"""Rules put before one another: by the buttons of the list, which a drag sends too."""

import re
from typing import Any

import pytest
from django.test import Client

from fta.models import AuditEntry, Business, ConfigVersion, ConvergenceRule, Person, Rule
from tests import factories
from tests.fta.web.conftest import Open

KINDS = {"rules": (Rule, factories.rule), "convergence-rules": (ConvergenceRule, factories.convergence_rule)}


@pytest.fixture
def as_admin(browser: Open, admin: Person) -> Client:
    return browser(admin)


def made(kind: str, *priorities: int) -> list[Any]:
    return [KINDS[kind][1](f"规则{chr(65 + n)}", priority=priority) for n, priority in enumerate(priorities)]


def order(kind: str) -> str:
    names = KINDS[kind][0]._default_manager.order_by("priority", "id").values_list("name", flat=True)
    return "".join(name.removeprefix("规则") for name in names)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("priorities", "moved", "before", "then", "numbers"),
    [
        ((10, 20, 30), "C", "B", "ACB", {"C": 15}),
        ((10, 20, 30), "C", "A", "CAB", {"C": 0}),
        ((10, 20, 30), "A", "", "BCA", {"A": 40}),
        ((10, 20, 30), "B", "C", "ABC", {}),  # it stands there
        ((10, 10, 30), "C", "A", "CAB", {"C": 0}),
        ((10, 10, 10), "A", "C", "BAC", {"A": 20, "C": 30}),  # no number lies between: all anew
        ((1, 2, 30), "C", "B", "ACB", {"C": 1}),  # of equals the older is asked first
        ((-(10**6), 5, 6), "C", "A", "CAB", {"C": 10, "A": 20, "B": 30}),
    ],
)
def test_it_puts_a_rule_before_another(
    as_admin: Client,
    kind: str,
    priorities: tuple[int, ...],
    moved: str,
    before: str,
    then: str,
    numbers: dict[str, int],
) -> None:
    rows = {row.name.removeprefix("规则"): row for row in made(kind, *priorities)}
    kept = dict(zip("ABC", priorities, strict=True))
    row = rows[moved]

    answer = as_admin.post(f"/{kind}/{row.pk}/move/", {"before": str(rows[before].pk) if before else "0"})

    assert (answer.status_code, answer["Location"]) == (302, f"/{kind}/#rule-{row.pk}")
    assert order(kind) == then
    for name, each in rows.items():
        each.refresh_from_db()
        assert each.priority == (kept | numbers)[name]
    assert AuditEntry.objects.count() == len(numbers)
    assert bool(ConfigVersion.current("rules" if kind == "rules" else "convergence")) is bool(numbers)


@pytest.mark.parametrize("kind", KINDS)
def test_its_buttons_move_by_one(as_admin: Client, kind: str) -> None:
    made(kind, 10, 20, 30)

    def press(label: str) -> None:
        page = as_admin.get(f"/{kind}/").content.decode()
        button = re.search(rf'<button[^>]*value="(\d+)" aria-label="{label}"', page)
        assert button, label
        form = page[: button.start()].rpartition('action="')[2].partition('"')[0]
        as_admin.post(form, {"before": button[1]})

    for label, then in (
        ("上移「规则B」", "BAC"),
        ("下移「规则B」", "ABC"),
        ("下移「规则A」", "BAC"),
        ("下移「规则A」", "BCA"),
        ("上移「规则A」", "BAC"),
    ):
        press(label)
        assert order(kind) == then
    page = as_admin.get(f"/{kind}/").content.decode()
    assert "上移「规则B」" not in page  # the first
    assert "下移「规则C」" not in page  # the last


def test_an_operator_moves_the_own_rules_only(browser: Open, operator: Person, game: Business, pay: Business) -> None:
    client = browser(operator)
    foreign = factories.convergence_rule("甲", priority=2, business=pay)
    everyones = factories.convergence_rule("乙", priority=2)
    own = factories.convergence_rule("丙", priority=3, business=game)

    assert client.post(f"/convergence-rules/{everyones.pk}/move/", {"before": own.pk}).status_code == 404
    assert client.post(f"/convergence-rules/{foreign.pk}/move/", {"before": own.pk}).status_code == 404
    page = client.post(f"/convergence-rules/{own.pk}/move/", {"before": everyones.pk}, follow=True).content.decode()
    assert "前后两条的优先级挨得太紧" in page  # others' rules would have to give way
    assert not AuditEntry.objects.exists()

    client.post(f"/convergence-rules/{own.pk}/move/", {"before": foreign.pk})
    own.refresh_from_db()
    assert own.priority == -8
