"""Approvals in the Django admin: lists to read; policies, groups and duty lists to keep."""

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from approvals.models import Approval, ApprovalAdmin, ApproverGroup, Asked, Decision, Policy
from fta import audit


class AuditedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Every change of who may say yes is audited."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        verb = f"{obj._meta.model_name}.{'change' if change else 'add'}"
        audit.record(request.user.get_username(), verb, obj, changed=form.changed_data)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        audit.record(request.user.get_username(), f"{obj._meta.model_name}.delete", obj, name=str(obj))
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        with transaction.atomic():
            for obj in queryset:
                self.delete_model(request, obj)


@admin.register(Policy)
class PolicyAdmin(AuditedAdmin):
    list_display = ("name", "expires_after", "on_expiry", "exclude_requester", "archived")
    search_fields = ("name",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # old approvals stand on it; it is archived


@admin.register(ApproverGroup)
class ApproverGroupAdmin(AuditedAdmin):
    list_display = ("name",)
    filter_horizontal = ("people",)


@admin.register(ApprovalAdmin)
class ApprovalAdminAdmin(AuditedAdmin):
    list_display = ("person",)


class ReadOnlyInline(admin.TabularInline):  # type: ignore[type-arg]
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AskedInline(ReadOnlyInline):
    model = Asked
    verbose_name_plural = _("请了谁")


class DecisionInline(ReadOnlyInline):
    model = Decision


@admin.register(Approval)
class ApprovalModelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("code", "round", "kind", "state", "message", "expires_at", "decided_by")
    list_filter = ("state", "kind")
    search_fields = ("code", "message")
    list_select_related = ("decided_by",)
    inlines = (AskedInline, DecisionInline)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # decide is the only door

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
