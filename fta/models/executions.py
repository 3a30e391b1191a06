"""Executions and their step runs: the state machines of healing."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from fta.models.alerts import Alert
from fta.models.engine import Claimable, Switch, in_choices
from fta.models.incidents import Incident
from fta.models.inventory import Business, Host
from fta.models.packages import Mode, Package, PackageVersion
from fta.models.rules import ConvergenceRule, Rule, Shield
from fta.models.scope import ScopedQuerySet


class ExecutionState(models.TextChoices):
    CONVERGING = "converging", _("收敛中")
    SLEEPING = "sleeping", _("等待中")
    HELD = "held", _("待审批")
    READY = "ready", _("待执行")
    RUNNING = "running", _("执行中")
    SUCCEEDED = "succeeded", _("成功")
    ALMOST = "almost_succeeded", _("基本成功")
    FAILED = "failed", _("失败")
    SKIPPED = "skipped", _("已跳过")
    CANCELLED = "cancelled", _("已停止")
    UNKNOWN = "unknown", _("结果未知")
    SHADOWED = "shadowed", _("已演练")
    RECORDED = "recorded", _("仅记录")
    SHIELDED = "shielded", _("被屏蔽")
    BELOW_THRESHOLD = "below_threshold", _("未达阈值")


class ExecutionHealed(models.TextChoices):
    NONE = "", _("不判定")
    PENDING = "pending", _("观察中")
    RESOLVED = "resolved", _("已恢复，观察复发")
    HEALED = "healed", _("已自愈")
    NOT_HEALED = "not_healed", _("未恢复")
    RELAPSED = "relapsed", _("复发")


class Execution(models.Model):
    """自愈记录: one run of a package version for one alert, with its frozen plan."""

    State = ExecutionState

    ENDED = frozenset(
        {
            State.SUCCEEDED,
            State.ALMOST,
            State.FAILED,
            State.SKIPPED,
            State.CANCELLED,
            State.UNKNOWN,
            State.SHADOWED,
            State.RECORDED,
            State.SHIELDED,
            State.BELOW_THRESHOLD,
        }
    )
    WELL = frozenset({State.SUCCEEDED, State.ALMOST, State.SKIPPED, State.SHADOWED})
    # Merged away by convergence: nothing was done for them because of others like them.
    CONVERGED = Q(state=State.BELOW_THRESHOLD) | Q(state=State.SKIPPED, verdict__in=["skip", "below", "wait"])
    MOVES = {
        State.CONVERGING: frozenset(
            {
                State.SLEEPING,
                State.HELD,
                State.READY,
                State.SKIPPED,
                State.SHADOWED,
                State.RECORDED,
                State.SHIELDED,
                State.BELOW_THRESHOLD,
                State.CANCELLED,
                State.FAILED,
            }
        ),
        State.SLEEPING: frozenset(
            {State.CONVERGING, State.HELD, State.READY, State.SKIPPED, State.CANCELLED, State.FAILED, State.SHADOWED}
        ),
        State.HELD: frozenset({State.READY, State.SKIPPED, State.CANCELLED, State.FAILED}),
        State.READY: frozenset(
            {State.RUNNING, State.SLEEPING, State.HELD, State.SKIPPED, State.CANCELLED, State.FAILED, State.RECORDED}
        ),
        State.RUNNING: frozenset(
            {State.SUCCEEDED, State.ALMOST, State.FAILED, State.SKIPPED, State.UNKNOWN, State.CANCELLED, State.SHADOWED}
        ),
        # A person retries a failed execution or settles an unknown one.
        State.FAILED: frozenset({State.RUNNING, State.HELD}),
        State.UNKNOWN: frozenset({State.RUNNING, State.HELD, State.SUCCEEDED, State.FAILED}),
        State.CANCELLED: frozenset({State.RUNNING, State.HELD}),
        State.SKIPPED: frozenset({State.RUNNING, State.HELD}),
    }

    Healed = ExecutionHealed

    trigger_key = models.CharField(
        max_length=128, unique=True, help_text="incident|rule|package|episode: one run a cause"
    )
    alert = models.ForeignKey(Alert, on_delete=models.PROTECT, null=True, blank=True, related_name="executions")
    rule = models.ForeignKey(Rule, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("接入规则"))
    package = models.ForeignKey(Package, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("套餐"))
    version = models.ForeignKey(PackageVersion, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("版本"))
    host = models.ForeignKey(Host, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("主机"))
    business = models.ForeignKey(Business, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("业务"))
    alert_type = models.CharField(max_length=255, blank=True)
    state = models.CharField(_("状态"), max_length=16, choices=State.choices, default=State.CONVERGING)
    mode = models.CharField(_("模式"), max_length=10, choices=Mode.choices, default=Mode.AUTO)
    plan = models.JSONField(_("计划"), default=dict)
    plan_sha256 = models.CharField(max_length=64, blank=True)
    needs_approval = models.BooleanField(default=False)
    approval_policy = models.CharField(max_length=64, blank=True)
    hold_reasons = models.JSONField(default=list, blank=True, help_text="why a person is asked, in words")
    requested_by = models.ForeignKey(
        "auth.User", on_delete=models.PROTECT, null=True, blank=True, related_name="+", help_text="who ran it by hand"
    )
    incident = models.ForeignKey(Incident, on_delete=models.SET_NULL, null=True, blank=True, related_name="executions")
    verdict = models.CharField(_("收敛结论"), max_length=16, blank=True)
    verdict_rule = models.ForeignKey(
        ConvergenceRule, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    shield = models.ForeignKey(Shield, on_delete=models.SET_NULL, null=True, blank=True)
    cancel_requested = models.BooleanField(default=False)
    acting = models.BooleanField(default=False, help_text="has begun to act on its host; one such per host at a time")
    reason = models.TextField(_("说明"), blank=True)
    received_at = models.DateTimeField(_("收到"))
    deadline_at = models.DateTimeField(_("截止"))
    wake_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(_("开始"), null=True, blank=True)
    ended_at = models.DateTimeField(_("结束"), null=True, blank=True)
    healed = models.CharField(_("自愈判定"), max_length=12, choices=Healed.choices, blank=True)
    verify_at = models.DateTimeField(null=True, blank=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        verbose_name = _("自愈记录")
        verbose_name_plural = verbose_name
        ordering = ["-id"]
        constraints = [
            in_choices("execution_state", "state", ExecutionState),
            in_choices("execution_mode", "mode", Mode),
            models.UniqueConstraint(
                fields=["package", "host"], condition=Q(state="running"), name="execution_one_running_per_package_host"
            ),
            models.UniqueConstraint(
                fields=["host"], condition=Q(state="running", acting=True), name="execution_one_acting_per_host"
            ),
        ]
        indexes = [
            models.Index(fields=["wake_at"], condition=Q(state="sleeping"), name="execution_sleeping"),
            models.Index(fields=["id"], condition=Q(state="ready"), name="execution_ready"),
            models.Index(fields=["deadline_at"], condition=Q(ended_at=None), name="execution_deadline"),
            models.Index(fields=["verify_at"], condition=~Q(verify_at=None), name="execution_verify"),
            models.Index(fields=["state", "-id"], name="execution_state_id"),
            models.Index(fields=["business", "-id"], name="execution_business_id"),
            models.Index(fields=["package", "host", "-id"], name="execution_history"),
            models.Index(fields=["package", "started_at"], name="execution_budget"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def begun(self) -> bool:
        """Tell whether steps were made of its plan: from then on, retries included, it stays with the nodes of that plan."""
        return self.started_at is not None


class StepRunState(models.TextChoices):
    READY = "ready", _("待执行")
    RUNNING = "running", _("执行中")
    WAITING = "waiting", _("等待中")
    SUCCEEDED = "succeeded", _("成功")
    FAILED = "failed", _("失败")
    UNKNOWN = "unknown", _("结果未知")
    SKIPPED = "skipped", _("已跳过")
    CANCELLED = "cancelled", _("已停止")


class StepRunPolicy(models.TextChoices):
    ONCE = "once", _("只做一次")
    IDEMPOTENT = "idempotent", _("可重复")
    PROBE = "probe", _("先探查")


class StepRun(Claimable):
    """One node of an execution being run; the only thing that ever acts."""

    State = StepRunState

    Policy = StepRunPolicy

    ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.UNKNOWN, State.SKIPPED, State.CANCELLED})
    MOVES = {
        State.READY: frozenset({State.RUNNING, State.CANCELLED, State.FAILED}),
        State.RUNNING: frozenset(
            {State.SUCCEEDED, State.FAILED, State.UNKNOWN, State.READY, State.WAITING, State.SKIPPED, State.CANCELLED}
        ),
        # Parked: woken by the clock (sleep) or by a person's decision (approval).
        State.WAITING: frozenset({State.READY, State.SUCCEEDED, State.FAILED, State.CANCELLED}),
        State.UNKNOWN: frozenset({State.SUCCEEDED, State.FAILED, State.READY}),  # by a person, audited
    }

    execution = models.ForeignKey(Execution, on_delete=models.PROTECT, related_name="steps")
    node = models.PositiveIntegerField(_("节点"))
    iteration = models.PositiveIntegerField(default=1, help_text="grows when a person retries the node")
    type = models.CharField(_("类型"), max_length=32)
    name = models.CharField(_("名称"), max_length=128, blank=True)
    policy = models.CharField(max_length=12, choices=Policy.choices, default=Policy.ONCE)
    state = models.CharField(_("状态"), max_length=12, choices=State.choices, default=State.READY)
    attempt = models.PositiveIntegerField(_("次数"), default=0)
    max_attempts = models.PositiveIntegerField(default=1)
    plan_sha256 = models.CharField(max_length=64)
    # The approval node whose yes this step stands on; the claim checks that yes again.
    permit = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    # The same over every attempt of this step and never used again, not even by a database that is made anew: the target
    # and the journal on its host know the step by it.
    idem_key = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    # Where on the target the present attempt can be looked up; written before anything is sent, '' means that nothing was.
    journal = models.CharField(max_length=128, blank=True)
    input = models.JSONField(default=dict, blank=True, help_text="rendered parameters, secrets masked")
    result = models.JSONField(default=dict, blank=True)
    output = models.TextField(_("输出"), blank=True)
    error = models.TextField(_("错误"), blank=True)
    outcome = models.CharField(
        max_length=16, blank=True, help_text="refused, expired, timeout, guard, almost … beside the state"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(_("开始"), null=True, blank=True)
    ended_at = models.DateTimeField(_("结束"), null=True, blank=True)

    class Meta:
        verbose_name = _("步骤")
        verbose_name_plural = verbose_name
        ordering = ["id"]
        constraints = [
            in_choices("step_state", "state", StepRunState),
            in_choices("step_policy", "policy", StepRunPolicy),
            models.UniqueConstraint(fields=["execution", "node", "iteration"], name="step_once"),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(state="ready"), name="step_ready"),
            models.Index(fields=["lease_until"], condition=Q(state="running"), name="step_leases"),
            models.Index(fields=["not_before"], condition=Q(state="waiting"), name="step_waiting"),
        ]

    def __str__(self) -> str:
        return f"{self.execution_id}_{self.node}"


class StepAttempt(models.Model):
    """One start of a step, append-only: written in the claim's transaction, ended with what is known."""

    step = models.ForeignKey(StepRun, on_delete=models.PROTECT, related_name="attempts")
    fence = models.BigIntegerField()
    number = models.PositiveIntegerField()
    worker = models.CharField(max_length=100)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField(max_length=12, blank=True)
    error = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["step", "fence"], name="step_attempt_fence")]

    def __str__(self) -> str:
        return f"{self.step_id}@{self.fence}"


class Reservation(models.Model):
    """A spare that an execution has taken. It ends with the execution, unless the spare has taken the place of the faulty host."""

    host = models.OneToOneField(Host, on_delete=models.PROTECT, related_name="reservation", verbose_name=_("备机"))
    execution = models.ForeignKey(
        Execution, on_delete=models.PROTECT, related_name="reservations", verbose_name=_("自愈记录")
    )
    at = models.DateTimeField(_("时间"))

    class Meta:
        verbose_name = _("备机占用")
        verbose_name_plural = verbose_name
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.host} ← #{self.execution_id}"


class ExecutionEvent(models.Model):
    """经过: what happened in an execution, in the words that its page shows."""

    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="history")
    at = models.DateTimeField()
    kind = models.CharField(max_length=32)
    text = models.TextField()
    data = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["kind"], name="execution_event_kind")]  # the moves that /metrics counts

    def __str__(self) -> str:
        return self.text


class HeldBack(models.Model):
    """An execution that was about to go on while a switch was in force: what the switch has stopped, kept for later."""

    switch = models.ForeignKey(Switch, on_delete=models.CASCADE, related_name="held_back")
    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="held_back")
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["switch", "execution"], name="held_back_once")]

    def __str__(self) -> str:
        return f"{self.switch_id}: {self.execution_id}"
