"""What people enter on the WeCom pages, checked and nothing more."""

import re
from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from wechat.forms.values import (
    MOST_PER_MINUTE,
    SPLIT,
    USERID,
    VERIFY_BYTES,
    api_url,
    app_url,
    check_aes_key,
    check_api_token,
    check_token,
    check_verify_file,
    secret_leaves,
    static_url,
    verify_content,
)
from wechat.models import GatewayClient, WecomApp
from wechat.services.configuration import SECRETS


def _mono(**attrs: str) -> forms.TextInput:
    return forms.TextInput(attrs={"class": "is-mono", "autocomplete": "off", "spellcheck": "false", **attrs})


class ConfigForm(forms.Form):
    """One application; None is the default one before it is there. An empty secret stays as it is; its tick clears it."""

    name = forms.CharField(
        label=gettext_lazy("应用名称"), required=False, max_length=64, widget=_mono(),
        help_text=gettext_lazy("门户里的叫法，通知服务按它选择应用；建好后不能改。"),
    )  # fmt: skip
    corp_id = forms.RegexField(
        regex=r"^[A-Za-z0-9_-]{4,64}$", label=gettext_lazy("企业 ID"), required=False, widget=_mono(),
        error_messages={"invalid": gettext_lazy("企业 ID 是字母、数字组成的一串，以 ww 或 wx 开头。")},
    )  # fmt: skip
    agent_id = forms.IntegerField(
        label=gettext_lazy("AgentId"), required=False, min_value=1, max_value=2**53, widget=_mono(inputmode="numeric")
    )
    secret = forms.CharField(label=gettext_lazy("Secret"), required=False, max_length=256, widget=_mono())
    token = forms.CharField(label="Token", required=False, widget=_mono())
    encoding_aes_key = forms.CharField(label=gettext_lazy("EncodingAESKey"), required=False, widget=_mono())
    approval_admins = forms.CharField(
        label=gettext_lazy("审批管理员"), required=False, widget=_mono(),
        help_text=gettext_lazy("企业微信账号，用逗号分隔。收到全部审批并可决定全部；门户里没有的人会新建。"),
    )  # fmt: skip
    app_url = forms.CharField(
        label=gettext_lazy("微信端地址"), required=False, max_length=255, widget=_mono(),
        help_text=gettext_lazy("外网可访问，以 wechat/ 结尾，例如 http://mycompany.com/o/bk_fta_solution/wechat/。"),
    )  # fmt: skip
    static_url = forms.CharField(label=gettext_lazy("静态资源地址"), required=False, max_length=255, widget=_mono())
    verify_name = forms.CharField(
        label=gettext_lazy("域名校验文件"), required=False, widget=_mono(placeholder="WW_verify_….txt"),
        help_text=gettext_lazy("填文件名，或在下面上传；多个用逗号分隔，从这里删去即不再提供。"),
    )  # fmt: skip
    verify_upload = forms.FileField(label=gettext_lazy("上传校验文件"), required=False)
    api_token = forms.CharField(
        label=gettext_lazy("API Token"), required=False, widget=_mono(),
        help_text=gettext_lazy("其他系统调用 /wechat/create_approve/ 时放在请求头 TOKEN 里；为空则拒绝所有调用。"),
    )  # fmt: skip
    api_url = forms.CharField(label=gettext_lazy("接口地址"), required=False, max_length=255, widget=_mono())
    clear = forms.MultipleChoiceField(choices=[(name, name) for name in SECRETS], required=False)

    def __init__(self, *args: Any, app: WecomApp | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app = app
        if app is None or app.pk:
            del self.fields["name"]
        if app is not None and not app.is_default:
            del self.fields["approval_admins"]

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"]).strip()
        if not name:
            raise ValidationError(_("请填写应用名称。"))
        if WecomApp.objects.filter(name=name).exists():
            raise ValidationError(_("这个名称已被使用（可能是已归档的）。"))
        return name

    @classmethod
    def initial_of(cls, app: WecomApp | None, admins: list[str]) -> dict[str, Any]:
        """Return what the form shows of an application; secrets are not part of it."""
        shown = app or WecomApp()
        names = ("corp_id", "agent_id", "app_url", "static_url", "api_url")
        initial = {name: getattr(shown, name) for name in names} | {"approval_admins": ",".join(admins)}
        return initial | {"verify_name": ", ".join(file["name"] for file in shown.verify_files)}

    def clean_secret(self) -> str:
        value = str(self.cleaned_data["secret"])
        if re.search(r"\s", value) or not value.isascii():
            raise ValidationError(_("Secret 里不能有空格或中文，请重新复制。"))
        return value

    def clean_token(self) -> str:
        return self._checked("token", check_token)

    def clean_encoding_aes_key(self) -> str:
        return self._checked("encoding_aes_key", check_aes_key)

    def clean_api_token(self) -> str:
        return self._checked("api_token", check_api_token)

    def _checked(self, name: str, check: Callable[[str], str]) -> str:
        value = str(self.cleaned_data[name])
        problem = check(value) if value else ""
        if problem:
            raise ValidationError(problem)
        return value

    def clean_approval_admins(self) -> list[str]:
        names = [name for name in SPLIT.split(str(self.cleaned_data["approval_admins"])) if name]
        wrong = [name for name in names if not USERID.fullmatch(name)]
        if wrong:
            said = _("“%(name)s”不是企业微信账号：只能有字母、数字和 _-.@。")
            raise ValidationError(said % {"name": wrong[0]})
        return names

    def clean_app_url(self) -> str:
        return app_url(str(self.cleaned_data["app_url"]))

    def clean_static_url(self) -> str:
        return static_url(str(self.cleaned_data["static_url"]))

    def clean_api_url(self) -> str:
        return api_url(str(self.cleaned_data["api_url"]))

    def clean_verify_name(self) -> list[str]:
        names = [name for name in SPLIT.split(str(self.cleaned_data["verify_name"])) if name]
        if problem := next(filter(None, (check_verify_file(name) for name in names)), ""):
            raise ValidationError(problem)
        return names

    def clean_verify_upload(self) -> dict[str, str]:
        upload = self.cleaned_data["verify_upload"]
        if not isinstance(upload, UploadedFile):
            return {}
        content = upload.read(VERIFY_BYTES + 1).decode(errors="replace").strip()
        if problem := check_verify_file(upload.name or "", content):
            raise ValidationError(problem)
        return {upload.name or "": content}

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        kept = {file["name"]: file["content"] for file in (self.app.verify_files if self.app else [])}
        found = {name: kept.get(name, verify_content(name)) for name in data.get("verify_name") or []}
        found |= data.get("verify_upload") or {}
        said = data.get("secret") or "secret" in data.get("clear", ())
        if not said and "secret" not in self.errors and secret_leaves(self.app, data.get("api_url", "")):
            self.add_error("secret", _("改了接口地址，请重新填写 Secret。"))
        data["verify_files"] = [{"name": name, "content": content} for name, content in found.items()]
        return data

    def changes(self) -> dict[str, Any]:
        """Return the fields to write: every plain one, and the secrets that were entered or cleared."""
        data = self.cleaned_data
        plain = ["corp_id", "agent_id", "app_url", "static_url", "api_url", "verify_files"]
        plain += ["name"] if "name" in self.fields else []
        given = {name: data[name] for name in SECRETS if data[name]}
        cleared = {name: "" for name in data["clear"] if name not in given}
        return {name: data[name] for name in plain} | given | cleared


class TestMessageForm(forms.Form):
    """Whom a test message goes to."""

    __test__ = False  # pytest would collect it by its name

    to = forms.RegexField(regex=USERID, label=gettext_lazy("企业微信账号"))


class MembersForm(forms.Form):
    """An export of the address book."""

    file = forms.FileField(
        label=gettext_lazy("通讯录文件"),
        max_length=255,
        help_text=gettext_lazy(
            "管理后台 → 通讯录 → 批量导入/导出 → 导出成员；也可以自己做表，表头写“账号”“姓名”“邮箱”。"
        ),
    )


class HandOverForm(forms.Form):
    """Whom to hand an approval to."""

    to = forms.RegexField(regex=USERID, label=gettext_lazy("对方的企业微信账号"))


class GatewayClientForm(forms.Form):
    """A tool that sends through the gateway; its secret is never entered, it is generated."""

    name = forms.CharField(
        label=gettext_lazy("名称"), max_length=64,
        help_text=gettext_lazy("给人看的，一般写工具的名字。"),
        error_messages={
            "required": gettext_lazy("请填写名称，例如 alertmanager。"),
            "max_length": gettext_lazy("名称最多 64 个字，请缩短。"),
        },
    )  # fmt: skip
    corp_id = forms.RegexField(
        regex=r"^[\x21-\x7e]{1,64}$", label=gettext_lazy("企业 ID"), widget=_mono(),
        help_text=gettext_lazy("自己定一个，不必是真的企业 ID；几个工具可以用同一个，靠密钥区分。"),
        error_messages={
            "required": gettext_lazy("请填写企业 ID：自己定一个，例如 portal。"),
            "invalid": gettext_lazy("企业 ID 是 1 至 64 个英文字母、数字或符号，不能有空格和中文，例如 portal。"),
        },
    )  # fmt: skip
    agent_id = forms.IntegerField(
        label="AgentId", min_value=1, max_value=2**53, widget=_mono(inputmode="numeric"),
        help_text=gettext_lazy("自己定一个数字；工具带来的与它不一致时，消息会被拒绝。"),
        error_messages={
            "required": gettext_lazy("请填写 AgentId：自己定一个数字，例如 7。"),
            **dict.fromkeys(
                ("invalid", "min_value", "max_value"), gettext_lazy("AgentId 是一个不超过 16 位的正整数，例如 7。")
            ),
        },
    )  # fmt: skip
    per_minute = forms.IntegerField(
        label=gettext_lazy("每分钟最多"), min_value=1, max_value=MOST_PER_MINUTE, initial=200,
        widget=_mono(inputmode="numeric"),
        help_text=gettext_lazy("一分钟里收下的消息条数；超过的答 45009 不发，工具不一定重发（Alertmanager 不会），要留足余量。"),
        error_messages={
            "required": gettext_lazy("请填写每分钟最多几条，一般 200。"),
            **dict.fromkeys(
                ("invalid", "min_value", "max_value"),
                gettext_lazy("每分钟最多填 1 至 100000 的整数；不想收时请停用这个客户端。"),
            ),
        },
    )  # fmt: skip

    @classmethod
    def of(cls, client: GatewayClient) -> "GatewayClientForm":
        """Return the form with what a client has."""
        return cls(initial={name: getattr(client, name) for name in cls.base_fields})
