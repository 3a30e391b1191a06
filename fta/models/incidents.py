"""Incidents: one storm of like executions."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from fta.models.engine import in_choices
from fta.models.inventory import Business
from fta.models.rules import ConvergenceRule
from fta.models.scope import ScopedQuerySet


class IncidentState(models.TextChoices):
    OPEN = "open", _("进行中")
    CLOSED = "closed", _("已结束")


class Incident(models.Model):
    """收敛事件: one (convergence rule, dimension values) while alerts keep coming."""

    State = IncidentState

    MOVES = {State.OPEN: frozenset({State.CLOSED})}

    rule = models.ForeignKey(ConvergenceRule, on_delete=models.PROTECT, verbose_name=_("收敛规则"))
    group_key = models.CharField(max_length=64, help_text="sha256 of rule id and dimension values")
    dimensions = models.JSONField(_("维度"), default=dict)
    function = models.CharField(_("收敛方式"), max_length=32)
    business = models.ForeignKey(Business, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("业务"))
    state = models.CharField(_("状态"), max_length=8, choices=State.choices, default=State.OPEN)
    title = models.CharField(_("标题"), max_length=255, blank=True)
    execution_count = models.PositiveIntegerField(_("条数"), default=0)
    visible = models.BooleanField(default=True)
    opened_at = models.DateTimeField(_("开始"))
    last_joined_at = models.DateTimeField(_("最近一条"))
    closed_at = models.DateTimeField(_("结束"), null=True, blank=True)
    findings = models.JSONField(default=dict, blank=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        verbose_name = _("收敛事件")
        verbose_name_plural = verbose_name
        ordering = ["-id"]
        constraints = [
            in_choices("incident_state", "state", IncidentState),
            models.UniqueConstraint(fields=["group_key"], condition=Q(state="open"), name="incident_one_open"),
        ]
        indexes = [models.Index(fields=["last_joined_at"], condition=Q(state="open"), name="incident_open_age")]

    def __str__(self) -> str:
        return self.title or f"#{self.pk}"


class Member(models.Model):
    """An execution as a convergence rule saw it: its window is counted here, and its place in the incident kept."""

    rule = models.ForeignKey(ConvergenceRule, on_delete=models.CASCADE)
    group_key = models.CharField(max_length=64)
    execution = models.ForeignKey("fta.Execution", on_delete=models.CASCADE, related_name="memberships")
    received_at = models.DateTimeField()
    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, null=True, blank=True, related_name="members")
    ordinal = models.PositiveIntegerField(default=0, help_text="place in the incident, from 1; 0 outside one")
    ended_at = models.DateTimeField(
        null=True, help_text="when the execution ended; kept here so that its group finds it by index"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["rule", "execution"], name="member_once")]
        indexes = [
            models.Index(fields=["group_key", "received_at"], name="member_window"),
            models.Index(fields=["group_key", "ended_at"], name="member_ended"),
        ]

    def __str__(self) -> str:
        return f"{self.group_key[:8]} {self.execution_id}"
