"""The forms of a message template and of its preview."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from notify import transports
from notify.messages import EVENTS
from notify.models import Template
from notify.templates import SIZE_LIMIT, BadTemplate, check

FORMS = [
    ("text", _("文本")),
    ("markdown", _("Markdown")),
    ("markdown_v2", _("Markdown v2")),
    ("textcard", _("文本卡片")),
    ("news", _("图文")),
    ("template_card", _("模板卡片")),
]


class TemplateForm(forms.Form):
    """A template for an event, or for any; it can render, but may still ask for what an alert does not have."""

    name = forms.CharField(label=_("名称"), max_length=64)
    event = forms.ChoiceField(
        label=_("事件"),
        required=False,
        choices=[("", _("由规则指定")), *EVENTS.items()],
        help_text=_("选了事件，这个事件的消息都用它，不必在规则里指定。"),
    )
    channel_kind = forms.ChoiceField(
        label=_("通知服务类型"), required=False, choices=lambda: [("", _("全部类型")), *transports.choices()]
    )
    body = forms.CharField(
        label=_("正文"),
        max_length=SIZE_LIMIT,
        widget=forms.Textarea(attrs={"rows": 12, "spellcheck": "false"}),
        help_text=_("第一行是标题。Jinja 写法，只有取值、if、for 和少数过滤器。"),
    )

    def __init__(self, data: Any = None, template: Template | None = None, initial: Any = None) -> None:
        names = ("name", "event", "channel_kind", "body")
        kept = {name: getattr(template, name) for name in names} if template else {}
        super().__init__(data, initial=kept or initial)

    def clean_body(self) -> str:
        body = str(self.cleaned_data["body"])
        try:
            check(body)
        except BadTemplate as error:
            raise forms.ValidationError(str(error)) from error
        return body

    @property
    def values(self) -> dict[str, Any]:
        """Return what to save."""
        return dict(self.cleaned_data)


class PreviewForm(forms.Form):
    """What to preview: the text in the editor (without one the shipped text), on which alert (the newest), in which form."""

    event = forms.ChoiceField(required=False, choices=[("", ""), *EVENTS.items()])
    channel_kind = forms.ChoiceField(required=False, choices=lambda: [("", ""), *transports.choices()])
    body = forms.CharField(max_length=SIZE_LIMIT, required=False)
    alert = forms.IntegerField(required=False, min_value=1, max_value=2**53)
    form = forms.ChoiceField(required=False, choices=[("", ""), *FORMS])
