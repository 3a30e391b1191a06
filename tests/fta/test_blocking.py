"""A business that does without a global convergence rule, over the API and in the configuration file."""

from typing import Any

import pytest
import yaml
from django.utils import timezone

from fta.config import document
from fta.config.document import InvalidConfiguration
from fta.models import AuditEntry, Business, ConfigVersion, ConvergenceRule
from tests import factories
from tests.fta.api.conftest import call, key_of

RULE = {"name": "同机", "dimensions": ["host"], "function": "skip_when_success", "remark": "默认"}


def apply(**rule: Any) -> list[str]:
    text = yaml.safe_dump({"version": 1, "convergence_rules": [RULE | rule]})
    return document.apply(text, "tester", timezone.now()).changes


def blocked() -> list[str]:
    return [business.code for business in ConvergenceRule.objects.get().blocked_by.all()]


def test_the_file_says_who_does_without_a_rule(game: Business, pay: Business) -> None:
    apply(blocked_by=["pay", "game"])
    assert blocked() == ["game", "pay"]
    exported = document.export()
    assert yaml.safe_load(exported)["convergence_rules"][0]["blocked_by"] == ["game", "pay"]
    assert document.apply(exported, "tester", timezone.now()).changes == []

    assert apply(blocked_by=["game"]) == ["~ convergencerule 同机: blocked_by"]
    assert blocked() == ["game"]
    apply()
    assert blocked() == []  # the section is the whole truth
    assert "blocked_by" not in document.export()


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ({"blocked_by": ["game", "moon"]}, 'convergence_rules[0].blocked_by[1]: no business "moon"'),
        ({"blocked_by": ["game"], "business": "game"}, "convergence_rules[0].blocked_by: is for global rules"),
    ],
)
def test_the_file_is_refused_when_it_names_nobody(game: Business, rule: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        apply(**rule)
    assert fault in str(caught.value)
    assert not ConvergenceRule.objects.exists()


@pytest.fixture
def rule(game: Business, pay: Business) -> ConvergenceRule:
    """A global rule, and callers who operate the game business."""
    for role in ("operator", "admin", "viewer"):
        factories.api_key(key_of(role), role, game)
    return factories.convergence_rule()


def test_an_operator_blocks_a_global_rule_for_the_own_business(rule: ConvergenceRule) -> None:
    path = f"convergence-rules/{rule.pk}/block/"
    answer = call(key_of("operator"), "POST", path, {"business": "game"})
    assert (answer.status, answer.json["blocked_by"]) == (200, ["game"])
    assert (AuditEntry.objects.get().verb, ConfigVersion.current("convergence")) == ("convergence_rule.block", 1)
    answer = call(key_of("operator"), "POST", path, {"business": "game", "blocked": False})
    assert answer.json["blocked_by"] == []

    assert call(key_of("operator"), "POST", path, {"business": "pay"}).error["fields"].keys() == {"business"}
    assert call(key_of("viewer"), "POST", path, {"business": "game"}).status == 403
    assert blocked() == []


def test_an_admin_sets_all_exceptions_of_a_rule(rule: ConvergenceRule) -> None:
    path = f"convergence-rules/{rule.pk}/"
    answer = call(key_of("admin"), "PATCH", path, {"blocked_by": ["pay"]})
    assert (answer.status, answer.json["blocked_by"]) == (200, ["pay"])
    assert call(key_of("admin"), "PATCH", path, {"count": 3}).json["blocked_by"] == ["pay"]
    assert call(key_of("admin"), "PUT", path, RULE).json["blocked_by"] == []
    assert call(key_of("operator"), "PATCH", path, {"blocked_by": ["game"]}).status == 403
    answer = call(key_of("admin"), "PATCH", path, {"blocked_by": ["moon"]})
    assert list(answer.error["fields"]) == ["blocked_by[0]"]
