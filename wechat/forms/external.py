"""What other systems send to have people asked: the body of create_approve."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from approvals import messages, policies
from wechat.forms.values import SPLIT, web_address


def _as_text(value: Any) -> str:
    """Return a text or a number of JSON as text; "" for anything else, which the form then refuses by name."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


class ExternalForm(forms.Form):
    """The body of create_approve."""

    message = forms.CharField(
        max_length=messages.MOST,
        error_messages={"max_length": gettext_lazy("最多 %(limit_value)d 个字，收到 %(show_value)d 个")},
    )
    verifier = forms.CharField(max_length=2000)
    obj_id = forms.RegexField(regex=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}$")
    callback_url = forms.CharField(required=False, max_length=1024)

    @classmethod
    def of(cls, body: bytes) -> "ExternalForm":
        """Read a JSON body. Raises ValueError when it is no JSON object."""
        data = json.loads(body)
        json.dumps(data, ensure_ascii=False).encode()  # UnicodeEncodeError for half of a surrogate pair
        if not isinstance(data, Mapping):
            raise ValueError("The body is not a JSON object.")
        texts = {name: _as_text(data.get(name)) for name in cls.base_fields}
        verifier = data.get("verifier")
        if isinstance(verifier, list):
            names = [_as_text(name) for name in verifier]
            texts["verifier"] = ",".join(names) if all(names) else ""
        return cls(texts)

    def clean_callback_url(self) -> str:
        value = str(self.cleaned_data["callback_url"])
        if value:
            web_address(value)
        return value

    def clean_verifier(self) -> str:
        """Refuse a list in which nobody is known: the question would wait for an answer that cannot come."""
        value = str(self.cleaned_data["verifier"])
        names = _names(value)
        if not policies.verifiers(names):
            raise forms.ValidationError(_("没有这些人员：%(names)s") % {"names": "、".join(names)})
        return value

    def verifiers(self) -> list[str]:
        """Return the names in the list of approvers."""
        return _names(self.cleaned_data["verifier"])

    def why(self) -> str:
        """Return which fields are wrong, as the original's callers know it, and in words what is wrong with each."""
        names = "、".join(self.errors)
        reasons = "；".join(str(error).rstrip("。") for errors in self.errors.values() for error in errors)
        return _("字段【%(names)s】为空或不合法：%(reasons)s。") % {"names": names, "reasons": reasons}


def _names(listed: str) -> list[str]:
    return [name for name in SPLIT.split(listed) if name]
