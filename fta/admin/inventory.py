"""Businesses, hosts, people and credentials in the admin."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.models import User
from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta import audit
from fta.admin.base import AuditedAdmin, HistoryAdmin, secret_field
from fta.config.connections import connection_faults, secret_fault, secret_needed
from fta.lib.secrets import digest
from fta.models import ApiKey, Business, Credential, Duty, Host, Person

_SHORTEST_KEY = 16
# Nobody signs in as these: whoever makes a key must not answer, by it, in the name of a person.
_SERVICE = Q(password__startswith=UNUSABLE_PASSWORD_PREFIX, is_staff=False, is_superuser=False) & (
    Q(person=None) | Q(person__wecom_userid="")
)


@admin.register(Business)
class BusinessAdmin(AuditedAdmin):
    list_display = ("code", "name", "archived")
    list_filter = ("archived",)
    search_fields = ("code", "name")
    filter_horizontal = ("maintainers",)


@admin.register(Person)
class PersonAdmin(AuditedAdmin):
    list_display = ("user", "wecom_userid", "active", "deputy", "deputy_until")
    list_filter = ("active", "user__groups", "businesses")
    list_select_related = ("user", "deputy__user")
    search_fields = ("user__username", "user__first_name", "wecom_userid")
    filter_horizontal = ("businesses",)
    readonly_fields = ("managed",)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if "active" in form.changed_data:  # who may act no more is signed out, also of this admin
            User.objects.filter(pk=obj.user_id).update(is_active=obj.active)


@admin.register(Duty)
class DutyAdmin(HistoryAdmin):
    """To read: the page of duty lists checks what it changes."""

    list_display = ("name", "rotation", "handover")


class HostForm(forms.ModelForm):  # type: ignore[type-arg]
    """A host; where and as whom a credential is used is judged as one."""

    class Meta:
        model = Host
        fields = "__all__"  # noqa: DJ007 - all of a host is for administrators to say
        help_texts = {
            "ssh_user": gettext_lazy("脚本以此用户执行，请只给它所需的权限"),
            "host_key": gettext_lazy("ssh-keyscan -t ed25519 所得的一行，请与主机上的核对；不一致的主机不会登录"),
            "credential": gettext_lazy("登录用的私钥或密码"),
        }
        widgets = {"host_key": forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})}

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        for field, text in connection_faults(values).items():
            if field not in self.errors:
                self.add_error(field, text)
        return values


@admin.register(Host)
class HostAdmin(AuditedAdmin):
    form = HostForm
    list_display = ("ip", "name", "business", "set_name", "module", "connection", "is_spare", "archived")
    list_filter = ("business", "connection", "is_spare", "archived")
    list_select_related = ("business",)
    search_fields = ("ip", "name", "set_name", "module")
    filter_horizontal = ("operators",)
    actions = ("give_back",)

    @admin.action(description=gettext_lazy("释放被自愈占用的备机"))
    def give_back(self, request: HttpRequest, queryset: Any) -> None:
        """Make spares free again that an execution has taken and kept: it put them in the place of its faulty host."""
        for host in queryset.filter(reservation__execution__ended_at__isnull=False):
            execution = host.reservation.execution
            host.reservation.delete()
            audit.record(request.user.get_username(), "host.give_back", host, execution=execution.pk)


class UnseenText(forms.Textarea):
    """Text of several lines, such as a private key, that no page shows again."""

    def format_value(self, value: Any) -> str:
        return ""


class CredentialForm(forms.ModelForm):  # type: ignore[type-arg]
    """A credential; its secret can be replaced and not shown."""

    new_secret = forms.CharField(
        label=gettext_lazy("新内容"),
        help_text=gettext_lazy("私钥、密码或令牌；留空为不改。保存后不再显示。"),
        required=False,
        strip=False,
        widget=UnseenText(attrs={"rows": 6, "cols": 80, "autocomplete": "off", "spellcheck": "false"}),
    )

    class Meta:
        model = Credential
        fields = ("name", "kind", "url", "business")

    def clean_url(self) -> str:
        url = str(self.cleaned_data["url"])
        if url and self.cleaned_data.get("kind") != Credential.Kind.TOKEN:
            raise forms.ValidationError(_("只有令牌有平台地址"))
        if url and not url.startswith(("http://", "https://")):
            raise forms.ValidationError(_("应以 http:// 或 https:// 开头"))
        return url

    def clean_business(self) -> Business | None:
        business: Business | None = self.cleaned_data["business"]
        hosts = Host.objects.filter(credential=self.instance.pk or 0, archived=False)
        if business and (others := hosts.exclude(business=business)):
            names = "、".join(str(host) for host in others[:3])
            raise forms.ValidationError(_("其他业务的主机正在用它：%(names)s") % {"names": names})
        return business

    def clean_new_secret(self) -> str:
        secret = str(self.cleaned_data["new_secret"])
        if not secret and not self.instance.pk:
            raise forms.ValidationError(_("请填写内容"))
        kind, url = (self.cleaned_data.get(name, getattr(self.instance, name)) for name in ("kind", "url"))
        if not secret and (needed := secret_needed(self.instance, kind, url)):
            raise forms.ValidationError(needed)
        secret = secret.replace("\r\n", "\n")
        if secret and (fault := secret_fault(self.cleaned_data.get("kind", ""), secret)):
            raise forms.ValidationError(fault)
        return secret


@admin.register(Credential)
class CredentialAdmin(AuditedAdmin):
    form = CredentialForm
    list_display = ("name", "kind", "url", "business")
    list_select_related = ("business",)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.secret = form.cleaned_data["new_secret"] or obj.secret
        super().save_model(request, obj, form, change)


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A key for the REST API; kept as a digest, so it can be replaced and not shown."""

    key = secret_field(gettext_lazy("新密钥"), gettext_lazy("至少 16 个字符；留空为不改。保存后不再显示。"))

    class Meta:
        model = ApiKey
        fields = ("name", "user", "enabled")
        help_texts = {"user": gettext_lazy("服务用户：没有密码，没有企业微信账号，不是管理员；密钥以它的角色行事")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["user"].queryset = User.objects.filter(_SERVICE | Q(pk=self.instance.user_id))  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        user = values.get("user")
        if user and values.get("enabled") and not User.objects.filter(_SERVICE, pk=user.pk).exists():
            self.add_error("user", _("密钥不能以人的身份行事：请选没有密码也没有企业微信账号的用户，或停用这个密钥"))
        return values

    def clean_key(self) -> str:
        key = str(self.cleaned_data["key"])
        if (key or not self.instance.pk) and len(key) < _SHORTEST_KEY:
            raise forms.ValidationError(_("密钥至少 %(n)d 个字符") % {"n": _SHORTEST_KEY})
        return key


@admin.register(ApiKey)
class ApiKeyAdmin(AuditedAdmin):
    form = ApiKeyForm
    list_display = ("name", "user", "enabled", "created_at", "last_used_at")
    list_select_related = ("user",)
    readonly_fields = ("created_at", "last_used_at")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if form.cleaned_data["key"]:
            obj.key_digest = digest(form.cleaned_data["key"])
        super().save_model(request, obj, form, change)
