"""The forms of duty lists: the list itself, and a replacement for a while."""

import re
from datetime import datetime
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.models import Duty, Person
from fta.web.forms.fields import CommaField, LinesField

_DAY = r"\d{4}-\d{1,2}-\d{1,2}"
_HOLIDAY = re.compile(rf"^(?P<name>.*?\S)\s+(?P<first>{_DAY})(?:\s*[~\uff5e\u81f3-]+\s*(?P<last>{_DAY}))?$")


class HolidaysField(LinesField):
    """Holidays, one a line: `国庆节 2026-10-01 ~ 2026-10-07`, or one day."""

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return "\n".join(
            f"{each['name']} {each['from']}" + (f" ~ {each['to']}" if each["to"] != each["from"] else "")
            for each in value
        )

    def clean(self, value: Any) -> Any:
        return [self._read(line) for line in super().clean(value)]

    def _read(self, line: str) -> dict[str, str]:
        found = _HOLIDAY.match(line)
        days = [_day(text) for text in (found["first"], found["last"] or found["first"])] if found else []
        if not found or "" in days:
            raise forms.ValidationError(_("「%(line)s」应写成 国庆节 2026-10-01 ~ 2026-10-07") % {"line": line})
        return {"name": found["name"][:64], "from": days[0], "to": days[1]}


def _day(text: str) -> str:
    try:
        found = parse_date(text)
    except ValueError:  # well formed, but no such day
        return ""
    return found.isoformat() if found else ""


class DutyForm(forms.Form):
    """值班表."""

    OWN = ("rotation", "handover", "people", "holidays", "holiday_people")

    name = forms.CharField(
        label=gettext_lazy("名称"),
        max_length=64,
        help_text=gettext_lazy("审批策略和通知规则按名称引用它，建好后不能改"),
    )
    rotation = forms.ChoiceField(label=gettext_lazy("轮换"), choices=Duty.Rotation.choices, initial=Duty.Rotation.WEEK)
    handover = forms.TimeField(
        label=gettext_lazy("交接时刻"),
        initial="09:00",
        input_formats=["%H:%M"],
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        help_text=gettext_lazy("按天的每天、按周的每周一，在这个时刻交班"),
    )
    people = CommaField(
        label=gettext_lazy("人员"),
        required=True,
        help_text=gettext_lazy("用户名，按轮到的顺序，逗号隔开；停用的人会跳过"),
    )
    holidays = HolidaysField(
        label=gettext_lazy("节假日"),
        rows=3,
        help_text=gettext_lazy("每行一个，如：国庆节 2026-10-01 ~ 2026-10-07"),
    )
    holiday_people = CommaField(
        label=gettext_lazy("节假日人员"), help_text=gettext_lazy("节假日由他们按天轮流；留空则节假日照常轮换")
    )

    def __init__(self, duty: Duty | None, *args: Any, **kwargs: Any) -> None:
        self.duty = duty
        if duty:
            kwargs["initial"] = {name: getattr(duty, name) for name in ("name", *self.OWN)}
        super().__init__(*args, **kwargs)
        self.fields["name"].disabled = duty is not None

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if not self.duty and Duty.objects.filter(name=name).exists():
            raise forms.ValidationError(_("这个名称已被使用"))
        return name

    def values(self) -> dict[str, Any]:
        """Return the row's values."""
        found = {name: self.cleaned_data[name] for name in ("name", *self.OWN)}
        return {**found, "handover": found["handover"].strftime("%H:%M")}


class OverrideForm(forms.Form):
    """替班: somebody takes the duty for a while, whoever's turn it is."""

    person = forms.ModelChoiceField(label=gettext_lazy("替班人"), queryset=Person.objects.none())
    begins = forms.DateTimeField(label=gettext_lazy("从"))
    ends = forms.DateTimeField(label=gettext_lazy("到"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["person"].queryset = Person.objects.active().select_related("user")  # type: ignore[attr-defined]
        for name in ("begins", "ends"):
            self.fields[name].widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        begins, ends = data.get("begins"), data.get("ends")
        if begins and ends and ends <= begins:
            self.add_error("ends", _("结束必须晚于开始"))
        elif ends and ends <= timezone.now():
            self.add_error("ends", _("结束时间已经过去"))
        return data

    def value(self) -> dict[str, str]:
        """Return the replacement as the list keeps it."""
        moments: dict[str, datetime] = {"from": self.cleaned_data["begins"], "to": self.cleaned_data["ends"]}
        person = {"person": self.cleaned_data["person"].user.get_username()}
        return person | {key: moment.isoformat() for key, moment in moments.items()}
