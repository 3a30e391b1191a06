"""WeCom applications, their tokens, and every message that came in."""

from datetime import datetime
from urllib.parse import urlsplit

from django.db import models
from django.db.models import Q
from django.urls import get_script_prefix
from django.utils.translation import gettext_lazy as _

from fta.lib.fields import SealedTextField

DEFAULT_API_URL = "https://qyapi.weixin.qq.com/cgi-bin/"
VENDOR_API_HOST = "qyapi.weixin.qq.com"


class WecomApp(models.Model):
    """One self-built application (自建应用) of one corp; the page /doc/wechat_config/ edits the default one."""

    name = models.CharField(_("名称"), max_length=64, unique=True, default="default")
    corp_id = models.CharField(_("企业ID"), max_length=64, blank=True)
    agent_id = models.PositiveBigIntegerField(_("AgentId"), null=True, blank=True)
    secret = SealedTextField(_("Secret"), blank=True)
    token = SealedTextField(_("Token"), blank=True)
    encoding_aes_key = SealedTextField(_("EncodingAESKey"), blank=True)
    api_url = models.CharField(_("接口地址"), max_length=255, blank=True, default=DEFAULT_API_URL)
    app_url = models.CharField(_("微信端地址"), max_length=255, blank=True)
    static_url = models.CharField(_("微信端静态资源地址"), max_length=255, default="/static/wechat/")
    api_token = SealedTextField(_("创建审批 API token"), blank=True)
    verify_files = models.JSONField(_("域名校验文件"), default=list, blank=True, help_text='[{"name", "content"}]')
    # What WeCom still signs and seals with after a change here, until the new values are saved there.
    previous_token = SealedTextField(blank=True, default="", db_default="")
    previous_aes_key = SealedTextField(blank=True, default="", db_default="")
    previous_until = models.DateTimeField(_("旧的 Token 与 EncodingAESKey 用到"), null=True, blank=True)
    callback_verified_at = models.DateTimeField(_("回调验证于"), null=True, blank=True)
    menu_published_at = models.DateTimeField(_("菜单发布于"), null=True, blank=True)
    is_default = models.BooleanField(default=False)
    archived = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("企业微信应用")
        verbose_name_plural = verbose_name
        constraints = [
            models.UniqueConstraint(fields=["is_default"], condition=Q(is_default=True), name="wecom_app_one_default"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def api_base(self) -> str:
        """Return the address that call names are appended to; the setting may leave out the last part."""
        base = (self.api_url or DEFAULT_API_URL).rstrip("/")
        return f"{base}/" if base.endswith("/cgi-bin") else f"{base}/cgi-bin/"

    @property
    def portal_origin(self) -> str:
        """Return what stands before a path of ours (as `reverse` gives it) in an address that works outside, or "".

        It is the origin of 微信端地址, with that address's prefix where the portal itself does not know that it has one.
        """
        parts = urlsplit(self.app_url)
        prefix = parts.path.rstrip("/").removesuffix("/wechat")
        known = get_script_prefix().rstrip("/")
        return f"{parts.scheme}://{parts.netloc}{'' if prefix == known else prefix}" if parts.netloc else ""

    @property
    def can_call(self) -> bool:
        """Tell whether enough is configured to ask WeCom for a token."""
        return bool(self.corp_id and self.secret)

    def callback_secrets(self, now: datetime) -> list[tuple[str, str]]:
        """Return the pairs of Token and EncodingAESKey that callbacks may be made with, the present one first."""
        pairs = [(self.token, self.encoding_aes_key)]
        if self.previous_until and self.previous_until > now:
            pairs.append((self.previous_token, self.previous_aes_key))
        return pairs

    @property
    def can_receive(self) -> bool:
        """Tell whether callbacks can be verified."""
        return bool(self.corp_id and self.token and self.encoding_aes_key)


class AccessToken(models.Model):
    """The access token of an application, shared by every process; refreshed once for all (WeCom page 91039)."""

    app = models.OneToOneField(WecomApp, on_delete=models.CASCADE, related_name="access_token")
    value = SealedTextField(blank=True)
    value_digest = models.CharField(max_length=64, blank=True)
    # Digest of the credential it was fetched with: a token or refusal of another secret does not count.
    credential = models.CharField(max_length=64, blank=True)
    fetched_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    # Who fetches holds this lease; the others wait for the result.
    refreshing_until = models.DateTimeField(null=True, blank=True)
    # The last refusal of a credential, kept for a minute: repeated wrong secrets make WeCom block the caller for an hour.
    refusal = models.JSONField(default=dict, blank=True)
    refused_until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return str(self.app)


class ApiCallCount(models.Model):
    """How often a call of WeCom's API was answered with a code, by all processes together; "none" is no usable answer."""

    api = models.CharField(max_length=64)
    code = models.CharField(max_length=16)
    calls = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["api", "code"], name="api_call_count_once")]

    def __str__(self) -> str:
        return f"{self.api} {self.code}"


class WecomEvent(models.Model):
    """One message or event of WeCom, by its identity: a second one with the same identity has no second effect."""

    corp = models.CharField(max_length=64)
    agent = models.CharField(max_length=32)
    event_key = models.CharField(max_length=128, help_text="MsgId, or the digest of the event's identifying fields")
    kind = models.CharField(max_length=64)
    from_user = models.CharField(max_length=64)
    data = models.JSONField(default=dict, blank=True)
    outcome = models.TextField(blank=True)
    received_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("企业微信来信")
        verbose_name_plural = verbose_name
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["corp", "agent", "event_key"], name="wecom_event_once")]

    def __str__(self) -> str:
        return self.event_key


class CardCopy(models.Model):
    """A template card as it was sent: with its response code it can be updated once, within 72 h (WeCom page 94945)."""

    app = models.ForeignKey(WecomApp, on_delete=models.CASCADE)
    approval_ref = models.BigIntegerField(db_index=True)
    delivery_ref = models.BigIntegerField(unique=True)
    task_id = models.CharField(max_length=128, unique=True)
    userids = models.JSONField(default=list)
    response_code = SealedTextField(blank=True)
    issued_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.task_id


class GatewayClient(models.Model):
    """A tool that sends through this portal as if it were WeCom: its own corp id, agent id and secret, none of them WeCom's."""

    name = models.CharField(_("名称"), max_length=64, unique=True)
    corp_id = models.CharField(_("企业ID"), max_length=64, help_text=_("由你自定，不必是真的企业 ID；填到工具里。"))
    agent_id = models.PositiveBigIntegerField("AgentId", help_text=_("由你自定的数字；填到工具里。"))
    secret_digest = models.CharField(max_length=64, blank=True)
    per_minute = models.PositiveIntegerField(_("每分钟最多"), default=200)
    enabled = models.BooleanField(_("启用"), default=True)
    archived = models.BooleanField(_("已归档"), default=False)

    class Meta:
        verbose_name = _("企业微信网关客户端")
        verbose_name_plural = verbose_name

    def __str__(self) -> str:
        return self.name


class GatewayCall(models.Model):
    """One message that a client handed in, and what it was answered."""

    client = models.ForeignKey(GatewayClient, on_delete=models.CASCADE, related_name="calls")
    at = models.DateTimeField()
    msgtype = models.CharField(max_length=32, blank=True)
    receivers = models.CharField(max_length=255, blank=True)
    errcode = models.IntegerField()
    errmsg = models.CharField(max_length=255)
    delivery_ref = models.BigIntegerField(null=True, blank=True)

    class Meta:
        verbose_name = _("企业微信网关请求")
        verbose_name_plural = verbose_name
        indexes = [
            models.Index(fields=["client", "at"], name="gateway_call_at"),
            # Refusals are few among many calls; the page looks for the last ones.
            models.Index(fields=["client", "id"], condition=~Q(errcode=0), name="gateway_call_refused"),
        ]

    def __str__(self) -> str:
        return f"{self.client_id} {self.errcode} {self.msgtype}"
