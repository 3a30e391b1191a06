"""The pages and the API."""

import json

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from approvals.models import Approval, Policy
from fta.models import Business, Person
from tests import factories
from tests.approvals.conftest import age, ask, held

pytestmark = pytest.mark.django_db

KEY = "api-key-0123456789abcdef"


def signed_in(person: Person) -> Client:
    client = Client()
    client.force_login(person.user)
    return client


def post(person: Person, approval: Approval, **fields: str) -> int:
    data = {"answer": "approve", "comment": "", "seen": approval.plan_sha256, **fields}
    return signed_in(person).post(reverse("approvals:decide", args=[approval.pk]), data).status_code


def test_it_lists_what_waits_for_the_reader_first(default_policy: Policy, operator: Person) -> None:
    later, sooner = ask(held(ip="127.0.2.1")), ask(held(ip="127.0.2.2"))
    age(sooner, expires_at=later.expires_at - (later.expires_at - later.created_at) / 2)

    page = signed_in(operator).get(reverse("approvals:list"))
    text = page.content.decode()

    assert page.status_code == 200
    assert text.index(sooner.code) < text.index(later.code)
    assert f'value="{sooner.pk}:{sooner.plan_sha256}"' in text
    assert "no-store" in page["Cache-Control"]
    assert "style=" not in text.split("<main")[1]


def test_it_shows_a_viewer_without_buttons_and_a_stranger_nothing(
    default_policy: Policy, operator: Person, viewer: Person, stranger: Person
) -> None:
    approval = ask()
    url = reverse("approvals:detail", args=[approval.pk])

    seen = signed_in(viewer).get(url)
    assert seen.status_code == 200
    assert 'name="answer"' not in seen.content.decode()
    assert signed_in(stranger).get(url).status_code == 404
    assert approval.code not in signed_in(stranger).get(reverse("approvals:list"), {"tab": "pending"}).content.decode()
    assert Client().get(url).status_code == 302


def test_it_shows_the_evidence(default_policy: Policy, operator: Person) -> None:
    approval = ask()
    text = signed_in(operator).get(reverse("approvals:detail", args=[approval.pk])).content.decode()
    for part in ("/data 98%", "local-1", "此主机上没有执行过", "过期，视为驳回", "与请求时一致", "规则为审批模式"):
        assert part in text
    part = signed_in(operator).get(reverse("approvals:detail", args=[approval.pk]), headers={"HX-Request": "true"})
    assert "<html" not in part.content.decode()
    assert approval.code in part.content.decode()


def test_it_escapes_what_alerts_say(default_policy: Policy, operator: Person) -> None:
    alert = factories.alert(content="<script>x</script>", host=factories.host())
    approval = ask(held(alert=alert))
    text = signed_in(operator).get(reverse("approvals:detail", args=[approval.pk])).content.decode()
    assert "<script>x" not in text
    assert "&lt;script&gt;x" in text


def test_it_decides_by_post_only(default_policy: Policy, operator: Person) -> None:
    approval = ask()
    client = signed_in(operator)
    url = reverse("approvals:decide", args=[approval.pk])
    assert client.get(url, {"answer": "approve"}).status_code == 405
    assert client.head(url).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(operator.user)
    assert strict.post(url, {"answer": "approve"}).status_code == 403
    approval.refresh_from_db()
    assert approval.state == "pending"

    answered = client.post(url, {"answer": "approve", "comment": "看过了", "seen": approval.plan_sha256}, follow=True)

    approval.refresh_from_db()
    assert (approval.state, approval.channel, approval.comment) == ("approved", "web", "同意（网页审批）：看过了")
    assert "已同意 1 个" in answered.content.decode()


def test_it_tells_the_loser_on_the_page(default_policy: Policy, operator: Person, approval_admin: Person) -> None:
    approval = ask()
    post(operator, approval, answer="refuse")
    lost = signed_in(approval_admin).post(
        reverse("approvals:decide", args=[approval.pk]),
        {"answer": "approve", "seen": approval.plan_sha256},
        follow=True,
    )
    assert "lisi 已在" in lost.content.decode()
    approval.refresh_from_db()
    assert approval.state == "refused"


def test_it_refuses_foreign_and_malformed_answers(
    default_policy: Policy, operator: Person, viewer: Person, stranger: Person
) -> None:
    approval = ask()
    assert post(stranger, approval) == 404
    assert post(viewer, approval) == 302
    assert post(operator, approval, answer="perhaps") == 302
    assert post(operator, approval, seen="b" * 64) == 302
    approval.refresh_from_db()
    assert approval.state == "pending"


def test_it_decides_many_and_only_those_that_were_listed(default_policy: Policy, operator: Person) -> None:
    listed = [ask(held(ip=f"127.0.2.{number}")) for number in (1, 2)]
    after = ask(held(ip="127.0.2.3"))
    picked = [f"{row.pk}:{row.plan_sha256}" for row in listed]
    stale = ask(held(ip="127.0.2.4"))
    picked.append(f"{stale.pk}:{'b' * 64}")

    page = signed_in(operator).post(
        reverse("approvals:decide-many"), {"answer": "approve", "picked": picked}, follow=True
    )

    states = dict(Approval.objects.values_list("pk", "state"))
    assert [states[row.pk] for row in listed] == ["approved", "approved"]
    assert states[after.pk] == states[stale.pk] == "pending"
    assert "已同意 2 个" in page.content.decode()
    assert "另一份计划" in page.content.decode()
    none = signed_in(operator).post(reverse("approvals:decide-many"), {"answer": "approve"}, follow=True)
    assert "没有选中" in none.content.decode()


@pytest.mark.parametrize("tab", ["mine", "pending", "decided", "ended", "nonsense"])
def test_it_draws_every_tab(default_policy: Policy, operator: Person, tab: str) -> None:
    post(operator, ask())
    ask(held(ip="127.0.2.1"))
    page = signed_in(operator).get(reverse("approvals:list"), {"tab": tab, "risk": "low"})
    assert page.status_code == 200
    assert "clean-disk" in page.content.decode()


def test_it_lends_the_right_with_an_end(operator: Person, stranger: Person) -> None:
    client = signed_in(operator)
    url = reverse("approvals:leave")
    assert client.get(url).status_code == 200
    assert "填到什么时候为止" in client.post(url, {"deputy": stranger.pk}).content.decode()
    until = timezone.localtime().replace(hour=23, minute=59)
    client.post(url, {"deputy": stranger.pk, "until": until.strftime("%Y-%m-%dT%H:%M")})
    operator.refresh_from_db()
    assert operator.deputy == stranger
    client.post(url, {"deputy": ""})
    operator.refresh_from_db()
    assert (operator.deputy, operator.deputy_until) == (None, None)


def api(method: str, path: str, key: str = KEY, **body: object) -> tuple[int, dict[str, object]]:
    headers = {"Authorization": f"Bearer {key}"}
    answer = Client().generic(
        method, f"/api/v1/approvals/{path}", json.dumps(body), content_type="application/json", headers=headers
    )
    return answer.status_code, answer.json()


def test_it_answers_the_api(default_policy: Policy, operator: Person, game: Business) -> None:
    factories.api_key(KEY, "operator", game)
    factories.api_key("foreign-key-0123456789abc", "operator", factories.business("pay"))
    execution = held()
    approval = ask(execution)

    status, listed = api("GET", "?state=pending")
    assert (status, listed["count"]) == (200, 1)
    row = listed["results"][0]  # type: ignore[index]
    assert (row["code"], row["kind"], row["execution"], row["decision"]) == (approval.code, "gate", execution.pk, None)
    assert "lisi" in row["approvers"]
    assert api("GET", f"{approval.pk}/", "foreign-key-0123456789abc")[0] == 404
    assert api("POST", f"{approval.pk}/decide/", "foreign-key-0123456789abc", decision="approve")[0] == 404
    assert api("POST", f"{approval.pk}/decide/", decision="perhaps")[0] == 400

    status, decided = api("POST", f"{approval.pk}/decide/", decision="approve", comment="ok")
    assert status == 200
    assert (decided["state"], decided["decision"], decided["channel"]) == ("approved", "approve", "api")
    assert api("POST", f"{approval.pk}/decide/", decision="refuse")[0] == 409


def test_it_lets_no_viewer_decide_by_the_api(default_policy: Policy, operator: Person, game: Business) -> None:
    factories.api_key(KEY, "viewer", game)
    approval = ask()
    assert api("POST", f"{approval.pk}/decide/", decision="approve")[0] == 403
    approval.refresh_from_db()
    assert approval.state == "pending"
