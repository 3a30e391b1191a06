"""A stored source whose settings do not hold any more: what it is sent is refused with the reason and kept, its page says so."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from fta.models import Alert, Inbox, Person, Source
from tests.fta.intake.posting import body, post, process

BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"options": {"severity": 5}}, "options.severity: 应为一组键值"),
    ({"options": {"severity": ["Sev1"]}}, "options.severity: 应为一组键值"),
    ({"options": {"severity": {"sev1": "urgent"}}}, "options.severity.sev1: 级别只能是"),
    ({"options": {"severity": {"sev1": ["critical"]}}}, "options.severity.sev1: 级别只能是"),
    ({"options": ["severity"]}, "options: 应为一组键值"),
    ({"time_zone": "Mars/One"}, "time_zone: 没有这个时区"),
    ({"time_zone": "Asia"}, "time_zone: 没有这个时区"),
]
TEXTS = {
    "rest": body(severity="sev1", start_time="2026-01-01 00:00:00"),
    "alertmanager": {"alerts": [{"status": "firing", "labels": {"alertname": "a", "severity": "sev1"}}]},
    "grafana": {"title": "a", "state": "alerting", "ruleName": "a", "tags": {"severity": "sev1"}},
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize(("broken", "said"), BROKEN)
def test_what_it_is_sent_is_refused_and_kept(rest: Source, kind: str, broken: dict[str, Any], said: str) -> None:
    Source.objects.update(kind=kind, **broken)

    answer = post(Client(), TEXTS[kind], f"/intake/{kind}/")

    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]
    kept = Inbox.objects.get()
    assert (kept.state, kept.pk) == (Inbox.State.REJECTED, answer.json()["error"]["inbox"])
    assert said in kept.error
    assert not Alert.objects.exists()
    assert post(Client(), TEXTS[kind], f"/intake/{kind}/?validate=1").status_code == 400


def test_what_was_taken_before_is_put_aside_and_can_be_replayed(rest: Source, operator: Person) -> None:
    assert post(Client(), body()).status_code == 202
    Source.objects.update(options={"severity": 5})
    process()
    kept = Inbox.objects.get()
    assert kept.state == Inbox.State.REJECTED
    assert "options.severity: 应为一组键值" in kept.error

    Source.objects.update(options={})
    client = Client()
    client.force_login(operator.user)
    client.post(reverse("web:source-replay", args=[kept.pk]))
    process()
    assert Alert.objects.count() == 1


def test_an_option_that_is_not_known_any_more_keeps_no_alert_out(rest: Source) -> None:
    Source.objects.update(options={"colour": "red"})
    assert post(Client(), body()).status_code == 202


def test_an_address_list_that_is_none_lets_nobody_in(rest: Source) -> None:
    Source.objects.update(cidrs=["not a network"])
    assert post(Client(), body()).status_code == 401


@pytest.mark.parametrize(
    ("broken", "said"),
    [*BROKEN, ({"options": {"colour": "red"}}, "options.colour: 没有"), ({"cidrs": ["x"]}, "cidrs: 应为")],
)
def test_its_page_shows_what_is_wrong(rest: Source, operator: Person, broken: dict[str, Any], said: str) -> None:
    client = Client()
    client.force_login(operator.user)
    page = reverse("web:source", args=[rest.pk])
    assert "设置有误" not in client.get(page).content.decode()
    Source.objects.update(**broken)
    path, _, words = said.partition(": ")
    shown = client.get(page).content.decode()
    assert "设置有误" in shown
    assert f'<span class="f-mono">{path}</span>：{words}' in shown
