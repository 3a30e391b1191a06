"""Notification in the Django admin: to read; it is changed on its own pages, which keep the audit."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from notify.models import Channel, Delivery, DeliveryApproval, DeliveryAttempt, NotificationRule, Template


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """Nothing is added, changed or deleted here."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Channel)
class ChannelAdmin(ReadOnly):
    list_display = ("name", "kind", "enabled", "archived", "last_ok_at", "last_error")
    list_filter = ("kind", "enabled", "archived")
    exclude = ("config",)  # it holds secrets


@admin.register(NotificationRule)
class NotificationRuleAdmin(ReadOnly):
    list_display = ("name", "events", "enabled", "archived")


@admin.register(Template)
class TemplateAdmin(ReadOnly):
    list_display = ("name", "event", "channel_kind", "archived")


class ReadOnlyInline(admin.TabularInline):  # type: ignore[type-arg]
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AttemptInline(ReadOnlyInline):
    model = DeliveryAttempt


class ApprovalInline(ReadOnlyInline):
    model = DeliveryApproval


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly):
    list_display = ("id", "event", "kind", "channel", "state", "attempts", "created_at", "last_code")
    list_filter = ("state", "kind")
    list_select_related = ("channel",)
    raw_id_fields = ("alert", "execution")
    inlines = (ApprovalInline, AttemptInline)
