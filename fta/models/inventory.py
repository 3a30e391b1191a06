"""Businesses, people, hosts: who and what the portal knows."""

from typing import Any

from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from fta.lib.fields import SealedTextField
from fta.models.engine import in_choices


class Business(models.Model):
    """业务."""

    code = models.CharField(_("代码"), max_length=64, unique=True)
    name = models.CharField(_("名称"), max_length=128)
    maintainers: "models.ManyToManyField[Person, Any]" = models.ManyToManyField(
        "Person", verbose_name=_("运维负责人"), blank=True, related_name="maintains"
    )
    archived = models.BooleanField(_("已归档"), default=False)

    class Meta:
        verbose_name = _("业务")
        verbose_name_plural = verbose_name
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name


class PersonQuerySet(models.QuerySet["Person"]):
    def active(self) -> "PersonQuerySet":
        """Return people who may act: neither the person nor the user is disabled."""
        return self.filter(active=True, user__is_active=True)

    def by_wecom(self, userid: str) -> "PersonQuerySet":
        """Return the active person with this WeCom userid; WeCom compares userids without regard to case."""
        return self.active().filter(wecom_userid=userid.strip().casefold()).exclude(wecom_userid="")

    def in_role(self, role: str, business: "Business | None") -> "PersonQuerySet":
        """Return the active people of a role in a business; nobody for no business."""
        return self.active().filter(user__groups__name=role, businesses=business) if business else self.none()


class Person(models.Model):
    """A Django user with a WeCom userid, in the scope of some businesses."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="person", verbose_name=_("用户"))
    wecom_userid = models.CharField(_("企业微信账号"), max_length=64, blank=True)
    businesses = models.ManyToManyField(Business, verbose_name=_("业务范围"), blank=True, related_name="people")
    active = models.BooleanField(_("启用"), default=True)
    unreached_at = models.DateTimeField(
        _("企业微信送不到"),
        null=True,
        blank=True,
        editable=False,
        help_text="since when; empty once a message gets through",
    )
    managed = models.BooleanField(
        default=False, help_text="came from the configuration file, which may take it out again"
    )
    deputy = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, verbose_name=_("代理人"))
    deputy_until = models.DateTimeField(_("代理到"), null=True, blank=True)

    objects = PersonQuerySet.as_manager()

    class Meta:
        verbose_name = _("人员")
        verbose_name_plural = verbose_name
        ordering = ["user__username"]
        constraints = [
            models.UniqueConstraint(fields=["wecom_userid"], condition=~Q(wecom_userid=""), name="person_wecom_userid"),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.wecom_userid = self.wecom_userid.strip().casefold()
        super().save(*args, **kwargs)

    @property
    def name(self) -> str:
        """Return the name to show."""
        return self.user.get_full_name() or self.user.get_username()


class CredentialKind(models.TextChoices):
    SSH_KEY = "ssh_key", _("SSH 私钥")
    PASSWORD = "password", _("密码")
    TOKEN = "token", _("令牌")


class Credential(models.Model):
    """A secret with which steps reach a host."""

    Kind = CredentialKind

    name = models.CharField(_("名称"), max_length=64, unique=True)
    kind = models.CharField(_("类型"), max_length=10, choices=Kind.choices)
    url = models.CharField(
        _("平台地址"), max_length=500, blank=True, help_text=_("令牌只发往这个地址；作业平台节点用它和令牌访问平台")
    )
    secret = SealedTextField(_("内容"), blank=True)
    business = models.ForeignKey(
        Business, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("业务"),
        help_text=_("选了业务，就只有这个业务的套餐和主机能用；留空则都能用"),
    )  # fmt: skip

    class Meta:
        verbose_name = _("凭据")
        verbose_name_plural = verbose_name
        constraints = [in_choices("credential_kind", "kind", CredentialKind)]

    def __str__(self) -> str:
        return self.name

    def serves(self, business: Business | None) -> bool:
        """Tell whether what belongs to this business may use it."""
        return self.business_id is None or (business is not None and business.pk == self.business_id)


class HostConnection(models.TextChoices):
    NONE = "none", _("不连接")
    LOCAL = "local", _("本机")
    SSH = "ssh", _("SSH")


class Host(models.Model):
    """主机."""

    Connection = HostConnection

    ip = models.GenericIPAddressField(_("IP"), unique=True)
    name = models.CharField(_("名称"), max_length=128, blank=True, db_index=True)
    business = models.ForeignKey(Business, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("业务"))
    set_name = models.CharField(_("集群"), max_length=128, blank=True)
    module = models.CharField(_("模块"), max_length=128, blank=True)
    operators = models.ManyToManyField(Person, verbose_name=_("负责人"), blank=True, related_name="hosts")
    attributes = models.JSONField(_("属性"), default=dict, blank=True)
    is_spare = models.BooleanField(_("备机"), default=False)
    archived = models.BooleanField(_("已归档"), default=False)
    connection = models.CharField(_("连接方式"), max_length=8, choices=Connection.choices, default=Connection.NONE)
    ssh_user = models.CharField(_("SSH 用户"), max_length=64, blank=True)
    ssh_port = models.PositiveIntegerField(_("SSH 端口"), default=22)
    host_key = models.TextField(_("主机公钥"), blank=True)
    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("凭据"))

    class Meta:
        verbose_name = _("主机")
        verbose_name_plural = verbose_name
        ordering = ["ip"]
        constraints = [in_choices("host_connection", "connection", HostConnection)]

    def __str__(self) -> str:
        return self.name or self.ip


class ApiKey(models.Model):
    """A key for the REST API; it acts as its own service user, so that rights are judged in one way for everybody."""

    name = models.CharField(_("名称"), max_length=64, unique=True)
    key_digest = models.CharField(max_length=64, db_index=True, blank=True)
    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="api_key")
    enabled = models.BooleanField(_("启用"), default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("API 密钥")
        verbose_name_plural = verbose_name

    def __str__(self) -> str:
        return self.name
