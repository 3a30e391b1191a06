"""The form of a notification rule."""

import json
from typing import Any

from django import forms
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from fta.matching import validate_match
from fta.models import Person
from notify import selectors
from notify.forms.channels import LinesField
from notify.messages import EVENTS
from notify.models import NotificationRule

DAYS = [(1, _("周一")), (2, _("周二")), (3, _("周三")), (4, _("周四")), (5, _("周五")), (6, _("周六")), (7, _("周日"))]
ROLES = {"@operator": "operator", "@maintainer": "maintainer"}
FAMILIES = [("execution.*", _("所有执行事件")), ("approval.*", _("所有审批事件")), ("convergence.*", _("所有收敛事件"))]


class RuleForm(forms.Form):
    """Events × conditions × times × channels × receivers."""

    name = forms.CharField(label=_("名称"), max_length=64)
    enabled = forms.BooleanField(label=_("启用"), required=False, initial=True)
    events = forms.MultipleChoiceField(
        label=_("事件"), choices=[*EVENTS.items(), *FAMILIES], widget=forms.CheckboxSelectMultiple
    )
    channels: Any = forms.ModelMultipleChoiceField(
        label=_("通知服务"),
        queryset=None,
        widget=forms.CheckboxSelectMultiple,
    )
    to = LinesField(
        label=_("接收人"),
        required=False,
        help_text=_(
            "用户名，每行一个；@operator 是业务的操作员，@maintainer 是业务的运维负责人。留空发给通知服务里填的人。"
        ),
    )
    match = forms.CharField(
        label=_("条件"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text=_(
            'JSON，与接入规则同一写法，如 {"business": "game", "severity": ["critical", "error"]}；留空为全部。'
        ),
    )
    start = forms.TimeField(
        label=_("从"), required=False, widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    end = forms.TimeField(label=_("到"), required=False, widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"))
    days = forms.TypedMultipleChoiceField(
        label=_("星期"),
        choices=DAYS,
        coerce=int,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("不选为每天。"),
    )
    template: Any = forms.ModelChoiceField(label=_("模板"), queryset=None, required=False, empty_label=_("自带文案"))
    throttle = forms.IntegerField(
        label=_("限频（秒）"),
        min_value=0,
        max_value=86400,
        required=False,
        help_text=_("同一类告警和对象，在这么久里只发一次；0 为不限。"),
    )
    send_resolved = forms.BooleanField(label=_("恢复也通知"), required=False)

    def __init__(self, data: Any = None, rule: NotificationRule | None = None) -> None:
        self.rule = rule
        super().__init__(data, initial=_initial(rule) if rule else None)
        self.fields["channels"].queryset = selectors.live_channels()  # type: ignore[attr-defined]
        self.fields["template"].queryset = selectors.live_templates()  # type: ignore[attr-defined]

    def clean_match(self) -> dict[str, Any]:
        text = str(self.cleaned_data["match"]).strip()
        try:
            match = json.loads(text) if text else {}
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(_now("不是 JSON：%(error)s") % {"error": error}) from error
        problems = validate_match(match)
        if problems:
            raise forms.ValidationError([f"{path}：{message}" if path else message for path, message in problems])
        return dict(match)

    def clean_to(self) -> list[Any]:
        names = self.cleaned_data["to"]
        people = [name for name in names if name not in ROLES]
        known = set(Person.objects.filter(user__username__in=people).values_list("user__username", flat=True))
        missing = [name for name in people if name not in known]
        if missing:
            raise forms.ValidationError(_now("没有这些人：%(names)s") % {"names": "、".join(missing)})
        return [{"role": ROLES[name]} if name in ROLES else name for name in names]

    @property
    def values(self) -> dict[str, Any]:
        """Return what to save, but the channels."""
        data = self.cleaned_data
        names = ("name", "enabled", "events", "match", "to", "template", "send_resolved")
        return {name: data[name] for name in names} | {"hours": self._hours(), "throttle": data["throttle"] or 0}

    def _hours(self) -> dict[str, Any]:
        data = self.cleaned_data
        hours: dict[str, Any] = {}
        if data["start"] or data["end"]:
            hours["from"] = f"{data['start']:%H:%M}" if data["start"] else "00:00"
            hours["to"] = f"{data['end']:%H:%M}" if data["end"] else "24:00"
        return hours | ({"days": data["days"]} if data["days"] else {})


def _initial(rule: NotificationRule) -> dict[str, Any]:
    hours = rule.hours if isinstance(rule.hours, dict) else {}
    roles = {role: name for name, role in ROLES.items()}
    return {
        "name": rule.name,
        "enabled": rule.enabled,
        "events": rule.events,
        "channels": rule.channels.all(),
        "to": [roles.get(str(item.get("role")), "") if isinstance(item, dict) else item for item in rule.to],
        "match": json.dumps(rule.match, ensure_ascii=False, indent=2) if rule.match else "",
        "start": hours.get("from"),
        "end": hours.get("to") if hours.get("to") != "24:00" else None,
        "days": hours.get("days", []),
        "template": rule.template,
        "throttle": rule.throttle,
        "send_resolved": rule.send_resolved,
    }
