"""Healing packages and their immutable versions."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from fta.lib.fields import SealedJSONField
from fta.models.engine import in_choices
from fta.models.inventory import Business
from fta.models.scope import ScopedQuerySet, in_scope, roles_of


class Mode(models.TextChoices):
    """How far the portal may go by itself; of rule and package the stricter holds (the earlier in this list)."""

    OFF = "off", _("停用")
    SHADOW = "shadow", _("演练")
    APPROVAL = "approval", _("审批")
    AUTO = "auto", _("自动")


_STRICTNESS = {mode: place for place, mode in enumerate(Mode.values)}


def stricter(*modes: str) -> str:
    """Return the strictest of the modes."""
    return min(modes, key=_STRICTNESS.__getitem__)


class PackageQuerySet(ScopedQuerySet["Package"]):
    def visible_to(self, user: object) -> "PackageQuerySet":
        """Return the packages that the user may read: those of own businesses, and with any role the global ones."""
        everywhere = Q(business=None) if roles_of(user) else Q(pk__in=[])  # type: ignore[arg-type]
        return self.filter(in_scope(user, "business", "operator", "approver", "viewer") | everywhere)  # type: ignore[arg-type]


class PackageRisk(models.TextChoices):
    LOW = "low", _("低风险")
    MEDIUM = "medium", _("中风险")
    HIGH = "high", _("高风险")


class Package(models.Model):
    """自愈套餐."""

    Risk = PackageRisk

    key = models.SlugField(_("标识"), max_length=64, unique=True)
    name = models.CharField(_("名称"), max_length=128)
    business = models.ForeignKey(
        Business, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("业务"), help_text=_("留空为全局")
    )
    description = models.TextField(_("说明"), blank=True)
    risk = models.CharField(_("风险"), max_length=8, choices=Risk.choices, default=Risk.MEDIUM)
    mode = models.CharField(_("模式"), max_length=10, choices=Mode.choices, default=Mode.APPROVAL)
    budget = models.JSONField(_("影响面预算"), default=dict, blank=True)
    current = models.ForeignKey("PackageVersion", on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    layout = models.JSONField(
        default=dict, blank=True
    )  # {node id: [column, row]}: looks only, so no part of any version or hash
    failures_in_a_row = models.PositiveIntegerField(default=0)
    unverified_in_a_row = models.PositiveIntegerField(
        default=0, help_text="runs that went well and after which the alert stayed or came back"
    )
    archived = models.BooleanField(_("已归档"), default=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = PackageQuerySet.as_manager()

    class Meta:
        verbose_name = _("自愈套餐")
        verbose_name_plural = verbose_name
        ordering = ["key"]
        constraints = [in_choices("package_risk", "risk", PackageRisk), in_choices("package_mode", "mode", Mode)]

    def __str__(self) -> str:
        return self.name


class PackageVersion(models.Model):
    """One saved state of a package: never edited, kept by the executions that used it."""

    package = models.ForeignKey(Package, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField(_("版本"))
    nodes = models.JSONField(_("节点"))
    parameters = models.JSONField(_("参数"), default=list, blank=True)
    secrets = SealedJSONField(_("密文参数"))
    sha256 = models.CharField(max_length=64)
    author = models.CharField(_("作者"), max_length=150, blank=True)
    note = models.CharField(_("说明"), max_length=255, blank=True)
    created_at = models.DateTimeField(_("保存时间"), auto_now_add=True)

    class Meta:
        verbose_name = _("套餐版本")
        verbose_name_plural = verbose_name
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["package", "number"], name="package_version_number")]

    def __str__(self) -> str:
        return f"{self.package.key} v{self.number}"
