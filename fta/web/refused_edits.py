"""Put what the service refused beside the field that it is about."""

from django import forms

from fta.config.editing import InvalidEdit


def show_problems(form: forms.Form, error: InvalidEdit) -> None:
    """Add every problem of a refused edit to the form."""
    for path, message in error.problems:
        name = path.partition(".")[0].partition("[")[0]
        form.add_error(name if name in form.fields else None, message)
