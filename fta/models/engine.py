"""What the engine needs: the database's clock, compare-and-set moves, heartbeats, the kill switch, configuration versions."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, TypeVar

from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

M = TypeVar("M", bound=models.Model)
_pinned: ContextVar[Mapping[str, int] | None] = ContextVar("pinned", default=None)


class DbNow(Func):
    """The database's clock at the moment of evaluation.

    PostgreSQL's now() stands still during a transaction, so that a statement that waited for a row lock would judge a
    deadline by the moment it began to wait; clock_timestamp() does not.
    """

    function = "clock_timestamp"
    template = "%(function)s()"
    output_field = models.DateTimeField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return Now().as_sqlite(compiler, connection, **extra)


class NotInState(Exception):
    """Somebody else moved the row first, or it never was in the expected state."""

    def __init__(self, model: type[models.Model], pk: object, expected: str) -> None:
        super().__init__(f"{model.__name__} {pk} is not {expected}")
        self.pk = pk


class IllegalMove(Exception):
    """The code asked for a move that the table of legal moves does not know: a bug."""


def move(model: type[M], pk: int, frm: str, to: str, *conditions: Q, **fields: Any) -> None:
    """Move one row from state `frm` to `to` by compare-and-set, writing `fields` in the same statement.

    Raises NotInState when no row was in `frm` (or a condition did not hold), IllegalMove when the model's MOVES forbid it.
    """
    moves: Mapping[str, frozenset[str]] = getattr(model, "MOVES")  # noqa: B009 - read by name so that any model may have one
    if to not in moves.get(frm, frozenset()):
        raise IllegalMove(f"{model.__name__}: {frm} -> {to}")
    changed = model._default_manager.filter(*conditions, pk=pk, state=frm).update(state=to, **fields)
    if changed != 1:
        raise NotInState(model, pk, frm)


def in_choices(name: str, field: str, choices: type[models.TextChoices]) -> models.CheckConstraint:
    """Build the constraint that lets the column hold only the values of its TextChoices."""
    return models.CheckConstraint(name=name, condition=Q(**{f"{field}__in": choices.values}))


class Claimable(models.Model):
    """Columns of a row that a worker takes under a lease; `fence` grows at each take, so a ghost's late write finds no row."""

    fence = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=100, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True


class Heartbeat(models.Model):
    """One engine or worker process that is alive."""

    worker = models.CharField(max_length=100, unique=True)
    role = models.CharField(max_length=20)
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.worker


class SwitchQuerySet(models.QuerySet["Switch"]):
    def in_force(self) -> "SwitchQuerySet":
        """Return the switches that halt healing now, by the database's clock."""
        return self.filter(ended_at=None).filter(Q(until=None) | Q(until__gt=DbNow()))


class SwitchScope(models.TextChoices):
    ALL = "all", _("全部")
    BUSINESS = "business", _("业务")
    PACKAGE = "package", _("套餐")


class Switch(models.Model):
    """停止自愈: while one is in force, no step that it covers is claimed."""

    Scope = SwitchScope

    scope = models.CharField(_("范围"), max_length=10, choices=Scope.choices)
    key = models.CharField(_("对象"), max_length=100, blank=True, help_text=_("业务代码或套餐标识；全部时留空"))
    reason = models.TextField(_("原因"))
    until = models.DateTimeField(_("到期"), null=True, blank=True)
    created_by = models.CharField(_("发起人"), max_length=150)
    created_at = models.DateTimeField(_("发起时间"), auto_now_add=True)
    ended_by = models.CharField(_("恢复人"), max_length=150, blank=True)
    ended_at = models.DateTimeField(_("恢复时间"), null=True, blank=True)

    objects = SwitchQuerySet.as_manager()

    class Meta:
        verbose_name = _("停止自愈")
        verbose_name_plural = verbose_name
        constraints = [in_choices("switch_scope", "scope", SwitchScope)]
        indexes = [models.Index(fields=["scope", "key"], condition=Q(ended_at=None), name="switch_open")]

    def __str__(self) -> str:
        return f"{self.scope}:{self.key}"


class ConfigVersion(models.Model):
    """A counter per kind of configuration; compiled copies in memory are rebuilt when it has moved."""

    kind = models.CharField(max_length=40, primary_key=True)
    number = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"

    @classmethod
    def bump(cls, kind: str) -> None:
        """Make every process rebuild its copy of `kind` at its next use; call it in the transaction of the change."""
        cls.objects.get_or_create(kind=kind)
        cls.objects.filter(kind=kind).update(number=F("number") + 1)

    @classmethod
    def current(cls, kind: str) -> int:
        """Return the version of `kind`; 0 when it was never changed."""
        return cls.versions(kind)[0]

    @classmethod
    def versions(cls, *kinds: str) -> tuple[int, ...]:
        """Return the versions of `kinds` in one look; 0 for one that was never changed."""
        found = _pinned.get()
        if found is None:
            found = dict(cls.objects.filter(kind__in=kinds).values_list("kind", "number"))
        return tuple(found.get(kind, 0) for kind in kinds)

    @classmethod
    @contextmanager
    def pinned(cls) -> Iterator[None]:
        """Read all versions once for the block, which judges everything by the configuration of its beginning."""
        token = _pinned.set(dict(cls.objects.values_list("kind", "number")))
        try:
            yield
        finally:
            _pinned.reset(token)


def lease(seconds: int) -> Any:
    """Return the expression "`seconds` from now by the database's clock"."""
    return DbNow() + timedelta(seconds=seconds)
