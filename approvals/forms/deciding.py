"""Forms that validate what people say about approvals; they save nothing."""

from typing import Any, cast

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from approvals import selectors
from approvals.models import Approval, Decision
from fta.lib.types import User
from fta.models import Package, Person

MAX_COMMENT = 500
MAX_DIGITS = 18  # of an id, which the database keeps in 64 bits


class DecideForm(forms.Form):
    """One answer to one approval."""

    answer = forms.ChoiceField(choices=Decision.Answer.choices)
    comment = forms.CharField(
        label=_("意见（可空）"),
        max_length=MAX_COMMENT,
        required=False,
        widget=forms.TextInput(attrs={"placeholder": _("会写进审计和卡片")}),
    )
    seen = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)


class DecideManyForm(forms.Form):
    """One answer to several approvals: each is named with the plan that the page listed for it."""

    answer = forms.ChoiceField(choices=Decision.Answer.choices)
    comment = forms.CharField(max_length=MAX_COMMENT, required=False)
    picked = forms.CharField(required=False)

    def clean_picked(self) -> list[tuple[int, str]]:
        """Return (approval id, plan that was shown), each once; what is no id is left out."""
        named = dict.fromkeys(cast(QueryDict, self.data).getlist("picked"))
        pairs = (name.partition(":") for name in named)
        chosen = [(int(pk), sha256) for pk, _colon, sha256 in pairs if pk.isdecimal() and len(pk) <= MAX_DIGITS]
        if not chosen:
            raise forms.ValidationError(_("没有选中任何审批"))
        return chosen

    @property
    def chosen(self) -> list[tuple[int, str]]:
        """Return (approval id, plan that was shown)."""
        return list(self.cleaned_data["picked"])


class FilterForm(forms.Form):
    """The filters of the list."""

    tab = forms.CharField(required=False, widget=forms.HiddenInput)
    business = forms.ChoiceField(label=_("业务"), required=False)
    package = forms.ChoiceField(label=_("套餐"), required=False)
    risk = forms.ChoiceField(label=_("风险"), required=False, choices=[("", _("全部")), *Package.Risk.choices])
    kind = forms.ChoiceField(label=_("类型"), required=False, choices=[("", _("全部")), *Approval.Kind.choices])

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, rows in zip(("business", "package"), selectors.choices(user), strict=True):
            cast(forms.ChoiceField, self.fields[name]).choices = [("", _("全部")), *rows]

    @property
    def chosen(self) -> dict[str, str]:
        """Return the filters that were set and are valid."""
        return {name: value for name, value in self.cleaned_data.items() if value} if self.is_valid() else {}


class LeaveForm(forms.Form):
    """Who answers for me, and until when."""

    deputy = forms.ModelChoiceField(label=_("代理人"), queryset=Person.objects.none(), required=False)
    until = forms.DateTimeField(
        label=_("代理到"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )

    def __init__(self, *args: Any, person: Person, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = cast("forms.ModelChoiceField[Person]", self.fields["deputy"])
        field.queryset = Person.objects.active().exclude(pk=person.pk).exclude(wecom_userid="").select_related("user")
        field.empty_label = _("不代理")

    def clean(self) -> dict[str, Any]:
        """Ask for an end: a right that was lent must come back by itself."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if data.get("deputy") and not data.get("until"):
            self.add_error("until", _("填到什么时候为止"))
        return data
