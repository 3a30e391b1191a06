"""The form of a channel, made from what its transport declares; what that finds wrong is shown at its fields."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from fta.lib.secrets import MASK
from notify import transports
from notify.models import Channel
from notify.selectors import listed, live_channels
from notify.transports.fields import Field, public, with_secrets

_FALLBACK = _("消息最终没有送达，或漏了几个人时，改由它发一次；它也发不出就发邮件给有邮箱的收件人。")
_MOST_ROWS = 12  # that a field of accounts is high


class LinesField(forms.CharField):
    """Names, one a line or separated by commas; the value is a list."""

    widget = forms.Textarea(attrs={"rows": 3})

    def to_python(self, value: Any) -> Any:
        return listed(",".join(str(value or "").replace("，", ",").replace("；", ",").replace(";", ",").splitlines()))

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value


class GroupsField(forms.CharField):
    """Groups, one a line: name | webhook | accounts to mention. A webhook that is left out or dotted is the stored one."""

    widget = forms.Textarea(attrs={"rows": 5, "spellcheck": "false"})

    def to_python(self, value: Any) -> Any:
        groups: list[dict[str, Any]] = []
        for line in str(value or "").splitlines():
            parts = [part.strip() for part in line.split("|")]
            if not any(parts):
                continue
            name, webhook, mentions = (*parts, "", "")[:3]
            hooks = webhook.split()
            known = {"name": name, "webhook": hooks if len(hooks) > 1 else "" if webhook == MASK else webhook}
            groups.append(known | ({"mentions": listed(mentions)} if mentions else {}))
        return groups

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        rows = [(str(group.get("name", "")), MASK, ",".join(group.get("mentions") or [])) for group in value]
        return "\n".join(" | ".join(part for part in row if part) for row in rows)


class ChannelForm(forms.Form):
    """What every channel has, and what its kind's transport declares besides."""

    name = forms.CharField(label=_("名称"), max_length=64)
    description = forms.CharField(label=_("描述"), max_length=255, required=False)
    enabled = forms.BooleanField(label=_("启用"), required=False, initial=True)

    def __init__(self, kind: str, data: Any = None, channel: Channel | None = None) -> None:
        self.kind, self.declared = kind, transports.fields(kind)
        self.old: Mapping[str, Any] = channel.config if channel else {}
        initial = public(self.declared, self.old)
        if channel:
            initial |= {name: getattr(channel, name) for name in ("name", "description", "enabled", "fallback")}
        super().__init__(data, initial=initial)
        for field in self.declared:
            self.fields[field.name] = _control(field, stored=bool(self.old.get(field.name)))
        others = live_channels().exclude(pk=channel.pk) if channel else live_channels()
        self.fields["fallback"] = forms.ModelChoiceField(
            others, label=_("发不出时改用"), required=False, empty_label=_("给收件人发邮件"), help_text=_FALLBACK
        )

    @classmethod
    def entered(cls, kind: str, data: Mapping[str, Any], channel: Channel | None) -> "ChannelForm":
        """Return the form with what somebody has entered so far, not judged yet."""
        form = cls(kind, channel=channel)
        for name, field in form.fields.items():
            form.initial[name] = field.widget.value_from_datadict(data, {}, name)
        return form

    @property
    def accounts(self) -> list[str]:
        """Return the WeCom members in a form that was `entered`."""
        found: list[str] = LinesField().to_python(self.initial[self.picks])
        return found

    def add_accounts(self, userids: Sequence[str]) -> None:
        """Add WeCom members to a form that was `entered`."""
        accounts = self.initial[self.picks] = [*self.accounts, *userids]
        self.fields[self.picks].widget.attrs["rows"] = min(max(len(accounts), 3), _MOST_ROWS)

    @property
    def picks(self) -> str:
        """Return the name of the field that takes WeCom members, '' for a kind that has none."""
        return next((name for name in ("members", "to_user") if name in self.fields), "")

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if self.errors:
            return data
        given = {field.name: data[field.name] for field in self.declared if data.get(field.name)}
        data["config"] = with_secrets(self.declared, given, self.old)
        for name, message in transports.check(self.kind, data["config"]):
            self.add_error(name if name in self.fields else None, message)
        return data

    @property
    def values(self) -> dict[str, Any]:
        """Return what to save."""
        names = ("name", "description", "enabled", "fallback", "config")
        return {"kind": self.kind} | {name: self.cleaned_data[name] for name in names}


def _control(field: Field, stored: bool) -> forms.Field:
    """Return the control for a declared field; a stored secret need not be typed again."""
    common: dict[str, Any] = {"label": field.label, "help_text": field.help, "required": field.required}
    if field.kind == "lines":
        return LinesField(**common)
    if field.kind == "groups":
        return GroupsField(**common)
    if field.kind == "choice":
        return forms.ChoiceField(**common | {"required": False}, choices=field.choices)
    if field.kind == "text":
        return forms.CharField(**common, max_length=2048)
    help_text = format_lazy("{}{}", field.help, _("已保存的不显示，不改就留空。")) if stored else field.help
    widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})
    return forms.CharField(
        **common | {"help_text": help_text, "required": field.required and not stored}, max_length=2048, widget=widget
    )
