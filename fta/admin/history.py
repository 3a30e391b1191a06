"""What happened, in the admin: to read. Acts belong to the portal's own pages, where each is guarded and audited."""

from django.contrib import admin

from fta.admin.base import HistoryAdmin, HistoryInline
from fta.models import (
    Alert,
    AlertEvent,
    AuditEntry,
    BacktestRun,
    ConfigVersion,
    Execution,
    ExecutionEvent,
    Heartbeat,
    HeldBack,
    Inbox,
    Incident,
    Member,
    Overflow,
    Reservation,
    StepAttempt,
    StepRun,
    Switch,
)


class AlertEventInline(HistoryInline):
    model = AlertEvent
    fields = ("status", "starts_at", "first_seen_at", "last_seen_at", "seen_count", "applied")


@admin.register(Alert)
class AlertAdmin(HistoryAdmin):
    list_display = ("id", "alert_type", "target", "severity", "status", "outcome", "business", "received_at")
    list_filter = ("status", "outcome", "severity", "source")
    list_select_related = ("business",)
    search_fields = ("alert_type", "target", "title")
    show_full_result_count = False
    inlines = (AlertEventInline,)


@admin.register(Inbox)
class InboxAdmin(HistoryAdmin):
    list_display = ("id", "source", "kind", "state", "received_at", "remote_ip", "error")
    list_filter = ("state", "kind")
    list_select_related = ("source",)
    show_full_result_count = False


class StepInline(HistoryInline):
    model = StepRun
    fields = ("node", "iteration", "type", "name", "state", "attempt", "started_at", "ended_at", "outcome")


class ExecutionEventInline(HistoryInline):
    model = ExecutionEvent
    fields = ("at", "kind", "text")


@admin.register(Execution)
class ExecutionAdmin(HistoryAdmin):
    list_display = ("id", "package", "host", "state", "mode", "business", "received_at", "ended_at")
    list_filter = ("state", "mode", "healed")
    list_select_related = ("package", "host", "business")
    search_fields = ("host__ip", "alert_type")
    show_full_result_count = False
    inlines = (StepInline, ExecutionEventInline)


class AttemptInline(HistoryInline):
    model = StepAttempt
    fields = ("number", "fence", "worker", "started_at", "ended_at", "state", "error")


@admin.register(StepRun)
class StepRunAdmin(HistoryAdmin):
    list_display = ("id", "execution", "node", "type", "state", "attempt", "started_at", "ended_at")
    list_filter = ("state", "type")
    list_select_related = ("execution",)
    show_full_result_count = False
    inlines = (AttemptInline,)


class MemberInline(HistoryInline):
    model = Member
    fields = ("execution", "ordinal", "received_at")
    show_change_link = False


@admin.register(Incident)
class IncidentAdmin(HistoryAdmin):
    list_display = ("id", "title", "rule", "function", "state", "execution_count", "opened_at", "closed_at")
    list_filter = ("state", "function")
    list_select_related = ("rule",)
    inlines = (MemberInline,)


@admin.register(AuditEntry)
class AuditEntryAdmin(HistoryAdmin):
    list_display = ("id", "at", "actor", "verb", "object_type", "object_id")
    list_filter = ("object_type",)
    search_fields = ("actor", "verb", "object_id")
    show_full_result_count = False


@admin.register(Switch)
class SwitchAdmin(HistoryAdmin):
    list_display = ("scope", "key", "reason", "until", "created_by", "created_at", "ended_by", "ended_at")
    list_filter = ("scope",)


@admin.register(HeldBack)
class HeldBackAdmin(HistoryAdmin):
    list_display = ("id", "switch", "execution", "at")
    list_select_related = ("switch", "execution")


@admin.register(Heartbeat)
class HeartbeatAdmin(HistoryAdmin):
    list_display = ("worker", "role", "started_at", "beat_at")


@admin.register(ConfigVersion)
class ConfigVersionAdmin(HistoryAdmin):
    list_display = ("kind", "number")


@admin.register(BacktestRun)
class BacktestRunAdmin(HistoryAdmin):
    list_display = ("id", "requested_by", "state", "done", "total", "created_at", "ended_at")
    list_filter = ("state",)
    list_select_related = ("requested_by",)


@admin.register(Overflow)
class OverflowAdmin(HistoryAdmin):
    list_display = ("id", "stage", "count", "began_at", "last_at", "told_at")
    list_filter = ("stage",)


@admin.register(Reservation)
class ReservationAdmin(HistoryAdmin):
    """Spares that executions have taken; the list of hosts has the action that gives one back."""

    list_display = ("host", "execution", "at")
    list_select_related = ("host", "execution")
