"""What the portal's admin pages share: every change is audited, history is read only."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from fta import audit


class AuditedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A kind of row that may be made and changed here; it is archived, not deleted, for history stands on it."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        self.note(request, obj, "change" if change else "add", form)

    def note(self, request: HttpRequest, obj: Any, verb: str, form: Any) -> None:
        """Audit a change: the names of its fields only, as some are secrets."""
        name = f"{obj._meta.model_name}.{verb}"
        audit.record(request.user.get_username(), name, obj, name=str(obj), changed=form.changed_data)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class HistoryAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A kind of row that only the portal itself writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class HistoryInline(admin.TabularInline):  # type: ignore[type-arg]
    """Rows of history below the row that they belong to."""

    extra = 0
    can_delete = False
    show_change_link = True

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return tuple(str(name) for name in self.fields or ())

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def secret_field(label: Any, help_text: Any) -> forms.CharField:
    """Return a field for a secret: never shown, empty keeps what there is."""
    return forms.CharField(
        label=label,
        help_text=help_text,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
