"""The backtest of a draft from the pages of rules: nothing is saved, and the difference is shown to its owner."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from fta.backtest import starting
from fta.engine.loop import Engine
from fta.models import BacktestRun, Business, ConvergenceRule, Person, Rule
from tests import factories
from tests.fta.web.rule_forms import convergence_data, rule_data


@pytest.mark.parametrize(
    ("url", "data", "draft"),
    [
        ("/rules/new/", rule_data(), "rules"),
        ("/convergence-rules/new/", convergence_data(), "convergence_rules"),
    ],
)
def test_it_backtests_what_the_form_says_without_saving(
    as_admin: Client, game: Business, settings: Any, url: str, data: dict[str, Any], draft: str
) -> None:
    settings.FTA_WORK_KINDS = ["fta.backtest.BacktestKind"]
    factories.host()
    since = timezone.now() - timedelta(hours=3)
    for number in range(3):
        factories.alert(received_at=since, alert_type=f"disk_{number}", outcome="unmatched")
    page = as_admin.get(url).content.decode()
    assert 'name="action" value="backtest"' in page
    assert "最近 30 天" in page

    answer = as_admin.post(url, data | {"action": "backtest", "replay_days": "1"})

    run = BacktestRun.objects.get()
    assert not Rule.objects.exists()
    assert not ConvergenceRule.objects.exists()
    assert (run.total, run.request[draft][0]["name"], run.request["businesses"]) == (3, data["name"], None)
    text = answer.content.decode()
    assert f'hx-get="/backtests/{run.pk}/"' in text
    assert "正在重放：0 / 3 条" in text
    assert f'value="{data["name"]}"' in text  # what was written is still there

    Engine(work=["backtest"]).drain()
    part = as_admin.get(f"/backtests/{run.pk}/", headers={"hx-request": "true"}).content.decode()
    assert "<html" not in part
    assert "hx-get" not in part
    assert "3 条真实告警重放" in part
    whole = as_admin.get(f"/backtests/{run.pk}/").content.decode()
    assert "<html" in whole
    for word in ("直接执行", "被拦下", "审批请求", "其中夜间（0–7 点）", "当时实际一致的有 3 / 3 条"):
        assert word in whole
    assert ("现行 0，多 3" in whole) is (draft == "rules")  # a rule takes what nothing took


def test_it_shows_where_a_draft_differs(as_operator: Client, game: Business, settings: Any) -> None:
    settings.FTA_WORK_KINDS = ["fta.backtest.BacktestKind"]
    factories.host()
    alert = factories.alert(received_at=timezone.now() - timedelta(hours=1), title="<b>", outcome="unmatched")
    as_operator.post("/rules/new/", rule_data(action="backtest"))
    run = BacktestRun.objects.get()
    assert run.request["businesses"] == [game.pk]
    Engine(work=["backtest"]).drain()
    text = as_operator.get(f"/backtests/{run.pk}/").content.decode()
    assert "会不同的 1 条" in text
    assert f"/alerts/{alert.pk}/" in text
    assert "未接入 1" in text
    assert "只记录 1" in text


def test_it_keeps_a_backtest_to_whom_it_belongs(
    as_operator: Client, game: Business, stranger: Person, admin: Person
) -> None:
    as_operator.post("/rules/new/", rule_data(action="backtest"))
    url = f"/backtests/{BacktestRun.objects.get().pk}/"
    assert as_operator.get(url).status_code == 200
    assert as_operator.post(url).status_code == 405
    as_operator.force_login(stranger.user)
    assert as_operator.get(url).status_code == 404
    as_operator.force_login(admin.user)
    assert as_operator.get(url).status_code == 200
    as_operator.logout()
    assert as_operator.get(url).status_code == 302


def test_it_does_not_backtest_what_it_would_not_save(as_operator: Client, game: Business) -> None:
    answer = as_operator.post("/rules/new/", rule_data(action="backtest", timeout="0"))
    assert list(answer.context["form"].errors) == ["timeout"]
    assert not BacktestRun.objects.exists()


def test_it_says_why_there_is_no_backtest(as_operator: Client, game: Business, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "MOST_ALERTS", 0)
    factories.alert(received_at=timezone.now() - timedelta(hours=1), outcome="matched", host=None, business=game)
    text = as_operator.post("/rules/new/", rule_data(action="backtest")).content.decode()
    assert "不能回测：这段时间有 1 条告警" in text
    assert not BacktestRun.objects.exists()
