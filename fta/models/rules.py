"""Rules: which alerts get which package, how storms converge, what is shielded."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from fta.models.engine import in_choices
from fta.models.inventory import Business
from fta.models.packages import Mode, Package


class Rule(models.Model):
    """接入自愈: the first enabled rule by (priority, id) whose conditions hold decides about an alert."""

    name = models.CharField(_("名称"), max_length=128, unique=True)
    priority = models.IntegerField(_("优先级"), default=100, help_text=_("数字小的先匹配"))
    enabled = models.BooleanField(_("启用"), default=True)
    archived = models.BooleanField(_("已归档"), default=False)
    match = models.JSONField(_("条件"), default=dict, blank=True)
    package = models.ForeignKey(
        Package, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("套餐"), help_text=_("留空为只记录")
    )
    parameters = models.JSONField(_("参数"), default=dict, blank=True)
    timeout = models.PositiveIntegerField(_("时限（秒）"), default=2400)
    stale_after = models.PositiveIntegerField(_("过时（秒）"), null=True, blank=True)
    void_when_resolved = models.BooleanField(
        _("恢复即作废"),
        default=False,
        db_default=False,
        help_text=_("还没有开始的执行在告警恢复时结束，等待的审批作废"),
    )
    mode = models.CharField(_("模式"), max_length=10, choices=Mode.choices, default=Mode.AUTO)
    approval_policy = models.CharField(_("审批策略"), max_length=64, blank=True)
    notify = models.JSONField(_("通知设置"), default=dict, blank=True)
    verify_within = models.PositiveIntegerField(_("恢复判定（秒）"), default=600)
    verify_stay = models.PositiveIntegerField(_("不复发判定（秒）"), default=1800)
    updated_at = models.DateTimeField(auto_now=True)

    # The keys of `notify`: false switches off the mail about a failure; names of channels that tell how its executions end.
    MAIL_MAINTAINERS, CHANNELS = "mail_maintainers", "channels"
    SHORTEST = 60  # seconds of a timeout

    class Meta:
        verbose_name = _("接入规则")
        verbose_name_plural = verbose_name
        ordering = ["priority", "id"]
        constraints = [in_choices("rule_mode", "mode", Mode)]

    def __str__(self) -> str:
        return self.name

    @property
    def mails_maintainers(self) -> bool:
        """Tell whether a failure or an unknown result is mailed to those who maintain the business."""
        return (self.notify or {}).get(self.MAIL_MAINTAINERS) is not False

    @property
    def told_by(self) -> list[str]:
        """Return the names of the channels that tell how executions of this rule end, besides what notification rules tell."""
        return list((self.notify or {}).get(self.CHANNELS) or ())


class ShieldRepeat(models.TextChoices):
    ONCE = "once", _("一次")
    DAILY = "daily", _("每天")
    WEEKLY = "weekly", _("每周")


class Shield(models.Model):
    """屏蔽: alerts that match inside the window are recorded and not healed."""

    Repeat = ShieldRepeat

    name = models.CharField(_("名称"), max_length=128, unique=True)
    match = models.JSONField(_("条件"), default=dict, blank=True)
    starts_at = models.DateTimeField(_("从"))
    ends_at = models.DateTimeField(_("到"))
    repeat = models.CharField(_("重复"), max_length=8, choices=Repeat.choices, default=Repeat.ONCE)
    reason = models.CharField(_("原因"), max_length=255)
    author = models.CharField(_("设置人"), max_length=150, blank=True)
    enabled = models.BooleanField(_("启用"), default=True)
    archived = models.BooleanField(_("已归档"), default=False)

    class Meta:
        verbose_name = _("屏蔽")
        verbose_name_plural = verbose_name
        ordering = ["-id"]
        constraints = [in_choices("shield_repeat", "repeat", ShieldRepeat)]

    def __str__(self) -> str:
        return self.name


class ConvergenceRule(models.Model):
    """收敛规则: more than `count` executions with the same dimensions within `window` seconds are one incident."""

    name = models.CharField(_("名称"), max_length=128, unique=True)
    alert_types = models.JSONField(_("告警类型"), default=list, blank=True)
    window = models.PositiveIntegerField(_("窗口（秒）"), default=300)
    count = models.PositiveIntegerField(_("超过条数"), default=1)
    dimensions = models.JSONField(
        _("维度"), default=list, help_text='names, or {"name": …, "values": […]} for explicit values instead of "self"'
    )
    function = models.CharField(_("收敛方式"), max_length=32)
    priority = models.IntegerField(_("优先级"), default=100)
    business = models.ForeignKey(Business, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("业务"))
    blocked_by = models.ManyToManyField(
        Business, blank=True, related_name="blocked_rules", verbose_name=_("不采用的业务")
    )
    enabled = models.BooleanField(_("启用"), default=True)
    archived = models.BooleanField(_("已归档"), default=False)
    remark = models.CharField(_("备注"), max_length=255)

    class Meta:
        verbose_name = _("收敛规则")
        verbose_name_plural = verbose_name
        ordering = ["priority", "id"]

    def __str__(self) -> str:
        return self.name
