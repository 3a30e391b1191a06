"""Forms of what an operator does to running things: each asks for a reason."""

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from fta.models import Switch
from fta.operations import reach


def actor_of(request: HttpRequest) -> User:
    """Return the user who acts; raises PermissionDenied for nobody."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


class ReasonForm(forms.Form):
    """Why; it goes into the audit trail."""

    reason = forms.CharField(
        label=_("原因"),
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={"required": _("请填写原因，它会写入审计。")},
    )

    def first_error(self) -> str:
        """Return the first thing that is wrong, for a message."""
        return next((str(error) for errors in self.errors.values() for error in errors), "")


class RetryForm(ReasonForm):
    """From which node to run again, and whether only that one; 0 stands for all that failed."""

    node = forms.TypedChoiceField(label=_("从哪个节点"), coerce=int, required=False, empty_value=None)
    only = forms.BooleanField(label=_("只重跑这一个节点"), required=False)

    def __init__(self, nodes: list[tuple[int, str]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["node"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - narrows the type
        field.choices = [("", _("从失败处继续")), *nodes]


class ResolveForm(ReasonForm):
    """What a person found out about a step whose result is unknown."""

    done = forms.TypedChoiceField(
        label=_("实际结果"),
        choices=[("yes", _("确认已经做完")), ("no", _("确认没有做"))],
        coerce=lambda value: value == "yes",
        widget=forms.RadioSelect,
    )


class HaltForm(ReasonForm):
    """What to halt and for how long; offers only what the user may halt."""

    target = forms.ChoiceField(label=_("范围"))
    minutes = forms.TypedChoiceField(
        label=_("多久"),
        coerce=int,
        initial=60,
        choices=[
            (30, _("30 分钟")),
            (60, _("1 小时")),
            (240, _("4 小时")),
            (1440, _("24 小时")),
            (0, _("直到有人恢复")),
        ],
    )

    def __init__(self, user: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["target"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - narrows the type
        field.choices = _halt_targets(user)

    def scope_and_key(self) -> tuple[str, str]:
        """Return the switch's scope and key."""
        scope, _colon, key = str(self.cleaned_data["target"]).partition(":")
        return scope, key


def _halt_targets(user: Any) -> list[tuple[Any, Any]]:
    """Return what the user may halt, as the choices of a field."""
    scope = Switch.Scope
    businesses, packages = reach.haltable_by(user)
    everything: list[tuple[Any, Any]] = [(scope.ALL, _("全部自愈"))] if reach.operates_all(user) else []
    return [
        *everything,
        (_("业务"), [(f"{scope.BUSINESS}:{each.code}", each.name) for each in businesses]),
        (_("套餐"), [(f"{scope.PACKAGE}:{each.key}", each.name) for each in packages]),
    ]
