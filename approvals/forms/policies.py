"""The form of an approval policy. Approvers are written one a line: @role, 组:name, 值班:name, or a username."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from approvals.models import ApproverGroup, Policy
from fta.models import Duty, Person
from notify.forms.channels import LinesField
from notify.selectors import live_channels

STAGES = 3  # offered at least; one more than a policy has
MAX_MINUTES = 7 * 24 * 60
_MARKS = {"role": "@", "group": "组:", "duty": "值班:", "person": ""}
_ROLES = ("operator", "maintainer")


class ApproversField(LinesField):
    """Approvers; the value is a list of {"person"|"role"|"group"|"duty": name}, each of which exists."""

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, list) and all(isinstance(entry, Mapping) for entry in value):
            return "\n".join(_MARKS[kind] + str(name) for entry in value for kind, name in entry.items())
        return super().prepare_value(value)

    def clean(self, value: Any) -> list[dict[str, str]]:
        found = [_entry(line) for line in super().clean(value)]
        if unknown := [
            _MARKS[kind] + name for entry in found for kind, name in entry.items() if not _exists(kind, name)
        ]:
            raise forms.ValidationError(gettext("不存在：%(names)s") % {"names": "、".join(unknown)})
        return found


class PolicyForm(forms.Form):
    """Who is asked, in which stages, for how long, and what silence means."""

    name = forms.CharField(label=_("名称"), max_length=64)
    exclude_requester = forms.BooleanField(label=_("发起人与套餐作者不得审批"), required=False, initial=True)
    expires_minutes = forms.IntegerField(
        label=_("有效期（分钟）"),
        min_value=1,
        max_value=MAX_MINUTES,
        initial=30,
        help_text=_("不会超过执行的截止时间；过半时提醒一次。"),
    )
    on_expiry = forms.ChoiceField(
        label=_("到期无人回答"), choices=Policy.OnExpiry.choices, initial=Policy.OnExpiry.REFUSE
    )
    escalate_to = ApproversField(label=_("升级给"), required=False, help_text=_("只升级一次，再到期即视为驳回。"))
    remind_channel = forms.ChoiceField(label=_("提醒通道"), required=False)

    def __init__(self, data: Any = None, policy: Policy | None = None, preview: bool = False) -> None:
        self.policy = policy
        super().__init__(data, initial=_initial(policy) if policy else None)
        self.fields["name"].required = not preview  # whom it would ask does not hang on it
        channels = live_channels().values_list("name", flat=True)
        cast(forms.ChoiceField, self.fields["remind_channel"]).choices = [
            ("", _("企业微信与邮件")),
            *((name, name) for name in channels),
        ]
        stages = policy.stages if policy else []
        self.numbers = range(max(STAGES, len(stages) + 1))
        for number in self.numbers:
            shown = (
                stages[number] if number < len(stages) else {"approvers": [{"role": "operator"}] if not number else []}
            )
            self.fields[f"approvers_{number}"] = ApproversField(
                label=_("谁来审批"), required=not number, initial=shown.get("approvers", [])
            )
            self.fields[f"quorum_{number}"] = forms.IntegerField(
                label=_("须几人同意"), min_value=1, max_value=50, required=False, initial=shown.get("quorum", 1)
            )

    def clean(self) -> dict[str, Any]:
        """Refuse what could never be answered: an escalation to nobody, a gap between stages."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if data.get("on_expiry") == Policy.OnExpiry.ESCALATE and not data.get("escalate_to") and not self.errors:
            self.add_error("escalate_to", gettext("写明升级给谁"))
        filled = [bool(data.get(f"approvers_{number}")) for number in self.numbers]
        if True in filled and False in filled[: len(filled) - filled[::-1].index(True)] and not self.errors:
            self.add_error(f"approvers_{filled.index(False)}", gettext("前面的阶段不能空着"))
        return data

    @property
    def stages(self) -> Sequence[tuple[int, forms.BoundField, forms.BoundField]]:
        """Return (number from 1, approvers, quorum) of every stage that the page offers."""
        return [(number + 1, self[f"approvers_{number}"], self[f"quorum_{number}"]) for number in self.numbers]

    def values(self) -> dict[str, Any]:
        """Return what the policy would hold; only for a valid form."""
        data = self.cleaned_data
        stages = [
            {"approvers": data[f"approvers_{number}"], "quorum": data[f"quorum_{number}"] or 1}
            for number in self.numbers
            if data[f"approvers_{number}"]
        ]
        plain = ("name", "exclude_requester", "on_expiry", "escalate_to", "remind_channel")
        return {"stages": stages, "expires_after": data["expires_minutes"] * 60, **{name: data[name] for name in plain}}


def words(approvers: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return approvers as people call them."""
    roles = {"operator": gettext("业务操作员与主机负责人"), "maintainer": gettext("业务运维负责人")}
    marks = {"group": gettext("审批组 %s"), "duty": gettext("值班 %s"), "person": "%s"}
    return [
        roles.get(name, name) if kind == "role" else marks.get(kind, "%s") % name
        for entry in approvers
        for kind, name in entry.items()
    ]


def _entry(line: str) -> dict[str, str]:
    line = line.replace("：", ":")
    for kind, mark in _MARKS.items():
        if line.startswith(mark):
            return {kind: line.removeprefix(mark).strip()}
    return {"person": line}


def _exists(kind: str, name: str) -> bool:
    if kind == "role":
        return name in _ROLES
    if kind == "group":
        return ApproverGroup.objects.filter(name=name).exists()
    if kind == "duty":
        return Duty.objects.filter(name=name).exists()
    return Person.objects.active().filter(user__username=name).exists()


def _initial(policy: Policy) -> dict[str, Any]:
    plain = ("name", "exclude_requester", "on_expiry", "escalate_to", "remind_channel")
    shown = {name: getattr(policy, name) for name in plain}
    return {**shown, "expires_minutes": max(1, policy.expires_after // 60)}
