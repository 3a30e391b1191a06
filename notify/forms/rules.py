"""The form of a notification rule."""

import json
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from fta.matching import validate_match
from fta.models import Duty, Person
from fta.web.forms.fields import CommaField
from notify import selectors
from notify.forms.channels import LinesField
from notify.messages import EVENTS
from notify.models import NotificationRule

DAYS = [(1, _("周一")), (2, _("周二")), (3, _("周三")), (4, _("周四")), (5, _("周五")), (6, _("周六")), (7, _("周日"))]
ROLES = {f"@{role}": role for role in selectors.RECEIVING_ROLES}
DUTY = "值班:"
FAMILIES = [
    ("alert.*", _("所有告警事件")),
    ("execution.*", _("所有执行事件")),
    ("approval.*", _("所有审批事件")),
    ("convergence.*", _("所有收敛事件")),
    ("shadow.*", _("所有演练事件")),
    ("system.*", _("所有系统事件")),
    ("*", _("所有事件")),
]


def _seconds(label: Any, help_text: Any) -> forms.IntegerField:
    return forms.IntegerField(label=label, min_value=0, max_value=7 * 86400, required=False, help_text=help_text)


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
            "每行一个：用户名；@operator 业务操作员；@approver 业务审批人；@viewer 业务只读用户；@maintainer 业务运维负责人；"
            "@host 主机负责人；@admin 管理员；“值班:名称”是值班表当时的人。"
            "留空发给通知服务里填的人；填了却找不到人，不会改发给他们。"
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
    group_by = CommaField(
        label=_("分组"),
        help_text=_(
            "同组的合并成一条，逗号隔开："
            "event、alert_type、severity、target、business、set、module、host、source、package，其余当作告警标签的名称。"
        ),
    )
    group_wait = _seconds(_("组内先等（秒）"), _("组里第一条等这么久，其间来的一起发。"))
    group_interval = _seconds(_("组间隔（秒）"), _("一组发过之后，新的最早在这么久以后再发。"))
    repeat_interval = _seconds(_("重复间隔（秒）"), _("告警一直没有恢复时，隔这么久再发一次；0 为不再发。"))
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
            raise forms.ValidationError(gettext("不是 JSON：%(error)s") % {"error": error}) from error
        problems = validate_match(match)
        if problems:
            raise forms.ValidationError([f"{path}：{message}" if path else message for path, message in problems])
        return dict(match)

    def clean_group_by(self) -> list[str]:
        names: list[str] = self.cleaned_data["group_by"]
        if wrong := [name for name in names if not selectors.is_group(name)]:
            said = gettext("不能按这些分组：%(names)s；这不是标签的名称。") % {"names": "、".join(wrong)}
            raise forms.ValidationError(said)
        return names

    def clean_to(self) -> list[Any]:
        names = [name.replace("值班：", DUTY, 1) for name in self.cleaned_data["to"]]
        duties = {name: name[len(DUTY) :].strip() for name in names if name.startswith(DUTY)}
        if wrong := set(duties.values()) - set(Duty.objects.staffed().values_list("name", flat=True)):
            raise forms.ValidationError(gettext("没有这样的值班表：%(names)s") % {"names": "、".join(sorted(wrong))})
        people = [name for name in names if name not in ROLES and name not in duties]
        known = set(Person.objects.filter(user__username__in=people).values_list("user__username", flat=True))
        missing = [name for name in people if name not in known]
        if missing:
            raise forms.ValidationError(gettext("没有这些人：%(names)s") % {"names": "、".join(missing)})
        return [
            {"role": ROLES[name]} if name in ROLES else {"duty": duties[name]} if name in duties else name
            for name in names
        ]

    @property
    def values(self) -> dict[str, Any]:
        """Return what to save, but the channels."""
        data = self.cleaned_data
        names = ("name", "enabled", "events", "match", "to", "template", "send_resolved")
        options = {name: data[name] for name in ("group_by", *selectors.SPANS) if data[name]}
        more = {"hours": self._hours(), "throttle": data["throttle"] or 0, "options": options}
        return {name: data[name] for name in names} | more

    def _hours(self) -> dict[str, Any]:
        data = self.cleaned_data
        hours: dict[str, Any] = {}
        if data["start"] or data["end"]:
            hours["from"] = f"{data['start']:%H:%M}" if data["start"] else "00:00"
            hours["to"] = f"{data['end']:%H:%M}" if data["end"] else "24:00"
        return hours | ({"days": data["days"]} if data["days"] else {})


def _written(item: Any) -> str:
    """Return a receiver as the form's field has it."""
    if not isinstance(item, dict):
        return str(item)
    return f"{DUTY}{item['duty']}" if item.get("duty") else f"@{item.get('role')}"


def _initial(rule: NotificationRule) -> dict[str, Any]:
    hours = rule.hours if isinstance(rule.hours, dict) else {}
    return {
        "name": rule.name,
        "enabled": rule.enabled,
        "events": rule.events,
        "channels": rule.channels.all(),
        "to": [_written(item) for item in rule.to],
        "match": json.dumps(rule.match, ensure_ascii=False, indent=2) if rule.match else "",
        "start": hours.get("from"),
        "end": hours.get("to") if hours.get("to") != "24:00" else None,
        "days": hours.get("days", []),
        "template": rule.template,
        "throttle": rule.throttle,
        "send_resolved": rule.send_resolved,
        **{name: rule.options.get(name) for name in ("group_by", *selectors.SPANS)},
    }
