"""Channels, notification rules, templates and deliveries."""

from enum import StrEnum

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from fta.lib.fields import SealedJSONField
from fta.models import Alert, Execution
from fta.models.engine import Claimable, in_choices


class ChannelKind(StrEnum):
    """The kinds that the portal itself speaks of; which there are is for NOTIFY_TRANSPORTS to say."""

    WECOM_APP = "wecom_app"
    WECOM_ROBOT = "wecom_robot"
    WECOM_CHAT = "wecom_chat"
    EMAIL = "email"
    WEBHOOK = "webhook"


BY_PERSON = (
    ChannelKind.WECOM_APP,
    ChannelKind.EMAIL,
)  # these can be told which persons to reach; a group hears it whole


class Channel(models.Model):
    """通知服务: one configured way out. `config` is sealed: it holds webhook keys."""

    name = models.CharField(_("名称"), max_length=64, unique=True)
    kind = models.CharField(_("类型"), max_length=16, help_text="key of NOTIFY_TRANSPORTS")
    description = models.CharField(_("描述"), max_length=255, blank=True)
    config = SealedJSONField(_("配置"))
    fallback = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        verbose_name=_("备用通知服务"),
        help_text="takes what this one could not deliver; without one the receivers are mailed",
    )
    enabled = models.BooleanField(_("启用"), default=True)
    archived = models.BooleanField(_("已归档"), default=False)
    last_ok_at = models.DateTimeField(_("最近成功"), null=True, blank=True)
    last_failed_at = models.DateTimeField(_("最近失败"), null=True, blank=True)
    last_error = models.TextField(_("最近错误"), blank=True)

    class Meta:
        verbose_name = _("通知服务")
        verbose_name_plural = verbose_name
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Template(models.Model):
    """The text of an event for a kind of channel, in place of the shipped one."""

    name = models.CharField(_("名称"), max_length=64, unique=True)
    event = models.CharField(_("事件"), max_length=64, blank=True)
    channel_kind = models.CharField(_("通知服务类型"), max_length=16, blank=True)
    body = models.TextField(_("正文"))
    archived = models.BooleanField(_("已归档"), default=False)

    class Meta:
        verbose_name = _("通知模板")
        verbose_name_plural = verbose_name

    def __str__(self) -> str:
        return self.name


class NotificationRule(models.Model):
    """通知规则: which events go by which channels to whom."""

    name = models.CharField(_("名称"), max_length=64, unique=True)
    events = models.JSONField(_("事件"), default=list)
    match = models.JSONField(_("条件"), default=dict, blank=True)
    hours = models.JSONField(_("时段"), default=dict, blank=True)
    channels = models.ManyToManyField(Channel, verbose_name=_("通知服务"), blank=True)
    to = models.JSONField(_("接收人"), default=list, blank=True)
    template = models.ForeignKey(Template, on_delete=models.SET_NULL, null=True, blank=True, verbose_name=_("模板"))
    throttle = models.PositiveIntegerField(_("限频（秒）"), default=0)
    options = models.JSONField(_("分组与重复"), default=dict, blank=True)
    send_resolved = models.BooleanField(_("恢复也通知"), default=False)
    enabled = models.BooleanField(_("启用"), default=True)
    archived = models.BooleanField(_("已归档"), default=False)

    class Meta:
        verbose_name = _("通知规则")
        verbose_name_plural = verbose_name
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class DeliveryState(models.TextChoices):
    PENDING = "pending", _("待发送")
    SENDING = "sending", _("发送中")
    SENT = "sent", _("已送达")
    FAILED = "failed", _("失败")
    UNKNOWN = "unknown", _("结果未知")


class Delivery(Claimable):
    """投递: one message to one recipient set, written in the transaction of what it announces."""

    State = DeliveryState

    MOVES = {
        State.PENDING: frozenset({State.SENDING, State.FAILED, State.SENT}),  # sent: within the digest of another
        State.SENDING: frozenset({State.SENT, State.PENDING, State.FAILED, State.UNKNOWN}),
        State.FAILED: frozenset({State.PENDING}),  # resent by a person
        State.UNKNOWN: frozenset({State.PENDING}),
    }

    class Lane(models.IntegerChoices):
        APPROVAL = 0, _("审批")
        NORMAL = 5, _("一般")
        LOW = 9, _("低")

    dedup_key = models.CharField(max_length=128, unique=True)
    channel = models.ForeignKey(Channel, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("通知服务"))
    kind = models.CharField(_("类型"), max_length=16, help_text="key of NOTIFY_TRANSPORTS")
    event = models.CharField(_("事件"), max_length=64)
    lane = models.PositiveSmallIntegerField(choices=Lane.choices, default=Lane.NORMAL)
    # {"message": notify.message.Message as JSON}, and where it applies "group": what is told together with it, "people": the
    # persons whom its rule named (ids), "instead_of": the delivery that failed before it
    recipients = models.JSONField(_("接收人"), default=list, blank=True)
    payload = models.JSONField(_("内容"), default=dict)
    state = models.CharField(_("状态"), max_length=10, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveIntegerField(_("次数"), default=0)
    last_code = models.CharField(_("返回码"), max_length=32, blank=True)
    last_error = models.TextField(_("错误"), blank=True)
    remedy = models.TextField(_("处理办法"), blank=True)
    provider = models.JSONField(
        default=dict, blank=True, help_text="ids that the far side gave: msgid, response_code …"
    )
    created_at = models.DateTimeField(_("生成"))
    sent_at = models.DateTimeField(_("送达"), null=True, blank=True)
    alert = models.ForeignKey(Alert, on_delete=models.SET_NULL, null=True, blank=True)
    execution = models.ForeignKey(Execution, on_delete=models.SET_NULL, null=True, blank=True)
    # Of a message about several approvals it is the first of them or none: see DeliveryApproval.
    approval_ref = models.BigIntegerField(null=True, blank=True, db_index=True, help_text="id of the approval upstairs")

    class Meta:
        verbose_name = _("投递")
        verbose_name_plural = verbose_name
        ordering = ["-id"]
        constraints = [in_choices("delivery_state", "state", DeliveryState)]
        indexes = [
            models.Index(fields=["lane", "id"], condition=Q(state="pending"), name="delivery_due"),
            models.Index(fields=["lease_until"], condition=Q(state="sending"), name="delivery_leases"),
            models.Index(fields=["state", "-id"], name="delivery_state_id"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.event}"

    @property
    def shown_state(self) -> str:
        """Return the state as pages show it: what was called off before it left ends as sent, and nobody got it."""
        return "cancelled" if self.state == DeliveryState.SENT and self.sent_at is None else self.state

    @property
    def to_nobody(self) -> bool:
        """Tell whether it was meant for people of whom this kind reaches none; it must not go to the channel's own instead."""
        return "people" in self.payload and not self.recipients and self.kind in BY_PERSON


class DeliveryApproval(models.Model):
    """One of several approvals that a delivery asks about; each must learn what became of it."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="approvals")
    approval_ref = models.BigIntegerField(db_index=True, help_text="id of the approval upstairs")
    stage = models.PositiveIntegerField(
        default=0, db_default=0, help_text="of the approval, when its people were asked"
    )

    class Meta:
        verbose_name = _("涉及的审批")
        verbose_name_plural = verbose_name
        constraints = [
            models.UniqueConstraint(fields=["delivery", "approval_ref", "stage"], name="delivery_approval_once")
        ]

    def __str__(self) -> str:
        return f"{self.delivery_id}: {self.approval_ref}/{self.stage}"


class Allowance(models.Model):
    """How many messages went to a member or a robot in ten seconds; WeCom drops what exceeds its limits in silence."""

    key = models.CharField(max_length=160)
    minute = models.BigIntegerField(help_text="minutes since the epoch")
    second = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="of the minute, where the ten seconds begin"
    )
    used = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "minute", "second"], name="allowance_moment")]

    def __str__(self) -> str:
        return f"{self.key}@{self.minute}:{self.second}"


class GroupClock(models.Model):
    """When a group of a notification rule was told last, or will be told next; like things that come before then join it.

    Also when somebody was asked last, which gathers what they are asked within the next minute.
    """

    group = models.CharField(max_length=160, unique=True)
    told_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.group}@{self.told_at:%F %T}"


class DeliveryAttempt(models.Model):
    """One try of a delivery, with what was asked and answered (redacted)."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="tries")
    number = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=12, blank=True)
    request = models.TextField(blank=True)
    answer = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.delivery_id}/{self.number}"
