"""How far a package may go by itself: rehearsed and summed up daily, set forward with a reason, set back by itself."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from fta import operations, signals
from fta.healing import verification
from fta.models import AuditEntry, Business, ConfigVersion, Execution, Package, Person
from fta.pipeline.shadow import ShadowSummaryKind, summarise
from notify.models import Delivery
from tests import factories
from tests.fta.api.conftest import call
from tests.fta.web.conftest import Open, browser

__all__ = ["browser"]

pytestmark = pytest.mark.django_db
DAY = date(2026, 5, 4)


@pytest.fixture
def faults() -> Iterator[list[str]]:
    heard: list[str] = []

    def hear(text: str, subject: str, **kwargs: Any) -> None:
        heard.append(text)

    signals.system_fault.connect(hear)
    yield heard
    signals.system_fault.disconnect(hear)


# --- set back --------------------------------------------------------------------------------------------------------


def _judged(package: Package, *words: str) -> None:
    for word in words:
        run = factories.execution(package=package, state="succeeded", healed="pending", ended_at=timezone.now())
        verification._settle(run, word, None, timezone.now())


@pytest.mark.parametrize(
    ("mode", "words", "ends", "count"),
    [
        ("auto", ["not_healed", "relapsed", "not_healed"], "approval", 0),
        ("auto", ["not_healed", "relapsed"], "auto", 2),
        ("auto", ["not_healed", "relapsed", "healed", "not_healed"], "auto", 1),
        ("approval", ["not_healed"] * 4, "approval", 4),
    ],
)
def test_the_third_run_in_a_row_that_did_not_heal_sets_a_package_back(
    faults: list[str], mode: str, words: list[str], ends: str, count: int
) -> None:
    package = factories.package(mode=mode, name="清理")
    before = ConfigVersion.current("packages")
    _judged(package, *words)
    package.refresh_from_db()
    assert (package.mode, package.unverified_in_a_row) == (ends, count)
    demoted = mode != ends
    assert [("「清理」连续 3 次" in text, "改为审批" in text) for text in faults] == [(True, True)] * demoted
    assert (ConfigVersion.current("packages") > before) is demoted
    assert list(AuditEntry.objects.filter(verb="package.set_mode").values_list("actor", flat=True)) == (
        ["system"] * demoted
    )


# --- set by people ---------------------------------------------------------------------------------------------------


def test_a_package_goes_forward_one_step_at_a_time_and_back_at_once(operator: Person) -> None:
    package = factories.package(mode="shadow", failures_in_a_row=3, unverified_in_a_row=2)

    def to(mode: str, reason: str = "演练一周没有误报") -> None:
        operations.set_mode(package, mode, reason, operator.user, timezone.now())

    for wrong in ("auto", "shadow", "nonsense"):
        with pytest.raises(operations.NotPromotable):
            to(wrong)
    with pytest.raises(operations.ReasonMissing):
        to("approval", " ")
    to("approval")
    to("auto")
    package.refresh_from_db()
    assert (package.mode, package.failures_in_a_row, package.unverified_in_a_row) == ("auto", 0, 0)
    stale = Package.objects.get()
    to("shadow")
    with pytest.raises(operations.NotPromotable):
        operations.set_mode(stale, "approval", "我先看到的", operator.user, timezone.now())
    said = AuditEntry.objects.filter(verb="package.set_mode", actor="lisi").order_by("id")
    assert [(row.data["old"], row.data["new"]) for row in said] == [
        ("shadow", "approval"),
        ("approval", "auto"),
        ("auto", "shadow"),
    ]


def test_the_page_and_the_api_set_the_mode_of_what_is_theirs(
    operator: Person, viewer: Person, game: Business, pay: Business, browser: Open
) -> None:
    factories.package("own", business=game, mode="shadow")
    factories.package("foreign", business=pay, mode="shadow")
    data = {"mode": "approval", "reason": "演练一周"}
    assert browser(viewer).post("/packages/own/mode/", data).status_code == 404
    assert browser(operator).post("/packages/foreign/mode/", data).status_code == 404
    assert "改变运行方式" in browser(operator).get("/packages/own/").content.decode()
    assert "改变运行方式" not in browser(viewer).get("/packages/own/").content.decode()
    answer = browser(operator).post("/packages/own/mode/", {"mode": "approval", "reason": ""}, follow=True)
    assert "请填写原因" in answer.content.decode()
    assert "改为「审批」" in browser(operator).post("/packages/own/mode/", data, follow=True).content.decode()
    factories.api_key("operator-key-0123456789", "operator", game)
    factories.api_key("foreign-key-0123456789", "operator", pay)
    body = {"mode": "auto", "reason": "一个月没有误报"}
    assert call("foreign-key-0123456789", "POST", "packages/own/mode/", body).status == 404
    assert call("operator-key-0123456789", "POST", "packages/own/mode/", body).json["mode"] == "auto"
    again = call("operator-key-0123456789", "POST", "packages/own/mode/", body)
    assert (again.status, again.error["code"]) == (400, "invalid")
    assert Package.objects.get(key="own").mode == "auto"


def test_the_card_says_how_many_were_healed(operator: Person, game: Business, browser: Open) -> None:
    package = factories.package("own", business=game, mode="auto", unverified_in_a_row=1)
    for word in ("healed", "healed", "not_healed", ""):
        factories.execution(package=package, business=game, state="succeeded", healed=word)
    text = browser(operator).get("/packages/own/").content.decode()
    assert "2 / 3，66.7%" in text
    assert "1 次，满 3 次改为审批" in text


# --- rehearsed -------------------------------------------------------------------------------------------------------


def _rehearsed(verdict: str, at: datetime, host: Any, **fields: Any) -> Execution:
    fields = {"state": "shadowed", "business": host.business} | fields
    return factories.execution(verdict=verdict, host=host, received_at=at, **fields)


def test_each_business_hears_once_what_would_have_run_the_day_before(
    operator: Person, game: Business, pay: Business, admin: Person
) -> None:
    game.maintainers.add(operator)
    noon = timezone.make_aware(datetime.combine(DAY, datetime.min.time())) + timedelta(hours=12)
    package = factories.package(name="磁盘清理", mode="shadow")
    rule = factories.rule("磁盘写满", package=package)
    hosts = [factories.host(f"127.0.6.{n}", f"h{n}", business=game) for n in (1, 2)]
    for verdict, host in [("proceed", 0), ("proceed", 1), ("approve", 0), ("skip", 0)]:
        _rehearsed(verdict, noon, hosts[host], package=package, rule=rule)
    _rehearsed("proceed", noon - timedelta(days=1), hosts[0], package=package, rule=rule)
    _rehearsed("proceed", noon, hosts[0], package=package, requested_by=operator.user)
    _rehearsed("proceed", noon, hosts[0], package=package, rule=rule, state="succeeded")
    foreign = factories.host("127.0.6.9", "pay", business=pay)
    _rehearsed("proceed", noon, foreign, package=package, rule=rule)
    summarise(DAY)
    summarise(DAY)
    mine, theirs = Delivery.objects.filter(event="shadow.summary").order_by("id")
    assert (mine.recipients, theirs.recipients) == (["lisi@example.com"], ["boss@example.com"])
    text = mine.payload["message"]["text"]
    assert "05-04 演练：游戏大区 共 4 条，没有实际执行" in text
    assert "磁盘写满 → 磁盘清理：会执行 2 次，会请示 1 次，会等待或跳过 1 次，共 2 台" in text


def test_the_summary_is_due_once_each_morning() -> None:
    kind = ShadowSummaryKind()
    morning = timezone.make_aware(datetime.combine(DAY, datetime.min.time())) + timedelta(hours=9)
    assert kind.due(10, morning - timedelta(minutes=1)) == []
    due = kind.due(10, morning)
    assert due == [DAY.toordinal()]
    kind.do(due[0])
    kind.do(due[0])
    assert kind.due(10, morning + timedelta(hours=3)) == []
    assert kind.due(10, morning + timedelta(days=1)) == [DAY.toordinal() + 1]
    assert not Delivery.objects.exists(), "nothing was rehearsed, nothing is said"
