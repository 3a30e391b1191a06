"""Users and groups, which hold passwords and roles: Django's own pages, with every change of them audited."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from fta import audit


class Audited(admin.ModelAdmin):  # type: ignore[type-arg]
    """Tells the audit trail what Django's own log is told, by whichever page or action it was done."""

    def log_addition(self, request: HttpRequest, object: Any, message: Any) -> Any:
        self._note(request, "add", object, message)
        return super().log_addition(request, object, message)

    def log_change(self, request: HttpRequest, object: Any, message: Any) -> Any:
        self._note(request, "change", object, message)
        return super().log_change(request, object, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for row in queryset:
            self._note(request, "delete", row, [])
        return super().log_deletions(request, queryset)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with transaction.atomic():  # a deletion and its entry stand or fall together
            return super().changelist_view(request, *args, **kwargs)

    def _note(self, request: HttpRequest, deed: str, row: Any, changes: Any) -> None:
        verb = f"{row._meta.model_name}.{deed}"
        audit.record(request.user.get_username(), verb, row, name=str(row), changes=changes, **self.facts(row))

    def facts(self, row: Any) -> dict[str, Any]:
        """Return what the row says about rights."""
        return {"permissions": sorted(row.permissions.values_list("codename", flat=True))}


class AuditedUserAdmin(Audited, UserAdmin):  # type: ignore[type-arg]
    """A user with roles; a password is changed and never told."""

    def user_change_password(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with transaction.atomic():
            return super().user_change_password(request, *args, **kwargs)

    def facts(self, row: User) -> dict[str, Any]:
        flags = {name: getattr(row, name) for name in ("is_active", "is_staff", "is_superuser")}
        own = sorted(row.user_permissions.values_list("codename", flat=True))
        return flags | {"groups": sorted(row.groups.values_list("name", flat=True)), "permissions": own}


class AuditedGroupAdmin(Audited, GroupAdmin):
    """A group is a role."""


for model, pages in ((User, AuditedUserAdmin), (Group, AuditedGroupAdmin)):
    admin.site.unregister(model)
    admin.site.register(model, pages)
