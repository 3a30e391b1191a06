"""The forms of a package: itself, its parameters, its nodes, and a run by hand."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.healing import inner
from fta.healing.nodes import EDGES, seconds
from fta.healing.parameters import TYPES, InvalidValue, value_of
from fta.healing.runners import RUNNERS
from fta.healing.variables import text_of
from fta.models import Business, Mode, Package, StepRun
from fta.models.scope import is_admin
from fta.pipeline.budget import LONGEST_WINDOW
from fta.web import choices
from fta.web.forms.fields import CommaField, NumbersField
from fta.web.forms.node_params import ParamsForm, form_of

_TYPE_LABELS = {
    "string": gettext_lazy("文本"),
    "integer": gettext_lazy("整数"),
    "number": gettext_lazy("数字"),
    "boolean": gettext_lazy("是否"),
    "choice": gettext_lazy("选项"),
    "ip": gettext_lazy("IP"),
    "hostname": gettext_lazy("主机名"),
    "secret": gettext_lazy("密文"),
}


_REQUIRED = {"required": gettext_lazy("请填写")}


class PackageForm(forms.Form):
    """What a package is, beside its nodes and parameters."""

    OWN = ("name", "business", "description", "risk", "mode")
    BUDGET = ("max_hosts", "max_percent", "window", "scope")

    key = forms.CharField(
        label=gettext_lazy("标识"),
        max_length=64,
        validators=[RegexValidator(r"^[a-z0-9][a-z0-9_-]*\Z", gettext_lazy("只能用小写字母、数字、- 和 _"))],
        help_text=gettext_lazy("保存后不能改，如 clean-disk"),
        error_messages=_REQUIRED,
    )
    name = forms.CharField(label=gettext_lazy("名称"), max_length=128, error_messages=_REQUIRED)
    business = forms.ChoiceField(label=gettext_lazy("业务"), required=False)
    description = forms.CharField(
        label=gettext_lazy("说明"), required=False, max_length=4000, widget=forms.Textarea(attrs={"rows": 2})
    )
    risk = forms.ChoiceField(label=gettext_lazy("风险"), choices=Package.Risk.choices, initial=Package.Risk.MEDIUM)
    mode = forms.ChoiceField(label=gettext_lazy("模式"), choices=Mode.choices, initial=Mode.APPROVAL)
    max_hosts = forms.IntegerField(label=gettext_lazy("最多几台"), required=False, min_value=1)
    max_percent = forms.IntegerField(label=gettext_lazy("最多百分之几"), required=False, min_value=1, max_value=100)
    window = forms.CharField(
        label=gettext_lazy("多长时间内"), required=False, help_text=gettext_lazy("如 30m；超出的改为先审批")
    )
    scope = forms.ChoiceField(
        label=gettext_lazy("按什么算"),
        required=False,
        choices=[("module", gettext_lazy("模块")), ("set", gettext_lazy("集群")), ("business", gettext_lazy("业务"))],
    )
    note = forms.CharField(
        label=gettext_lazy("这一版改了什么"),
        required=False,
        max_length=255,
        widget=forms.TextInput(attrs={"placeholder": gettext_lazy("这一版改了什么")}),
    )
    base = forms.IntegerField(
        required=False, widget=forms.HiddenInput
    )  # the version that was current when editing began

    def __init__(self, user: Any, package: Package | None, *args: Any, **kwargs: Any) -> None:
        self.user, self.package = user, package
        if package:
            own = {name: getattr(package, name) for name in self.OWN} | {"business": package.business_id}
            own["base"] = package.current.number if package.current else None
            kwargs["initial"] = {**own, **_budget_initial(package.budget), **(kwargs.get("initial") or {})}
        super().__init__(*args, **kwargs)
        self.fields["business"].choices = choices.businesses(user)  # type: ignore[attr-defined]
        if package:  # its mode is set on its page: step by step, with a reason
            del self.fields["key"], self.fields["mode"]

    def clean_key(self) -> str:
        key = str(self.cleaned_data["key"])
        if key == "new":  # the address of the page that makes one
            raise forms.ValidationError(_("这个标识不能用"))
        if Package.objects.filter(key=key).exists():
            raise forms.ValidationError(_("这个标识已被使用（可能在已归档的里面）"))
        return key

    def clean_business(self) -> Business | None:
        pk = self.cleaned_data["business"]
        if not pk and not is_admin(self.user):
            raise forms.ValidationError(_("请选择你负责的业务；全局套餐由管理员设置"))
        return Business.objects.get(pk=pk) if pk else None

    def clean_note(self) -> str:
        note = str(self.cleaned_data["note"])
        if self.package and self.package.current and not note:
            raise forms.ValidationError(_("请写这一版改了什么，它会留在版本记录里"))
        return note

    def clean_window(self) -> int | None:
        window = _length(self.cleaned_data["window"])
        if window is not None and not 0 < window <= LONGEST_WINDOW:
            raise forms.ValidationError(_("应大于 0，最长 %(days)s 天") % {"days": LONGEST_WINDOW // 86400})
        return window

    def values(self) -> dict[str, Any]:
        """Return the row's own values."""
        data = self.cleaned_data
        budget = {name: data[name] for name in self.BUDGET if data.get(name)}
        limited = "max_hosts" in budget or "max_percent" in budget
        if limited:
            budget.setdefault("window", 1800)
        own = {name: data[name] for name in self.OWN if name in self.fields}
        found = own | {"budget": budget if limited else {}}
        return found if self.package else {**found, "key": data["key"]}


def _budget_initial(budget: Mapping[str, Any]) -> dict[str, Any]:
    return {name: budget[name] for name in PackageForm.BUDGET if name in budget}


class ParameterForm(forms.Form):
    """One parameter of a package."""

    name = forms.CharField(label=gettext_lazy("参数名"), max_length=32, error_messages=_REQUIRED)
    type = forms.ChoiceField(
        label=gettext_lazy("类型"), choices=[(kind, _TYPE_LABELS.get(kind, kind)) for kind in TYPES]
    )
    default = forms.CharField(label=gettext_lazy("默认值"), required=False)
    required = forms.BooleanField(label=gettext_lazy("必填"), required=False)
    choices = CommaField(label=gettext_lazy("选项"), help_text=gettext_lazy("只用于选项类型，逗号隔开"))
    pattern = forms.CharField(label=gettext_lazy("格式（RE2）"), required=False, max_length=500)
    secret = forms.CharField(
        label=gettext_lazy("密文"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy("只用于密文类型；留空为不改"),
    )

    def declaration(self) -> dict[str, Any]:
        """Return the declaration as the package stores it, as far as its fields are well filled."""
        data = self.cleaned_data
        names = ("name", "type", "default", "required", "choices", "pattern")
        found = {name: data[name] for name in names if data.get(name)}
        try:
            return found | ({"default": value_of(found, found["default"])} if "default" in found else {})
        except InvalidValue:  # the check of the whole package says so, beside this parameter
            return found


class NodeForm(forms.Form):
    """One node; its parameters are a form of their own, by its type."""

    id = forms.IntegerField(min_value=1, max_value=10**6, widget=forms.HiddenInput)
    place = forms.RegexField(
        r"^\d{1,3},\d{1,3}\Z", required=False, widget=forms.HiddenInput
    )  # column and row, once chosen
    name = forms.CharField(label=gettext_lazy("名称"), required=False, max_length=128)
    type = forms.ChoiceField(label=gettext_lazy("类型"))
    success = NumbersField(label=gettext_lazy("成功后"), help_text=gettext_lazy("节点编号，多个用逗号隔开"))
    failure = NumbersField(label=gettext_lazy("失败时"), help_text=gettext_lazy("留空为就此失败"))
    always = NumbersField(label=gettext_lazy("无论结果"))
    timeout = forms.CharField(label=gettext_lazy("超时"), required=False, help_text=gettext_lazy("如 60s、5m"))
    policy = forms.ChoiceField(
        label=gettext_lazy("中断后怎么办"),
        required=False,
        choices=[("", gettext_lazy("按类型")), *StepRun.Policy.choices],
        help_text=gettext_lazy("可重复：引擎重启后会再做一遍，动作须自保幂等"),
    )
    count = forms.IntegerField(label=gettext_lazy("重试（次）"), required=False, min_value=0, max_value=20)
    delay = forms.CharField(label=gettext_lazy("间隔"), required=False, help_text=gettext_lazy("如 30s"))
    backoff = forms.FloatField(label=gettext_lazy("间隔倍数"), required=False, min_value=1, max_value=10)
    join = forms.ChoiceField(
        label=gettext_lazy("汇合"),
        required=False,
        choices=[("all", gettext_lazy("前面的都到了才做")), ("any", gettext_lazy("任意一个到了就做"))],
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        params = kwargs.pop("params", {})
        super().__init__(*args, **kwargs)
        self.fields["type"].choices = [(name, runner.label) for name, runner in RUNNERS.items()]  # type: ignore[attr-defined]
        kind = str(self["type"].value() or "script")
        self.kind_label = RUNNERS[kind].label if kind in RUNNERS else kind
        self.is_inner = kind == inner.TYPE
        self.params: ParamsForm = form_of(kind)(
            self.data if self.is_bound else None, prefix=f"{self.prefix}-p", initial=params
        )

    @classmethod
    def stored(cls, prefix: str, node: Mapping[str, Any]) -> "NodeForm":
        """Return the form of a stored node."""
        edges = {kind: (node.get("next") or {}).get(kind, []) for kind in EDGES}
        initial = {**node, **(node.get("retries") or {}), **edges}
        params = form_of(str(node.get("type"))).initial_of(node.get("params") or {})
        return cls(prefix=prefix, initial=initial, params=params)

    def is_valid(self) -> bool:
        return all([super().is_valid(), self.params.is_valid()])

    MORE = ("count", "delay", "backoff", "always")

    def more_in_use(self) -> bool:
        """Tell whether a folded field has a value or an error, and should be in sight."""
        asked = self["count"].value() not in (None, "", 0, "0") or bool(self["always"].value())
        wrong = self.is_bound and any(self[name].errors for name in self.MORE)
        return asked or wrong or self.params.more_in_use()

    def clean_timeout(self) -> int | None:
        return _length(self.cleaned_data["timeout"])

    def clean_delay(self) -> int | None:
        return _length(self.cleaned_data["delay"])

    def node(self) -> dict[str, Any]:
        """Return the node as the package stores it, as far as its fields are well filled."""
        data = self.cleaned_data
        retries = {name: data[name] for name in ("count", "delay", "backoff") if data.get(name)}
        found = {name: data[name] for name in ("id", "name", "type", "timeout", "policy", "join") if data.get(name)}
        edges = {kind: data[kind] for kind in EDGES if data.get(kind)}
        return found | {"params": self.params.params(), "retries": retries, "next": edges}


class RestoreForm(forms.Form):
    """Why an older version is to be current again."""

    reason = forms.CharField(max_length=255)


class RunForm(forms.Form):
    """A run by hand: where, with what, why."""

    ip = forms.GenericIPAddressField(label=gettext_lazy("主机 IP"))
    reason = forms.CharField(
        label=gettext_lazy("原因"),
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": gettext_lazy("请填写原因，它会写入审计。")},
    )

    def __init__(self, parameters: list[Mapping[str, Any]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for parameter in parameters:
            if parameter.get("type") != "secret":
                self.fields[f"p_{parameter['name']}"] = _run_field(parameter)

    def parameter_fields(self) -> list[forms.BoundField]:
        """Return the fields of the package's parameters."""
        return [field for field in self if field.name.startswith("p_")]

    def given(self) -> dict[str, Any]:
        """Return the parameters that were filled in."""
        pairs = ((name.removeprefix("p_"), value) for name, value in self.cleaned_data.items() if name.startswith("p_"))
        return {name: value for name, value in pairs if value not in (None, "")}


def _run_field(parameter: Mapping[str, Any]) -> forms.Field:
    shared: dict[str, Any] = {"label": parameter["name"], "required": False, "initial": parameter.get("default")}
    if parameter.get("type") == "choice":
        offered = [(text := text_of(each), text) for each in parameter.get("choices") or []]
        shared["initial"] = text_of(parameter.get("default"))
        return forms.ChoiceField(choices=[("", _("按默认")), *offered], **shared)
    return forms.CharField(**shared)


def _length(text: str) -> int | None:
    try:
        return seconds(text) if text else None
    except ValueError as error:
        raise forms.ValidationError(_("应为时长，如 30s、5m、1h")) from error
