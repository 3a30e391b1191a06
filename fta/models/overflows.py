"""Flow control: spells of time in which more came than could be healed."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from fta.models.engine import in_choices


class OverflowStage(models.TextChoices):
    RATE = "rate", _("来得太快")
    READY = "ready", _("执行不过来")


class Overflow(models.Model):
    """限流: executions that were recorded and not healed; told about in one message when the spell is over."""

    Stage = OverflowStage

    stage = models.CharField(_("环节"), max_length=8, choices=Stage.choices)
    began_at = models.DateTimeField(_("开始"))
    last_at = models.DateTimeField(_("最近一条"))
    first_execution = models.BigIntegerField(help_text="ids, so that what was not healed is found again")
    last_execution = models.BigIntegerField()
    count = models.PositiveIntegerField(_("条数"), default=0)
    told_at = models.DateTimeField(_("通知"), null=True, blank=True)

    class Meta:
        verbose_name = _("限流")
        verbose_name_plural = verbose_name
        constraints = [
            in_choices("overflow_stage", "stage", OverflowStage),
            models.UniqueConstraint(fields=["stage"], condition=Q(told_at=None), name="overflow_one_open"),
        ]

    def __str__(self) -> str:
        return f"{self.stage} {self.began_at:%Y-%m-%d %H:%M:%S}"
