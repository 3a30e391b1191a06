"""A convergence rule as one sentence with blanks."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.convergence.dimensions import LABELS
from fta.convergence.functions import FUNCTIONS
from fta.convergence.rules import validate_rule
from fta.models import Business, ConvergenceRule
from fta.models.scope import in_scope, is_admin
from fta.web import choices
from fta.web.filters import READERS
from fta.web.forms.fields import CommaField, read_yaml, yaml_text
from fta.web.sentences import duration_text

WINDOWS = [60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400]  # seconds
BLANKS = 3  # dimensions that the sentence has room for
_LABEL = "label:"


class ConvergenceForm(forms.Form):
    """收敛规则."""

    name = forms.CharField(label=gettext_lazy("名称"), max_length=128)
    alert_types = CommaField(
        label=gettext_lazy("告警类型"), widget=forms.TextInput(attrs={"placeholder": gettext_lazy("任意告警类型")})
    )
    window = forms.TypedChoiceField(label=gettext_lazy("时间窗口"), coerce=int, initial=300)
    count = forms.IntegerField(label=gettext_lazy("超过条数"), min_value=1, max_value=100_000, initial=1)
    function = forms.ChoiceField(
        label=gettext_lazy("收敛方式"), choices=[(each.name, each.label) for each in FUNCTIONS.values()]
    )
    labels = CommaField(
        label=gettext_lazy("再按标签"), help_text=gettext_lazy("标签名，多个用逗号隔开，如 app, cluster")
    )
    explicit = forms.CharField(
        label=gettext_lazy("限定取值的维度（YAML）"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text=gettext_lazy("把列出的几个值算作一组，如 - {name: set, values: [shanghai-1, shanghai-2]}"),
    )
    business = forms.ChoiceField(label=gettext_lazy("范围"), required=False)
    blocked_by = forms.MultipleChoiceField(
        label=gettext_lazy("例外"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("选中的业务不受这条全局规则约束"),
    )
    priority = forms.IntegerField(
        label=gettext_lazy("优先级"),
        initial=100,
        min_value=-(10**6),
        max_value=10**6,
        help_text=gettext_lazy("数字小的先判断"),
    )
    enabled = forms.BooleanField(label=gettext_lazy("启用"), required=False, initial=True)
    remark = forms.CharField(
        label=gettext_lazy("备注（必填）"), max_length=255, help_text=gettext_lazy("为什么要有这条规则")
    )

    OWN = ("name", "alert_types", "window", "count", "function", "priority", "enabled", "remark")

    def __init__(self, user: Any, rule: ConvergenceRule | None, *args: Any, **kwargs: Any) -> None:
        self.user, self.rule = user, rule
        self.blanks = _blanks(rule)
        if rule:
            kwargs["initial"] = _initial(rule) | kwargs.get("initial", {})
        super().__init__(*args, **kwargs)
        windows = sorted({*WINDOWS, rule.window if rule else 300})
        self._offer("window", [(seconds, duration_text(seconds)) for seconds in windows])
        self._offer("business", choices.businesses(user))
        self._offer("blocked_by", [(str(row.pk), row.name) for row in _businesses(user)])
        offered = [("", "—"), *((name, _("同一%(name)s") % {"name": label}) for name, label in LABELS.items())]
        defaults = ["host", "alert_type", ""]
        for place in range(self.blanks):
            initial = None if rule else defaults[place]
            self.fields[f"same_{place}"] = forms.ChoiceField(
                label=_("维度 %(n)d") % {"n": place + 1}, choices=offered, required=False, initial=initial
            )

    def _offer(self, name: str, offered: Any) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - narrows the type
        field.choices = offered

    def same(self) -> list[forms.BoundField]:
        """Return the fields of the dimensions in the sentence."""
        return [self[f"same_{place}"] for place in range(self.blanks)]

    @property
    def may_be_global(self) -> bool:
        """Tell whether the user may keep global rules, and so their exceptions."""
        return is_admin(self.user)

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        rows = ConvergenceRule.objects.filter(name=name)
        if (rows.exclude(pk=self.rule.pk) if self.rule else rows).exists():
            raise forms.ValidationError(_("这个名称已被使用（可能在已归档的里面）"))
        return name

    def clean_business(self) -> Business | None:
        pk = self.cleaned_data["business"]
        if not pk and not is_admin(self.user):
            raise forms.ValidationError(_("请选择你负责的业务；全局规则由管理员设置"))
        return Business.objects.get(pk=pk) if pk else None

    def clean_blocked_by(self) -> list[Business]:
        return list(Business.objects.filter(pk__in=self.cleaned_data["blocked_by"]))

    def clean_explicit(self) -> list[Any]:
        text = self.cleaned_data["explicit"]
        return list(read_yaml(text, kinds=(list,))) if text else []

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.errors:
            return data
        if data["business"] and data["blocked_by"]:
            self.add_error("blocked_by", _("只有全局规则可以设置例外"))
        plain = [data[f"same_{place}"] for place in range(self.blanks) if data[f"same_{place}"]]
        names = [*plain, *(f"{_LABEL}{name}" for name in data["labels"])]
        data["dimensions"] = [*dict.fromkeys(names), *data["explicit"]]
        for path, message in validate_rule(data):
            name = path.partition("[")[0]
            self.add_error(
                "explicit" if path != name and data["explicit"] else name if name in self.fields else None, message
            )
        return data

    def values(self) -> dict[str, Any]:
        """Return the row's values."""
        names = (*self.OWN, "dimensions", "business", "blocked_by")
        return {name: self.cleaned_data[name] for name in names}


class BlockForm(forms.Form):
    """Whether one of the user's businesses does without a global rule."""

    business = forms.ModelChoiceField(queryset=Business.objects.none())
    blocked = forms.BooleanField(required=False)

    def __init__(self, user: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["business"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - narrows the type
        field.queryset = Business.objects.filter(in_scope(user, "pk", "operator"), archived=False)


def _businesses(user: Any) -> Any:
    return Business.objects.filter(in_scope(user, "pk", *READERS), archived=False)


def _plain(rule: ConvergenceRule) -> list[str]:
    return [item for item in rule.dimensions if isinstance(item, str) and item in LABELS]


def _blanks(rule: ConvergenceRule | None) -> int:
    return max(BLANKS, len(_plain(rule))) if rule else BLANKS


def _initial(rule: ConvergenceRule) -> dict[str, Any]:
    plain = _plain(rule)
    labels = [
        item.removeprefix(_LABEL) for item in rule.dimensions if isinstance(item, str) and item.startswith(_LABEL)
    ]
    rest = [item for item in rule.dimensions if not isinstance(item, str)]
    return {
        **{name: getattr(rule, name) for name in ConvergenceForm.OWN},
        **{f"same_{place}": name for place, name in enumerate(plain)},
        "labels": labels,
        "explicit": yaml_text(rest),
        "business": rule.business_id,
        "blocked_by": [str(row.pk) for row in rule.blocked_by.all()],
    }
