"""Ready packages: what there is, and a package made of one."""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.validators import RegexValidator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from fta.config import editing
from fta.config.library import Ready, make, ready_packages
from fta.models import Business
from fta.web import choices
from fta.web.editing_rights import editors_only


class CopyForm(forms.Form):
    """Under which key, and for which of the user's businesses."""

    key = forms.CharField(
        label=gettext_lazy("标识"),
        max_length=64,
        validators=[RegexValidator(r"^[a-z0-9][a-z0-9_-]*\Z", gettext_lazy("只能用小写字母、数字、- 和 _"))],
    )
    business = forms.ChoiceField(label=gettext_lazy("业务"), required=False)

    def __init__(self, user: object, ready: Ready, data: object = None) -> None:
        super().__init__(data, auto_id=f"{ready.key}-%s", initial={"key": ready.key})  # type: ignore[arg-type]
        field = self.fields["business"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - narrows the type
        field.choices = choices.businesses(user)
        field.required = "" not in dict(field.choices)

    def owner(self) -> Business | None:
        """Return the business that was chosen; None is for all."""
        pk = self.cleaned_data["business"]
        return Business.objects.get(pk=pk) if pk else None


def _list(request: HttpRequest, posted: CopyForm | None = None, at: str = "") -> HttpResponse:
    listed = [
        (ready, posted if posted and key == at else CopyForm(request.user, ready))
        for key, ready in ready_packages().items()
    ]
    return render(request, "fta/library.html", {"listed": listed, "opened": at})


@login_required
@editors_only
@require_safe
def library(request: HttpRequest) -> HttpResponse:
    """List the ready packages."""
    return _list(request)


@login_required
@editors_only
@require_POST
def copy(request: HttpRequest, key: str) -> HttpResponse:
    """Make a package of a ready one and open it for editing."""
    ready = ready_packages().get(key)
    if ready is None:
        raise Http404
    form = CopyForm(request.user, ready, request.POST)
    if not form.is_valid():
        return _list(request, form, key)
    data = form.cleaned_data
    try:
        made = make(ready, data["key"], form.owner(), request.user.get_username(), timezone.now())
    except editing.InvalidEdit as error:
        for path, message in error.problems:
            form.add_error(path if path in form.fields else None, message)
        return _list(request, form, key)
    messages.success(request, _("已新建「%(name)s」，每次执行前先审批。请按需要修改参数。") % {"name": made.name})
    return redirect("web:package-edit", made.key)
