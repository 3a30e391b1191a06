"""The pages of duty lists."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from fta.models import AuditEntry, Duty, Person
from tests import factories

pytestmark = pytest.mark.django_db
FORM = {
    "name": "一线",
    "rotation": "week",
    "handover": "10:30",
    "people": "lisi，wangwu",
    "holidays": "国庆节 2026-10-01 ~ 2026-10-07\n元旦 2027-01-01",
    "holiday_people": "zhaoliu",
}


@pytest.fixture
def names(operator: Person) -> None:
    for name in ("wangwu", "zhaoliu"):
        if not Person.objects.filter(user__username=name).exists():
            factories.person(name)


def as_user(person: Person) -> Client:
    client = Client()
    client.force_login(person.user)
    return client


def text(answer: Any) -> str:
    return str(answer.content.decode())


def test_an_admin_makes_a_list_and_changes_it(admin: Person, operator: Person, names: None) -> None:
    client = as_user(admin)
    answer = client.post(reverse("web:duty-new"), FORM, follow=True)
    row = Duty.objects.get()
    assert "已保存“一线”" in text(answer)
    assert (row.people, row.holiday_people, row.handover) == (["lisi", "wangwu"], ["zhaoliu"], "10:30")
    assert row.holidays == [
        {"name": "国庆节", "from": "2026-10-01", "to": "2026-10-07"},
        {"name": "元旦", "from": "2027-01-01", "to": "2027-01-01"},
    ]
    edit = reverse("web:duty-edit", args=[row.pk])
    assert "元旦 2027-01-01\n" not in (shown := text(client.get(edit)))
    assert "国庆节 2026-10-01 ~ 2026-10-07\n元旦 2027-01-01</textarea>" in shown
    assert client.post(edit, {**FORM, "name": "改名", "rotation": "day"}).status_code == 302
    row.refresh_from_db()
    assert (row.name, row.rotation) == ("一线", "day")
    verbs = AuditEntry.objects.filter(verb__startswith="duty.").order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == ["duty.add", "duty.change"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": ""}, "必填"),
        ({"people": "ghost"}, "没有“ghost”这个人"),
        ({"people": ""}, "必填"),
        ({"holiday_people": "ghost"}, "没有“ghost”这个人"),
        ({"handover": "25:00"}, "时间"),
        ({"holidays": "国庆节"}, "应写成 国庆节 2026-10-01 ~ 2026-10-07"),
        ({"holidays": "国庆节 2026-02-30"}, "应写成"),
        ({"holidays": "国庆节 2026-10-07 ~ 2026-10-01"}, "结束必须晚于开始"),
    ],
)
def test_it_names_what_is_wrong(admin: Person, names: None, wrong: dict[str, str], said: str) -> None:
    answer = as_user(admin).post(reverse("web:duty-new"), {**FORM, **wrong})
    assert answer.status_code == 400
    assert said in text(answer)
    assert not Duty.objects.exists()


def test_a_replacement_is_arranged_and_taken_back(admin: Person, operator: Person, names: None) -> None:
    now = timezone.now()
    over = {"person": "lisi", "from": "2020-01-01T00:00:00+00:00", "to": "2020-01-02T00:00:00+00:00"}
    row = Duty.objects.create(name="一线", people=["lisi"], overrides=[over])
    who = Person.objects.get(user__username="wangwu")
    client, url = as_user(admin), reverse("web:duty-override", args=[row.pk])
    span = {"begins": _local(now - timedelta(hours=1)), "ends": _local(now + timedelta(hours=1))}

    assert client.post(url, {"person": who.pk, **span, "ends": span["begins"]}).status_code == 400
    assert client.post(url, {"person": who.pk, **span}).status_code == 302
    row = Duty.objects.get()
    assert row.on_duty(now) == "wangwu"
    assert len(row.overrides) == 1  # what is long over is dropped

    page = text(client.get(reverse("web:duty", args=[row.pk])))
    key = "/".join(row.overrides[0].values())
    assert f'value="{key}"'.replace("+", "&#x2B;") in page.replace("+", "&#x2B;")
    cancel = reverse("web:duty-override-cancel", args=[row.pk])
    assert "已经改过或取消了" in text(client.post(cancel, {"key": "another"}, follow=True))
    assert client.post(cancel, {"key": key}).status_code == 302
    assert Duty.objects.get().on_duty(now) == "lisi"
    verbs = AuditEntry.objects.filter(verb__startswith="duty.").order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == ["duty.replace", "duty.take_back"]


def test_a_replacement_is_arranged_although_somebody_of_the_list_is_gone(admin: Person, operator: Person) -> None:
    row = Duty.objects.create(name="一线", people=["gone", "lisi"])
    now = timezone.now()
    said = {"person": operator.pk, "begins": _local(now), "ends": _local(now + timedelta(hours=1))}
    assert as_user(admin).post(reverse("web:duty-override", args=[row.pk]), said).status_code == 302
    assert len(Duty.objects.get().overrides) == 1
    data = {**FORM, "people": "gone，lisi", "holiday_people": ""}
    answer = as_user(admin).post(reverse("web:duty-edit", args=[row.pk]), data)
    assert (answer.status_code, "没有“gone”这个人" in text(answer)) == (400, True)


def test_whoever_has_a_role_sees_who_is_on(operator: Person, viewer: Person, stranger: Person) -> None:
    row = Duty.objects.create(name="一线", people=[operator.user.get_username()])
    Duty.objects.create(name="空", people=[])
    for person, seen in ((operator, True), (viewer, True), (stranger, False)):
        client = as_user(person)
        page = text(client.get(reverse("web:duties")))
        assert (operator.name in page.split('id="f-list"')[1], "空" in page.split('id="f-list"')[1]) == (seen, False)
        assert client.get(reverse("web:duty", args=[row.pk])).status_code == (200 if seen else 404)
        assert client.get(reverse("web:duty-new")).status_code == 404
        assert client.post(reverse("web:duty-override", args=[row.pk])).status_code == 404
        assert client.post(reverse("web:duty-edit", args=[row.pk]), FORM).status_code == 404


def _local(moment: Any) -> str:
    return str(timezone.localtime(moment).strftime("%Y-%m-%dT%H:%M"))
