"""The section of duty lists, and what must hold of each."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django.utils.dateparse import parse_date, parse_datetime, parse_time
from django.utils.translation import gettext as _

from fta.config.document import Run
from fta.config.reader import Reader
from fta.models import Duty, Person


def problems_of(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is wrong with the values of a duty list, as (field path, words)."""
    found = [] if parse_time_of_day(values["handover"]) else [("handover", _("应为 09:00 这样的时刻"))]
    names = {
        **{f"people[{index}]": who for index, who in enumerate(values["people"])},
        **{f"holiday_people[{index}]": who for index, who in enumerate(values["holiday_people"])},
        **{f"overrides[{index}].person": each["person"] for index, each in enumerate(values["overrides"])},
    }
    known = set(Person.objects.filter(user__username__in=names.values()).values_list("user__username", flat=True))
    found += [(path, _("没有“%(name)s”这个人") % {"name": who}) for path, who in names.items() if who not in known]
    for key, read in (("overrides", parse_datetime), ("holidays", parse_date)):
        for index, each in enumerate(values[key]):
            begins, ends = read(each["from"]), read(each["to"])
            if begins and ends and (begins > ends or (key == "overrides" and begins == ends)):
                found.append((f"{key}[{index}].to", _("结束必须晚于开始")))
    return found


def parse_time_of_day(text: str) -> bool:
    """Tell whether a text is a time of day such as 09:00."""
    try:
        return len(text) == len("09:00") and parse_time(text) is not None
    except ValueError:
        return False


class Duties:
    name = "duties"

    def apply(self, data: Any, run: Run) -> None:
        named = set()
        for reader in run.readers(self.name, data):
            name = run.claim(reader, "name", reader.text("name", required=True, limit=64))
            values = {
                "rotation": reader.choice("rotation", Duty.Rotation.values, Duty.Rotation.WEEK),
                "people": reader.texts("people"),
                "handover": reader.text("handover", "09:00"),
                "overrides": [_override(child) for child in reader.children("overrides")],
                "holidays": [_holiday(child) for child in reader.children("holidays")],
                "holiday_people": reader.texts("holiday_people"),
            }
            reader.end()
            for path, message in problems_of(values):
                reader.fault(path, message)
            if name:
                named.add(name)
                run.upsert(Duty, {"name": name}, values)
        gone = list(Duty.objects.staffed().exclude(name__in=named))
        run.gone(self.name, [row.name for row in gone])
        for row in gone:
            run.upsert(Duty, {"pk": row.pk}, {"people": [], "holiday_people": [], "overrides": []})

    def export(self) -> Any:
        fields = ("name", "rotation", "people", "handover", "overrides", "holidays", "holiday_people")
        return [{field: getattr(row, field) for field in fields if getattr(row, field)} for row in Duty.objects.all()]


def _override(reader: Reader) -> dict[str, str]:
    moments = {key: reader.moment(key, required=True) for key in ("from", "to")}
    found = {"person": reader.text("person", required=True)}
    reader.end()
    return found | {key: moment.isoformat() if moment else "" for key, moment in moments.items()}


def _holiday(reader: Reader) -> dict[str, str]:
    first = _day(reader, "from", required=True)
    found = {"name": reader.text("name", _("节假日"), limit=64), "from": first, "to": _day(reader, "to") or first}
    reader.end()
    return found


def _day(reader: Reader, key: str, required: bool = False) -> str:
    """Take a date; YAML reads one without quotes as a date already."""
    value = reader.raw(key, None, required)
    if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value.isoformat() if value else ""
    try:
        found = parse_date(str(value))
    except ValueError:
        found = None
    if found is None:
        reader.fault(key, f"is {value!r}; a day such as 2026-10-01 is expected")
        return ""
    return found.isoformat()
