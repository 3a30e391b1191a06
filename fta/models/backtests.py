"""Backtests: stored alerts replayed against draft rules, as work in the background."""

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from fta.models.engine import Claimable, in_choices
from fta.models.scope import is_admin


class BacktestState(models.TextChoices):
    WAITING = "waiting", _("等待开始")
    RUNNING = "running", _("正在重放")
    DONE = "done", _("已完成")
    FAILED = "failed", _("没有完成")


class BacktestQuerySet(models.QuerySet["BacktestRun"]):
    def visible_to(self, user: Any) -> "BacktestQuerySet":
        """Return the user's own backtests; all for an admin."""
        return self.all() if is_admin(user) else self.filter(requested_by_id=user.pk or 0)


class BacktestRun(Claimable):
    """回测: `request` says which alerts and which drafts, `report` what would have happened, and what is different from today."""

    State = BacktestState

    MOVES = {
        State.WAITING: frozenset({State.RUNNING, State.FAILED}),
        State.RUNNING: frozenset({State.DONE, State.FAILED, State.WAITING}),
    }

    requested_by = models.ForeignKey("auth.User", on_delete=models.CASCADE, related_name="+")
    request = models.JSONField(
        default=dict, help_text="from, to, businesses (null: all), drafts of rules and convergence_rules"
    )
    state = models.CharField(_("状态"), max_length=8, choices=State.choices, default=State.WAITING)
    done = models.PositiveIntegerField(_("已重放"), default=0)
    total = models.PositiveIntegerField(_("总数"), default=0)
    report = models.JSONField(default=dict, blank=True)
    error = models.TextField(_("原因"), blank=True)
    created_at = models.DateTimeField(_("发起"))
    ended_at = models.DateTimeField(_("结束"), null=True, blank=True)

    objects = BacktestQuerySet.as_manager()

    class Meta:
        verbose_name = _("回测")
        verbose_name_plural = verbose_name
        constraints = [in_choices("backtest_state", "state", BacktestState)]
        indexes = [models.Index(fields=["id"], condition=Q(state__in=["waiting", "running"]), name="backtest_open")]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def percent(self) -> int:
        """Return how far the replay has come, from 0 to 100."""
        return min(100, self.done * 100 // self.total) if self.total else 0
