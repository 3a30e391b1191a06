"""Duty lists: who is on now."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime, parse_time
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from fta.models.engine import in_choices
from fta.models.inventory import Person

_DAY = timedelta(days=1)


class DutyRotation(models.TextChoices):
    DAY = "day", _("按天")
    WEEK = "week", _("按周")


@dataclass(frozen=True)
class Turn:
    """From when to when somebody is on duty, and for what reason it is not the ordinary turn."""

    begins: datetime
    ends: datetime
    username: str
    why: str  # "", "override", or the name of a holiday


class DutyQuerySet(models.QuerySet["Duty"]):
    def staffed(self) -> "DutyQuerySet":
        """Return the lists that have people."""
        return self.exclude(people=[]).order_by("name")

    def on_duty(self, name: str, at: datetime) -> str:
        """Return the username whose turn it is in a list; '' for an empty or unknown one."""
        found = self.filter(name=name).first()
        return found.on_duty(at) if found else ""


class Duty(models.Model):
    """值班表: the people take turns by day or week, others on holidays; a replacement goes before any turn."""

    Rotation = DutyRotation

    name = models.CharField(_("名称"), max_length=64, unique=True)
    rotation = models.CharField(_("轮换"), max_length=8, choices=Rotation.choices, default=Rotation.WEEK)
    people = models.JSONField(_("人员"), default=list, help_text="usernames in turn")
    handover = models.CharField(_("交接时刻"), max_length=5, default="09:00")
    overrides = models.JSONField(_("替班"), default=list, blank=True, help_text='[{"person", "from", "to"}], ISO 8601')
    holidays = models.JSONField(
        _("节假日"), default=list, blank=True, help_text='[{"name", "from", "to"}], both days in'
    )
    holiday_people = models.JSONField(
        _("节假日人员"), default=list, blank=True, help_text="usernames, a day each in turn"
    )

    objects = DutyQuerySet.as_manager()

    class Meta:
        verbose_name = _("值班表")
        verbose_name_plural = verbose_name
        constraints = [in_choices("duty_rotation", "rotation", DutyRotation)]

    def __str__(self) -> str:
        return self.name

    def on_duty(self, at: datetime) -> str:
        """Return the username whose turn it is; '' where the list has nobody who is active.

        Turns begin at the handover of each day, or of each Monday, in the portal's zone; so do holidays.
        Whoever has left is passed over, and the next one takes the turn.
        """
        return self._turn(at)[0]

    def turns(self, begins: datetime, ends: datetime) -> Iterator[Turn]:
        """Return who is on duty in a span, in order of time."""
        turn: Turn | None = None
        edges = [begins, *self._edges(begins, ends), ends]
        for start, end in itertools.pairwise(edges):
            who, why = self._turn(start)
            if turn and (turn.username, turn.why) == (who, why):
                turn = Turn(turn.begins, end, who, why)
                continue
            if turn:
                yield turn
            turn = Turn(start, end, who, why)
        if turn:
            yield turn

    def holiday(self, day: date) -> str:
        """Return the name of the holiday that a day belongs to, ''  for an ordinary day."""
        for each in self.holidays:
            first, last = parse_date(each["from"]), parse_date(each["to"])
            if first and last and first <= day <= last:
                return str(each["name"])
        return ""

    @property
    def handover_at(self) -> time:
        """Return the time of day at which turns begin."""
        return parse_time(self.handover) or time(9)

    def _turn(self, at: datetime) -> tuple[str, str]:
        for override in self.overrides:
            begins, ends = parse_datetime(override["from"]), parse_datetime(override["to"])
            if begins and ends and begins <= at < ends and override["person"] in self._active:
                return override["person"], "override"
        handover = timedelta(hours=self.handover_at.hour, minutes=self.handover_at.minute)
        day = (timezone.localtime(at).replace(tzinfo=None) - handover).date()
        days = day.toordinal() - 1  # day 0 is a Monday
        holiday = self.holiday(day) if self.holiday_people else ""
        if holiday and (who := self._next(self.holiday_people, days)):
            return who, holiday
        return self._next(self.people, days if self.rotation == DutyRotation.DAY else days // 7), ""

    def _next(self, people: list[str], turn: int) -> str:
        at = turn % len(people) if people else 0
        return next((who for who in [*people[at:], *people[:at]] if who in self._active), "")

    @cached_property
    def _active(self) -> set[str]:
        named = {*self.people, *self.holiday_people, *(each["person"] for each in self.overrides)}
        rows = Person.objects.active().filter(user__username__in=named)
        return set(rows.values_list("user__username", flat=True))

    def _edges(self, begins: datetime, ends: datetime) -> list[datetime]:
        zone = timezone.get_current_timezone()
        day, found = timezone.localtime(begins).date() - _DAY, set()
        while day <= timezone.localtime(ends).date():
            found.add(datetime.combine(day, self.handover_at, tzinfo=zone))
            day += _DAY
        moments: list[Any] = [parse_datetime(each[key]) for each in self.overrides for key in ("from", "to")]
        return sorted(each for each in {*found, *moments} if each and begins < each < ends)
