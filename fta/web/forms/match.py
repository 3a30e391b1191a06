"""The conditions of a rule or a shield as a form."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.matching import validate_match
from fta.models import Alert, Business, Source
from fta.models.scope import in_scope, is_admin
from fta.web import conditions
from fta.web.forms.fields import YamlField
from fta.web.sentences import DAYS
from fta.web.territory import businesses_of, codes_of

_SMALL = {"rows": 2, "spellcheck": "false"}


class MatchForm(forms.Form):
    """Every condition as a field; what no field can show is in `rest`, so that nothing is lost by an edit."""

    MATCH = (
        "alert_type_how",
        "alert_type",
        "severity",
        "business",
        "source",
        "set",
        "module",
        "ip",
        "content",
        "labels",
        "hours_from",
        "hours_to",
        "days",
        "rest",
    )

    alert_type_how = forms.ChoiceField(
        label=gettext_lazy("告警类型怎样比较"),
        required=False,
        choices=[
            ("equals", gettext_lazy("等于")),
            ("glob", gettext_lazy("通配 *?")),
            ("regex", gettext_lazy("正则 RE2")),
        ],
    )
    alert_type = forms.CharField(
        label=gettext_lazy("告警类型"),
        required=False,
        widget=forms.Textarea(attrs=_SMALL),
        help_text=gettext_lazy("每行一个，符合任意一个即可；留空为任意类型"),
    )
    severity = forms.MultipleChoiceField(
        label=gettext_lazy("级别"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        choices=[choice for choice in Alert.Severity.choices if choice[0]],
        help_text=gettext_lazy("不选为任意级别"),
    )
    business = forms.MultipleChoiceField(
        label=gettext_lazy("业务"), required=False, widget=forms.CheckboxSelectMultiple
    )
    source = forms.MultipleChoiceField(
        label=gettext_lazy("告警源"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("不选为任意告警源"),
    )
    set = forms.CharField(label=gettext_lazy("集群"), required=False, widget=forms.Textarea(attrs=_SMALL))
    module = forms.CharField(label=gettext_lazy("模块"), required=False, widget=forms.Textarea(attrs=_SMALL))
    ip = forms.CharField(
        label=gettext_lazy("IP 或网段"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text=gettext_lazy("每行一个 IP 或 CIDR，如 192.0.2.0/24"),
    )
    content = forms.CharField(
        label=gettext_lazy("内容匹配"),
        required=False,
        max_length=1000,
        widget=forms.TextInput(attrs={"class": "is-mono"}),
        help_text=gettext_lazy("RE2 正则，在告警内容里任意位置找到即可"),
    )
    labels = forms.CharField(
        label=gettext_lazy("标签"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text=gettext_lazy("每行一个：app=web、app!=web、app=~^web、app in web, api、app exists"),
    )
    hours_from = forms.CharField(label=gettext_lazy("从"), required=False, max_length=5)
    hours_to = forms.CharField(label=gettext_lazy("到"), required=False, max_length=5)
    days = forms.TypedMultipleChoiceField(
        label=gettext_lazy("星期"),
        required=False,
        coerce=int,
        widget=forms.CheckboxSelectMultiple,
        choices=[(number, name) for number, name in enumerate(DAYS, start=1)],
        help_text=gettext_lazy("都不选为每天；结束早于开始时跨到次日"),
    )
    rest = YamlField(
        label=gettext_lazy("其他条件（YAML）"),
        help_text=gettext_lazy("上面没有的写法写在这里，与上面的条件同时成立，如 host: {prefix: web-}"),
    )

    def __init__(self, user: Any, *args: Any, match: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        self.user = user
        self.offered = _offered(user)
        shown, rest = conditions.split(match or {}, {name: dict(found) for name, found in self.offered.items()})
        kwargs["initial"] = {**shown, "rest": rest, **(kwargs.get("initial") or {})}
        super().__init__(*args, **kwargs)
        for name in ("business", "source"):
            self.fields[name].choices = self.offered[name]  # type: ignore[attr-defined]
        everywhere = (
            gettext_lazy("不选为所有业务")
            if is_admin(user)
            else gettext_lazy("至少选一个；对所有业务生效的由管理员设置")
        )
        self.fields["business"].help_text = everywhere

    @cached_property
    def has_rest(self) -> bool:
        """Tell whether the box for other conditions is in use, and should be open."""
        return bool(self["rest"].value() or self["rest"].errors)

    def clean_labels(self) -> dict[str, Any]:
        try:
            return conditions.label_conditions(self.cleaned_data["labels"])
        except conditions.BadLabel as error:
            raise forms.ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if not frozenset(self.errors) & frozenset(self.MATCH):
            match, twice = conditions.merge(conditions.join(data), data["rest"])
            for name in twice:
                self.add_error("rest", _("%(name)s 已在上面填写，只留一处") % {"name": name})
            for path, message in validate_match(match):
                self.add_error(
                    self._field_of(path, data["rest"]), f"{path}: {message}" if path in data["rest"] else message
                )
            self._check_territory(match)
            data["match"] = match
        return data

    def _check_territory(self, match: Mapping[str, Any]) -> None:
        mine = codes_of(self.user)
        named = businesses_of(match)
        if mine is not None and (named is None or not named <= mine):
            self.add_error("business", _("请选择你负责的业务；对所有业务生效的由管理员设置"))

    def _field_of(self, path: str, rest: Mapping[str, Any]) -> str:
        name, _dot, inside = path.partition(".")
        hidden = rest.get("labels", {}) if name == "labels" else rest
        if (inside.partition(".")[0] if name == "labels" else name) in hidden:
            return "rest"
        if name == "hours":
            return {"to": "hours_to", "days": "days"}.get(inside, "hours_from")
        return name if name in self.fields else "rest"


def _offered(user: Any) -> dict[str, list[tuple[str, Any]]]:
    businesses = Business.objects.filter(in_scope(user, "pk", "operator"), archived=False)
    sources = Source.objects.filter(archived=False)
    return {
        "business": [(row.code, row.name) for row in businesses],
        "source": [(row.name, row.name) for row in sources],
        "severity": [(value, label) for value, label in Alert.Severity.choices if value],
    }
