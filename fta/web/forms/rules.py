"""The forms of rules and shields."""

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.healing.inner import given_problems
from fta.healing.parameters import resolve
from fta.matching import outlasts_its_period
from fta.models import Mode, Package, Rule, Shield
from fta.web import choices, conditions
from fta.web.forms.fields import PairsField
from fta.web.forms.match import MatchForm


class MinutesField(forms.FloatField):
    """A length of time that is seconds in the row and minutes on the page."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_value", 7 * 24 * 60)
        super().__init__(widget=forms.NumberInput(attrs={"step": "any"}), **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return f"{value / 60:.4f}".rstrip("0").rstrip(".") if isinstance(value, int) else value

    def clean(self, value: Any) -> int | None:
        minutes = super().clean(value)
        return None if minutes is None else round(minutes * 60)


class RuleForm(MatchForm):
    """接入规则."""

    OWN = (
        "name",
        "priority",
        "enabled",
        "package",
        "parameters",
        "mode",
        "timeout",
        "stale_after",
        "void_when_resolved",
        "approval_policy",
        "verify_within",
        "verify_stay",
    )
    MAIL, CHANNELS = Rule.MAIL_MAINTAINERS, Rule.CHANNELS  # of the 通知设置, which the row keeps together

    name = forms.CharField(label=gettext_lazy("名称"), max_length=128)
    priority = forms.IntegerField(
        label=gettext_lazy("优先级"),
        initial=100,
        min_value=-(10**6),
        max_value=10**6,
        help_text=gettext_lazy("数字小的先匹配；一条告警只由第一条符合的规则处理"),
    )
    enabled = forms.BooleanField(label=gettext_lazy("启用"), required=False, initial=True)
    package = forms.ChoiceField(label=gettext_lazy("执行套餐"), required=False)
    parameters = PairsField(
        label=gettext_lazy("套餐参数"), help_text=gettext_lazy("每行一个 name=value；不写的用套餐里的默认值"), rows=2
    )
    mode = forms.ChoiceField(
        label=gettext_lazy("模式"),
        choices=Mode.choices,
        initial=Mode.AUTO,
        help_text=gettext_lazy("与套餐的模式比，取更严的一个"),
    )
    timeout = MinutesField(label=gettext_lazy("时限（分钟）"), min_value=1, initial=2400)
    stale_after = MinutesField(
        label=gettext_lazy("过时不处理（分钟）"),
        min_value=1,
        required=False,
        help_text=gettext_lazy("告警开始超过这么久才收到，就只记录；留空为不限"),
    )
    void_when_resolved = forms.BooleanField(
        label=gettext_lazy("告警恢复就作废"),
        required=False,
        help_text=gettext_lazy("还没有开始的执行在告警恢复时结束，等待的审批作废；不勾选则审批照旧有效"),
    )
    approval_policy = forms.ChoiceField(label=gettext_lazy("审批策略"), required=False)
    verify_within = MinutesField(label=gettext_lazy("多久内恢复算自愈（分钟）"), min_value=0, initial=600)
    verify_stay = MinutesField(label=gettext_lazy("恢复后多久不复发（分钟）"), min_value=0, initial=1800)

    mail_maintainers = forms.BooleanField(
        label=gettext_lazy("失败时邮件告知业务维护人"),
        required=False,
        initial=True,
        help_text=gettext_lazy("失败和结果未知都发，与通知规则无关；不勾选就不发"),
    )
    channels = forms.MultipleChoiceField(
        label=gettext_lazy("结果另由这些通知服务告知"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("除了通知规则之外；成功、失败、跳过和结果未知都发"),
    )

    def __init__(self, user: Any, rule: Rule | None, *args: Any, **kwargs: Any) -> None:
        self.rule = rule
        if rule:
            initial = {name: getattr(rule, name) for name in self.OWN}
            initial |= {self.MAIL: rule.mails_maintainers, self.CHANNELS: rule.told_by}
            kwargs["initial"] = initial | {"package": rule.package_id} | kwargs.get("initial", {})
        super().__init__(user, *args, **kwargs)
        self.fields["package"].choices = choices.packages(user)  # type: ignore[attr-defined]
        current = rule.approval_policy if rule else ""
        self.fields["approval_policy"].choices = choices.policies(current)  # type: ignore[attr-defined]
        told_by = dict.fromkeys([*choices.channels(), *(rule.told_by if rule else ())])
        self.fields["channels"].choices = [(name, name) for name in told_by]  # type: ignore[attr-defined]

    def clean_name(self) -> str:
        return _unused(Rule, self.cleaned_data["name"], self.rule)

    def clean_package(self) -> Package | None:
        pk = self.cleaned_data["package"]
        return Package.objects.select_related("current").get(pk=pk) if pk else None

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        package = data.get("package")
        if package and package.current and "parameters" in data:
            given = data["parameters"]
            for problem in [*resolve(package.current.parameters, given)[1], *given_problems(package, given)]:
                self.add_error("parameters", problem)
        elif data.get("parameters"):
            self.add_error("parameters", _("没有选套餐，参数不会用到"))
        return data

    def values(self) -> dict[str, Any]:
        """Return the row's values."""
        notify: dict[str, Any] = {} if self.cleaned_data[self.MAIL] else {self.MAIL: False}
        if channels := self.cleaned_data[self.CHANNELS]:
            notify[self.CHANNELS] = channels
        return {name: self.cleaned_data[name] for name in (*self.OWN, "match")} | {"notify": notify}

    def initial_values(self) -> dict[str, Any]:
        """Return what the sentence says of a form that was not sent yet."""
        found = {name: self.get_initial_for_field(self.fields[name], name) for name in ("mode", "timeout")}
        return {**found, "package": self.rule.package if self.rule else None}


class ShieldForm(MatchForm):
    """屏蔽."""

    OWN = ("name", "starts_at", "ends_at", "repeat", "reason", "enabled")

    name = forms.CharField(label=gettext_lazy("名称"), max_length=128)
    starts_at = forms.DateTimeField(label=gettext_lazy("从"))
    ends_at = forms.DateTimeField(label=gettext_lazy("到"))
    repeat = forms.ChoiceField(
        label=gettext_lazy("重复"),
        choices=Shield.Repeat.choices,
        help_text=gettext_lazy("每天、每周在同样的时刻再来，直到结束屏蔽"),
    )
    reason = forms.CharField(
        label=gettext_lazy("原因"),
        max_length=255,
        error_messages={"required": gettext_lazy("请填写原因，它会写入审计。")},
    )
    enabled = forms.BooleanField(label=gettext_lazy("启用"), required=False, initial=True)

    def __init__(self, user: Any, shield: Shield | None, *args: Any, **kwargs: Any) -> None:
        self.shield = shield
        if shield:
            kwargs["initial"] = {name: getattr(shield, name) for name in self.OWN} | kwargs.get("initial", {})
        super().__init__(user, *args, **kwargs)
        for name in ("starts_at", "ends_at"):
            field = self.fields[name]
            assert isinstance(field, forms.DateTimeField)  # noqa: S101 - narrows the type
            field.widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
            field.input_formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]

    def clean_name(self) -> str:
        return _unused(Shield, self.cleaned_data["name"], self.shield)

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        starts_at, ends_at = data.get("starts_at"), data.get("ends_at")
        if not starts_at or not ends_at:
            return data
        repeat = data.get("repeat") or Shield.Repeat.ONCE
        if ends_at <= starts_at:
            self.add_error("ends_at", _("结束必须晚于开始"))
        elif outlasts_its_period(starts_at, ends_at, repeat):
            self.add_error("ends_at", _("一次屏蔽比重复的周期还长；改短，或选「一次」"))
        elif repeat == Shield.Repeat.ONCE and ends_at <= timezone.now() and data.get("enabled"):
            self.add_error("ends_at", _("结束时间已经过去"))
        return data

    def values(self) -> dict[str, Any]:
        """Return the row's values."""
        return {name: self.cleaned_data[name] for name in (*self.OWN, "match")}


def shown_match(form: MatchForm) -> dict[str, Any] | None:
    """Return the conditions that the form stands for now, or None when they cannot be read."""
    if form.is_bound:
        form.is_valid()
        return form.cleaned_data.get("match")
    values = {name: form.initial.get(name) for name in MatchForm.MATCH}
    values["labels"] = conditions.label_conditions(values["labels"] or "")
    return conditions.merge(conditions.join(values), values["rest"] or {})[0]


def _unused(model: type[Any], name: str, row: Any) -> str:
    if model.objects.filter(name=name).exclude(pk=row.pk if row else None).exists():
        raise forms.ValidationError(_("这个名称已被使用（可能在已归档的里面）"))
    return name
