"""What an operator does from the pages: it asks for a reason, is audited, and is refused to others."""

import pytest
from django.utils import timezone

from fta.models import AuditEntry, Business, Execution, Inbox, Incident, Person, StepRun, Switch
from tests import factories
from tests.fta.web.conftest import Open, run_of


def audited(verb: str) -> bool:
    return AuditEntry.objects.filter(verb=verb).exists()


def test_it_stops_a_held_execution_with_a_reason(operator: Person, running: Execution, browser: Open) -> None:
    held = run_of(running.alert, state="held")
    client = browser(operator)
    answer = client.post(f"/executions/{held.pk}/stop/", {"reason": "  "}, follow=True)
    assert "请填写原因" in answer.content.decode()
    held.refresh_from_db()
    assert held.state == "held"
    client.post(f"/executions/{held.pk}/stop/", {"reason": "误报"})
    held.refresh_from_db()
    assert held.state == "cancelled"
    assert "误报" in held.reason
    assert audited("execution.abort")
    again = client.post(f"/executions/{held.pk}/stop/", {"reason": "再来"}, follow=True)
    assert "状态已经变了" in again.content.decode()


@pytest.mark.parametrize("verb", ["stop", "retry"])
def test_a_viewer_acts_on_nothing(verb: str, viewer: Person, running: Execution, browser: Open) -> None:
    client = browser(viewer)
    assert client.get(f"/executions/{running.pk}/").status_code == 200
    assert client.post(f"/executions/{running.pk}/{verb}/", {"reason": "x"}).status_code == 404
    assert client.get(f"/executions/{running.pk}/{verb}/").status_code == 405
    assert not AuditEntry.objects.exists()


def test_it_settles_an_unknown_step(operator: Person, running: Execution, browser: Open) -> None:
    step = running.steps.get(node=2)
    StepRun.objects.filter(pk=step.pk).update(state="unknown")
    client = browser(operator)
    assert "结果未知" in client.get(f"/executions/{running.pk}/").content.decode()
    client.post(f"/executions/{running.pk}/steps/{step.pk}/resolve/", {"reason": "看过了", "done": "yes"})
    step.refresh_from_db()
    assert step.state == "succeeded"
    assert audited("step.resolve_unknown")


def test_it_retries_a_failed_execution(operator: Person, running: Execution, browser: Open) -> None:
    StepRun.objects.filter(execution=running, node=2).update(state="failed")
    Execution.objects.filter(pk=running.pk).update(state="failed")
    client = browser(operator)
    assert "从失败处继续" in client.get(f"/executions/{running.pk}/").content.decode()
    client.post(f"/executions/{running.pk}/retry/", {"reason": "修好了", "node": "2"})
    running.refresh_from_db()
    assert running.state == "running"
    assert running.steps.filter(node=2, iteration=2).exists()
    assert audited("execution.retry")


def test_it_refuses_to_retry_what_runs(operator: Person, running: Execution, browser: Open) -> None:
    answer = browser(operator).post(f"/executions/{running.pk}/retry/", {"reason": "x"}, follow=True)
    assert "不能重试" in answer.content.decode()


def test_the_live_part_polls_while_active_and_reloads_the_page_at_the_end(
    operator: Person, running: Execution, browser: Open
) -> None:
    client = browser(operator)
    answer = client.get(f"/executions/{running.pk}/live/?node=2")
    text = answer.content.decode()
    assert 'hx-trigger="every 2s"' in text
    assert "[1/2] &lt;b&gt;rm" in text
    assert "HX-Refresh" not in answer.headers
    Execution.objects.filter(pk=running.pk).update(state="succeeded")
    ended = client.get(f"/executions/{running.pk}/live/")
    assert ended.headers["HX-Refresh"] == "true"
    assert "every 2s" not in ended.content.decode()


def test_the_output_is_a_file_and_never_a_page(operator: Person, running: Execution, browser: Open) -> None:
    step = running.steps.get(node=2)
    answer = browser(operator).get(f"/executions/{running.pk}/steps/{step.pk}/output/")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.content == b"[1/2] <b>rm</b>"
    other = run_of(running.alert)
    assert browser(operator).get(f"/executions/{other.pk}/steps/{step.pk}/output/").status_code == 404


def test_it_replays_a_refused_request(operator: Person, viewer: Person, browser: Open) -> None:
    letter = Inbox.objects.create(
        source=factories.source(), kind="rest", raw=b"{", received_at=timezone.now(), state="rejected", error="not JSON"
    )
    url = f"/sources/inbox/{letter.pk}/replay/"
    assert browser(viewer).post(url).status_code == 404
    browser(operator).post(url)
    letter.refresh_from_db()
    assert letter.state == "new"
    assert audited("inbox.replay")


def test_it_closes_an_incident(operator: Person, viewer: Person, storm: Incident, browser: Open) -> None:
    url = f"/incidents/{storm.pk}/close/"
    assert browser(viewer).post(url, {"reason": "x"}).status_code == 404
    browser(operator).post(url, {"reason": ""})
    storm.refresh_from_db()
    assert storm.state == "open"
    browser(operator).post(url, {"reason": "网络组已修复"})
    storm.refresh_from_db()
    assert storm.state == "closed"
    assert audited("incident.close")


def test_an_operator_halts_and_resumes_an_own_business(operator: Person, viewer: Person, browser: Open) -> None:
    client = browser(operator)
    client.post("/switch/", {"target": "business:game", "minutes": "30", "reason": "机房断电"})
    switch = Switch.objects.get()
    assert (switch.scope, switch.key) == ("business", "game")
    assert switch.until is not None
    assert audited("switch.halt")
    text = client.get("/switch/").content.decode()
    assert "机房断电" in text
    assert "业务 game 已停止自愈" in text
    assert "自愈已停止：业务 game" in client.get("/").content.decode()
    assert browser(viewer).post(f"/switch/{switch.pk}/resume/").status_code == 404
    client.post(f"/switch/{switch.pk}/resume/")
    switch.refresh_from_db()
    assert switch.ended_by == "lisi"
    assert audited("switch.resume")


@pytest.mark.parametrize("target", ["all", "business:pay", "package:clean-disk", "business:none"])
def test_an_operator_halts_nothing_else(target: str, operator: Person, approver: Person, browser: Open) -> None:
    factories.package()
    answer = browser(operator).post("/switch/", {"target": target, "minutes": "30", "reason": "x"})
    assert answer.status_code == 200
    assert not Switch.objects.exists()


def test_whoever_operates_every_business_halts_everything(operator: Person, browser: Open) -> None:
    client = browser(operator)
    assert "全部自愈" in client.get("/switch/").content.decode()
    client.post("/switch/", {"target": "all", "minutes": "30", "reason": "机房断电"})
    assert Switch.objects.in_force().get().scope == "all"
    client.post(f"/switch/{Switch.objects.get().pk}/resume/")
    assert not Switch.objects.in_force().exists()


def test_an_admin_halts_everything_until_somebody_resumes(
    admin: Person, operator: Person, pay: Business, browser: Open
) -> None:
    browser(admin).post("/switch/", {"target": "all", "minutes": "0", "reason": "演习"})
    switch = Switch.objects.get()
    assert switch.until is None
    assert "自愈已停止" in browser(operator).get("/executions/").content.decode()
    assert browser(operator).post(f"/switch/{switch.pk}/resume/").status_code == 404


def test_an_approver_may_not_halt(approver: Person, browser: Open) -> None:
    browser(approver).post("/switch/", {"target": "business:pay", "minutes": "30", "reason": "x"})
    assert not Switch.objects.exists()


def test_it_verifies_the_audit_chain(admin: Person, operator: Person, browser: Open) -> None:
    browser(admin).post("/switch/", {"target": "all", "minutes": "0", "reason": "演习"})
    assert browser(operator).post("/audit/verify/").status_code == 403
    assert "校验通过" in browser(admin).post("/audit/verify/", follow=True).content.decode()
    AuditEntry.objects.update(actor="nobody")
    assert "断开" in browser(admin).post("/audit/verify/", follow=True).content.decode()
