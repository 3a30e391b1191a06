"""Show what the service refused: beside the field that it is about, or above the list in which it was asked for."""

from django import forms
from django.contrib import messages
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from fta.config import editing
from fta.config.editing import InvalidEdit
from fta.models import ConvergenceRule, Rule


def show_problems(form: forms.Form, error: InvalidEdit) -> None:
    """Add every problem of a refused edit to the form."""
    for path, message in error.problems:
        name = path.partition(".")[0].partition("[")[0]
        form.add_error(name if name in form.fields else None, message)


def switch(request: HttpRequest, rule: Rule | ConvergenceRule) -> None:
    """Take a rule into use or out of it, as the button of its list asks."""
    try:
        editing.enable(rule, request.POST.get("on") == "1", request.user.get_username(), timezone.now())
    except InvalidEdit as error:
        messages.error(request, _("「%(name)s」不能启用，请先编辑：%(error)s") % {"name": rule.name, "error": error})
