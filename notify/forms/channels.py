"""A form for each kind of channel. What the transport says about the configuration is shown at its fields."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from fta.lib.secrets import MASK, mask
from notify import transports
from notify.models import Channel, ChannelKind
from notify.selectors import listed

_FORMS = [
    ("text", _("文本")),
    ("markdown", _("Markdown")),
    ("textcard", _("文本卡片")),
    ("news", _("图文")),
    ("template_card", _("模板卡片")),
]
_PLAIN_FORMS = _FORMS[:4]


class LinesField(forms.CharField):
    """Names, one a line or separated by commas; the value is a list."""

    widget = forms.Textarea(attrs={"rows": 3})

    def to_python(self, value: Any) -> Any:
        return listed(",".join(str(value or "").replace("，", ",").replace("；", ",").replace(";", ",").splitlines()))

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value


class ChannelForm(forms.Form):
    """What every channel has; `keys` maps the other fields to keys of its configuration."""

    kind: str
    keys: Mapping[str, str] = {}

    name = forms.CharField(label=_("名称"), max_length=64)
    description = forms.CharField(label=_("描述"), max_length=255, required=False)
    enabled = forms.BooleanField(label=_("启用"), required=False, initial=True)

    def __init__(self, data: Any = None, channel: Channel | None = None) -> None:
        self.old: dict[str, Any] = dict(channel.config) if channel else {}
        initial = self.shown(self.old)
        if channel:
            initial |= {"name": channel.name, "description": channel.description, "enabled": channel.enabled}
        super().__init__(data, initial=initial)

    def shown(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields' values for a configuration; secrets are never among them."""
        return {field: config[key] for field, key in self.keys.items() if key in config}

    def configured(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration that the fields say; a key that no field shows is kept."""
        kept = {key: value for key, value in self.old.items() if key not in self.keys.values()}
        return kept | {key: data[field] for field, key in self.keys.items() if data.get(field)}

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if self.errors:
            return data
        data["config"] = self.configured(data)
        fields = {key: field for field, key in self.keys.items()}
        for key, message in transports.get(self.kind).validate(data["config"]):
            field = fields.get(key)
            self.add_error(field if field in self.fields else None, message)
        return data

    @property
    def values(self) -> dict[str, Any]:
        """Return what to save."""
        names = ("name", "description", "enabled", "config")
        return {"kind": self.kind} | {name: self.cleaned_data[name] for name in names}


class AppForm(ChannelForm):
    kind = ChannelKind.WECOM_APP
    keys = {"to_user": "to_user", "to_party": "to_party", "to_tag": "to_tag", "message": "message", "app": "app"}

    to_user = LinesField(label=_("账号"), required=False, help_text=_("企业微信账号，每行一个；全员写 @all。"))
    to_party = LinesField(label=_("部门 ID"), required=False)
    to_tag = LinesField(label=_("标签 ID"), required=False)
    message = forms.ChoiceField(label=_("消息格式"), choices=_FORMS, required=False)
    app = forms.CharField(
        label=_("应用"), required=False, max_length=64, help_text=_("有多个应用时填它的名称；留空用默认应用。")
    )


class RobotForm(ChannelForm):
    kind = ChannelKind.WECOM_ROBOT
    keys = {"groups": "groups", "to_user": "to_user", "message": "message"}

    groups = forms.CharField(
        label=_("群"),
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
        help_text=_(
            "每行一个群：名称 | Webhook 地址 | 要提醒的账号（逗号分隔，可省）。地址保存后只显示圆点；不改就留着圆点。"
        ),
    )
    to_user = LinesField(
        label=_("同时发给账号"), required=False, help_text=_("经企业微信应用发给这些人，每行一个账号。")
    )
    message = forms.ChoiceField(label=_("消息格式"), choices=_PLAIN_FORMS, required=False, initial="markdown")

    def shown(self, config: Mapping[str, Any]) -> dict[str, Any]:
        lines = []
        for group in config.get("groups") or []:
            parts = [
                str(group.get("name", "")),
                mask(str(group.get("webhook", ""))),
                ",".join(group.get("mentions") or []),
            ]
            lines.append(" | ".join(part for part in parts if part))
        return super().shown(config) | {"groups": "\n".join(lines)}

    def clean_groups(self) -> list[dict[str, Any]]:
        known = {group.get("name"): group.get("webhook", "") for group in self.old.get("groups") or []}
        groups: list[dict[str, Any]] = []
        for line in str(self.cleaned_data["groups"]).splitlines():
            parts = [part.strip() for part in line.split("|")]
            if not any(parts):
                continue
            name, webhook, mentions = (*parts, "", "")[:3]
            if any(group["name"] == name for group in groups):
                raise forms.ValidationError(_("群名“%(name)s”出现了两次。"), params={"name": name})
            address = known.get(name, "") if webhook in ("", MASK) else webhook
            groups.append({"name": name, "webhook": address} | ({"mentions": listed(mentions)} if mentions else {}))
        return groups


class ChatForm(ChannelForm):
    kind = ChannelKind.WECOM_CHAT
    keys = {"chat_id": "chat_id", "chat_name": "name", "owner": "owner", "members": "members", "message": "message"}

    chat_id = forms.CharField(
        label=_("群聊 ID"), max_length=32, help_text=_("1 至 32 位字母或数字；没有这个群时按下面的成员新建。")
    )
    chat_name = forms.CharField(label=_("群名"), max_length=50, required=False)
    owner = forms.CharField(label=_("群主账号"), max_length=64, required=False)
    members = LinesField(label=_("成员账号"), required=False, help_text=_("每行一个，至少 2 个。"))
    message = forms.ChoiceField(label=_("消息格式"), choices=_PLAIN_FORMS, required=False)


class EmailForm(ChannelForm):
    kind = ChannelKind.EMAIL
    keys = {"to": "to"}

    to = LinesField(label=_("收件地址"), help_text=_("每行一个。"))


class WebhookForm(ChannelForm):
    kind = ChannelKind.WEBHOOK
    keys = {"url": "url", "secret": "secret"}

    url = forms.CharField(label=_("地址"), max_length=2048, help_text=_("内网地址还要写进 FTA_HTTP_ALLOW。"))
    secret = forms.CharField(
        label=_("签名密钥"),
        required=False,
        max_length=255,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("至少 16 个字符；接收方用它核对 X-FTA-Signature。已保存的不显示，不改就留空。"),
    )

    def shown(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {"url": config.get("url", "")}

    def clean_secret(self) -> str:
        return self.cleaned_data["secret"] or str(self.old.get("secret") or "")


CHANNEL_FORMS: dict[str, type[ChannelForm]] = {
    str(form.kind): form for form in (AppForm, RobotForm, ChatForm, EmailForm, WebhookForm)
}
