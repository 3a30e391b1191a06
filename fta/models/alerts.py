"""Alerts: one row per firing episode of a fingerprint."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from fta.models.engine import in_choices
from fta.models.inventory import Business, Host
from fta.models.scope import ScopedQuerySet
from fta.models.sources import Inbox, Source


class AlertStatus(models.TextChoices):
    FIRING = "firing", _("告警中")
    RESOLVED = "resolved", _("已恢复")
    ACKNOWLEDGED = "acknowledged", _("已确认")
    NO_DATA = "no_data", _("无数据")


class AlertSeverity(models.TextChoices):
    CRITICAL = "critical", _("致命")
    ERROR = "error", _("严重")
    WARNING = "warning", _("警告")
    INFO = "info", _("提示")
    NONE = "", _("未分级")


class AlertOutcome(models.TextChoices):
    PENDING = "pending", _("待处理")
    UNMATCHED = "unmatched", _("未接入")
    SHIELDED = "shielded", _("被屏蔽")
    MATCHED = "matched", _("已接入")
    NOT_FIRING = "not_firing", _("非告警")
    UNUSABLE_TARGET = "unusable_target", _("对象不可用")
    STALE = "stale", _("已过时")
    FAULT = "fault", _("处理出错")


class Alert(models.Model):
    """告警: one firing episode of (source, fingerprint)."""

    Status = AlertStatus

    Severity = AlertSeverity

    Outcome = AlertOutcome

    source = models.ForeignKey(Source, on_delete=models.PROTECT, verbose_name=_("告警源"))
    inbox = models.ForeignKey(Inbox, on_delete=models.PROTECT, null=True, blank=True)
    fingerprint = models.CharField(_("指纹"), max_length=64)
    external_id = models.CharField(_("外部编号"), max_length=255, blank=True)
    alert_type = models.CharField(_("告警类型"), max_length=255, db_index=True)
    severity = models.CharField(_("级别"), max_length=10, choices=Severity.choices, blank=True)
    severity_raw = models.CharField(max_length=64, blank=True)
    status = models.CharField(_("状态"), max_length=12, choices=Status.choices)
    title = models.CharField(_("标题"), max_length=1024, blank=True)
    content = models.TextField(_("内容"), blank=True)
    target = models.CharField(_("对象"), max_length=255, blank=True, help_text=_("告警里写的 IP 或名称"))
    target_kind = models.CharField(max_length=16, blank=True, help_text="host, loopback, cloud, service or ''")
    host = models.ForeignKey(Host, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("主机"))
    business = models.ForeignKey(Business, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("业务"))
    registered = models.BooleanField(_("主机已登记"), default=True)
    labels = models.JSONField(_("标签"), default=dict, blank=True)
    context = models.JSONField(_("上下文"), default=None, null=True, blank=True)
    links = models.JSONField(default=dict, blank=True)
    starts_at = models.DateTimeField(_("开始"), null=True, blank=True)
    received_at = models.DateTimeField(_("收到"))
    last_seen_at = models.DateTimeField(_("最近一次"))
    resolved_at = models.DateTimeField(_("恢复"), null=True, blank=True)
    repeat_count = models.PositiveIntegerField(_("重复次数"), default=0)
    outcome = models.CharField(_("去向"), max_length=16, choices=Outcome.choices, default=Outcome.PENDING)
    outcome_detail = models.CharField(max_length=255, blank=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        verbose_name = _("告警")
        verbose_name_plural = verbose_name
        ordering = ["-id"]
        constraints = [
            in_choices("alert_status", "status", AlertStatus),
            in_choices("alert_outcome", "outcome", AlertOutcome),
            models.UniqueConstraint(
                fields=["source", "fingerprint"], condition=~Q(status="resolved"), name="alert_one_open_episode"
            ),
        ]
        indexes = [
            models.Index(fields=["status", "-id"], name="alert_status_id"),
            models.Index(fields=["business", "-id"], name="alert_business_id"),
            models.Index(fields=["outcome", "-id"], name="alert_outcome_id"),
            models.Index(fields=["received_at"], name="alert_received_at"),
            models.Index(fields=["source", "fingerprint", "-id"], name="alert_episodes"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.alert_type} {self.target}"


class AlertEvent(models.Model):
    """What a source said about an alert; a repeat of the same saying counts up. `applied` is false for one that came too late."""

    source = models.ForeignKey(Source, on_delete=models.PROTECT)
    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, null=True, related_name="events")
    fingerprint = models.CharField(max_length=64)
    status = models.CharField(max_length=12)
    starts_at = models.DateTimeField()  # the sender's, else the moment of receipt
    ends_at = models.DateTimeField(null=True)  # the sender's, of a `resolved`
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    seen_count = models.PositiveIntegerField(default=1)
    applied = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "fingerprint", "starts_at", "status"], name="alert_event_once"),
        ]

    def __str__(self) -> str:
        return f"{self.fingerprint[:12]} {self.status}"
