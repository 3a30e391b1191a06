"""Alert sources and the inbox of raw bodies."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from fta.models.engine import in_choices
from fta.models.inventory import Business


class Source(models.Model):
    """告警源: one sender with its credential. Secrets are stored as SHA-256; two may be valid while one is being rotated."""

    name = models.CharField(_("名称"), max_length=64, unique=True)
    kind = models.CharField(_("类型"), max_length=32)
    app_id = models.CharField(_("应用 ID"), max_length=64, blank=True)
    secret_digest = models.CharField(max_length=64, blank=True, db_index=True)
    previous_digest = models.CharField(max_length=64, blank=True, db_index=True)
    previous_until = models.DateTimeField(null=True, blank=True)
    business = models.ForeignKey(Business, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("默认业务"))
    time_zone = models.CharField(_("时区"), max_length=64, blank=True)
    cidrs = models.JSONField(_("允许来源"), default=list, blank=True)
    relay_to = models.JSONField(_("转发到"), default=list, blank=True)
    options = models.JSONField(_("选项"), default=dict, blank=True)
    enabled = models.BooleanField(_("启用"), default=True)
    archived = models.BooleanField(_("已归档"), default=False)

    class Meta:
        verbose_name = _("告警源")
        verbose_name_plural = verbose_name
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["app_id"], condition=~Q(app_id=""), name="source_app_id"),
        ]

    def __str__(self) -> str:
        return self.name


class InboxState(models.TextChoices):
    NEW = "new", _("待处理")
    DONE = "done", _("已处理")
    REJECTED = "rejected", _("已拒收")
    POISON = "poison", _("无法处理")


class Inbox(models.Model):
    """One request of a sender, kept as it came; committed before the sender gets its 2xx."""

    State = InboxState

    MOVES = {
        State.NEW: frozenset({State.DONE, State.REJECTED, State.POISON}),
        State.REJECTED: frozenset({State.NEW}),  # replayed by a person
        State.POISON: frozenset({State.NEW}),
    }

    source = models.ForeignKey(Source, on_delete=models.PROTECT, db_index=False, verbose_name=_("告警源"))
    kind = models.CharField(_("类型"), max_length=32)
    raw = models.BinaryField(_("原文"))
    content_type = models.CharField(max_length=200, blank=True)
    query = models.TextField(blank=True)
    headers = models.JSONField(default=dict, blank=True)
    remote_ip = models.GenericIPAddressField(null=True, blank=True)
    received_at = models.DateTimeField(_("收到"))
    state = models.CharField(_("状态"), max_length=10, choices=State.choices, default=State.NEW)
    attempts = models.PositiveIntegerField(default=0)
    not_before = models.DateTimeField(null=True, blank=True)
    error = models.TextField(_("原因"), blank=True)
    idem_key = models.CharField(max_length=128, null=True, blank=True)
    body_digest = models.CharField(max_length=64, blank=True)
    results = models.JSONField(
        default=list, blank=True, help_text="[{id, fingerprint, status, duplicate}] once processed"
    )

    class Meta:
        verbose_name = _("收件")
        verbose_name_plural = verbose_name
        constraints = [
            in_choices("inbox_state", "state", InboxState),
            models.UniqueConstraint(fields=["source", "idem_key"], name="inbox_idem_key"),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(state="new"), name="inbox_due"),
            models.Index(fields=["source", "id"], name="inbox_source"),  # the newest of a source
        ]

    def __str__(self) -> str:
        return f"{self.kind} #{self.pk}"
