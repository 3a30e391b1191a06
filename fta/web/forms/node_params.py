"""The parameters of each node type as form fields; what a type's fields cannot show is kept as YAML in `extra`."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from fta.healing.runners.http import METHODS
from fta.lib.types import JSONDict
from fta.web import choices
from fta.web.forms.fields import AnyYamlField, CommaField, NumbersField, PairsField, ScriptField, TextField, YamlField

_EMPTY: tuple[Any, ...] = (None, "", [], {})
_NO_RENDER = _("脚本正文不接受变量拼接；参数以 JSON（标准输入）和环境变量 FTA_PARAM_名称 传入")


class ParamsForm(forms.Form):
    """A node's params. Fields bear the names of the params; the type's own checks come with the whole package."""

    OPEN: tuple[str, ...] = ("extra",)  # fields behind 更多

    extra = YamlField(label=_("其他参数（YAML）"))

    @classmethod
    def initial_of(cls, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the initial values of the fields for stored params."""
        shown = {name: value for name, value in params.items() if cls._shows(name, value)}
        return {**shown, "extra": {name: value for name, value in params.items() if name not in shown}}

    @classmethod
    def _shows(cls, name: str, value: Any) -> bool:
        field = cls.base_fields.get(name)
        if field is None or name == "extra":
            return False
        if hasattr(field, "can_show"):
            return bool(field.can_show(value))
        if isinstance(field, forms.IntegerField):
            return type(value) is int
        if isinstance(field, forms.ChoiceField):
            return field.valid_value(value)
        return isinstance(value, str) and value == value.strip() and not set(value) & set("\r\n")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        for name in data.get("extra") or {}:
            if data.get(name) not in _EMPTY:
                self.add_error("extra", _("%(name)s 已在上面填写，只留一处") % {"name": name})
        return data

    def params(self) -> JSONDict:
        """Return the params of the cleaned fields."""
        data = dict(self.cleaned_data)
        extra = data.pop("extra", None) or {}
        return {**{name: value for name, value in data.items() if value not in _EMPTY}, **extra}

    def main(self) -> list[forms.BoundField]:
        """Return the fields that are always shown."""
        return [field for field in self if field.name not in self.OPEN]

    def more(self) -> list[forms.BoundField]:
        """Return the fields that are folded away."""
        return [self[name] for name in self.OPEN]

    def more_in_use(self) -> bool:
        """Tell whether a folded field has a value or an error."""
        return any(field.value() not in _EMPTY or (self.is_bound and field.errors) for field in self.more())


class ScriptParams(ParamsForm):
    OPEN = ("interpreter", "secrets", "extra")

    script = ScriptField(label=_("脚本"), help_text=_NO_RENDER)
    arguments = PairsField(
        label=_("参数"), typed=True, help_text=_("每行一个 name=value，值可以用变量，如 path=${params.path}")
    )
    interpreter = forms.CharField(
        label=_("解释器"), required=False, help_text=_("留空看脚本第一行 #!，没有则用 /bin/sh")
    )
    secrets = CommaField(label=_("要用的密文参数"), help_text=_("套餐里密文参数的名称，多个用逗号隔开"))


class HttpParams(ParamsForm):
    OPEN = ("status", "jmespath", "extra")

    method = forms.ChoiceField(
        label=_("方法"), required=False, choices=[("", _("POST（默认）")), *((name, name) for name in METHODS)]
    )
    url = forms.CharField(label=_("地址"), required=False, widget=forms.TextInput(attrs={"class": "is-mono"}))
    headers = PairsField(
        label=_("请求头"), sign=":", rows=2, help_text=_("每行一个 Name: value；密文请写在其他参数的 secret_headers 里")
    )
    body = AnyYamlField(label=_("请求体（JSON）"), help_text=_('变量要写在引号里，如 {"ip": "${ip}"}'))
    status = NumbersField(label=_("算成功的状态码"), help_text=_("如 200, 202；留空为 2xx"))
    jmespath = forms.CharField(
        label=_("成功条件（JMESPath）"), required=False, help_text=_("对返回的 JSON 求值，为真才算成功")
    )

    @classmethod
    def initial_of(cls, params: Mapping[str, Any]) -> dict[str, Any]:
        success = params.get("success")
        if not isinstance(success, Mapping):
            return super().initial_of(params)
        rest = {name: value for name, value in params.items() if name != "success"}
        return {
            **super().initial_of(rest),
            **{name: success[name] for name in ("status", "jmespath") if name in success},
        }

    def params(self) -> JSONDict:
        found = super().params()
        success: JSONDict = {name: found.pop(name) for name in ("status", "jmespath") if name in found}
        return {**found, **({"success": success} if success else {})}


class ApprovalParams(ParamsForm):
    message = TextField(label=_("请示什么"), help_text=_("如 重启 ${ip}（${alert_type}）"))
    policy = forms.ChoiceField(label=_("审批策略"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        current = "" if self.is_bound else str(self["policy"].value() or "")
        self.fields["policy"].choices = choices.policies(current)  # type: ignore[attr-defined]

    @classmethod
    def _shows(cls, name: str, value: Any) -> bool:
        return isinstance(value, str) if name == "policy" else super()._shows(name, value)


class NotifyParams(ParamsForm):
    message = TextField(label=_("内容"))
    channels = forms.MultipleChoiceField(label=_("通知服务"), required=False, widget=forms.CheckboxSelectMultiple)
    to = CommaField(
        label=_("告诉谁"), help_text=_("企业微信账号，多个用逗号隔开，可以用 ${operators}；留空按通知服务的设置")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        gone = [] if self.is_bound else self["channels"].value() or []  # kept on show, so that the author sees it
        names = list(dict.fromkeys([*choices.channels(), *gone]))
        self.fields["channels"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]

    @classmethod
    def _shows(cls, name: str, value: Any) -> bool:
        if name == "channels":
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        return super()._shows(name, value)


class SleepParams(ParamsForm):
    seconds = forms.CharField(label=_("等多久"), required=False, help_text=_("如 30、5m、1h，最长 24 小时"))

    @classmethod
    def _shows(cls, name: str, value: Any) -> bool:
        if name != "seconds":
            return super()._shows(name, value)
        return (type(value) is int and value >= 0) or (super()._shows(name, value) and not value.isdigit())

    def params(self) -> JSONDict:
        found = super().params()
        value = found.get("seconds")
        return found | (
            {"seconds": int(value)} if isinstance(value, str) and value.isascii() and value.isdigit() else {}
        )


class GuardParams(ParamsForm):
    count = forms.IntegerField(label=_("达到几次"), required=False)
    minutes = forms.IntegerField(
        label=_("多少分钟内"), required=False, help_text=_("同一对象的同类告警达到次数，就不再往下做，结果为已跳过")
    )


class PingParams(ParamsForm):
    tcp_port = forms.IntegerField(label=_("TCP 端口"), required=False, help_text=_("留空用 ICMP ping"))
    expect = forms.ChoiceField(
        label=_("怎样算成功"),
        required=False,
        choices=[("", _("有应答（默认）")), ("up", _("有应答")), ("down", _("没有应答"))],
    )
    count = forms.IntegerField(label=_("最多试几次"), required=False, help_text=_("默认 3 次，有应答就停"))


FORMS: Mapping[str, type[ParamsForm]] = {
    "script": ScriptParams,
    "http": HttpParams,
    "approval": ApprovalParams,
    "notify": NotifyParams,
    "sleep": SleepParams,
    "guard": GuardParams,
    "ping_check": PingParams,
}


def form_of(kind: str) -> type[ParamsForm]:
    """Return the form of a node type; a type without one has its params as YAML."""
    return FORMS.get(kind, ParamsForm)
