"""Rules, shields, convergence rules, packages and alert sources in the admin."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.admin.base import AuditedAdmin, HistoryAdmin, HistoryInline, secret_field
from fta.config import editing
from fta.config.sources import SHORTEST_SECRET, folded, source_faults
from fta.lib.secrets import digest
from fta.models import ConvergenceRule, Package, PackageVersion, Rule, Shield, Source

ROTATION = timedelta(hours=24)  # how long the secret before the newest one is still taken


class EditedForm(forms.ModelForm):  # type: ignore[type-arg]
    """A row whose values must make sense together, by the same checks as on the portal's own pages."""

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if not self.errors:
            for path, message in editing.problems_of(self._meta.model, data):
                name = path.partition(".")[0].partition("[")[0]
                self.add_error(name if name in self.fields else None, f"{path}: {message}")
        return data


class EditedAdmin(AuditedAdmin):
    """A row that compiled copies in memory are made of: a change is audited and makes every process read it anew."""

    def note(self, request: HttpRequest, obj: Any, verb: str, form: Any) -> None:
        changes = {name: [str(form.initial.get(name)), str(form.cleaned_data.get(name))] for name in form.changed_data}
        editing.noted(obj, request.user.get_username(), verb, timezone.now(), changes=changes)


@admin.register(Rule)
class RuleAdmin(EditedAdmin):
    form = EditedForm
    list_display = ("name", "priority", "enabled", "package", "mode", "archived")
    list_filter = ("enabled", "archived", "mode")
    list_select_related = ("package",)
    search_fields = ("name",)


@admin.register(Shield)
class ShieldAdmin(EditedAdmin):
    form = EditedForm
    list_display = ("name", "starts_at", "ends_at", "repeat", "enabled", "author", "archived")
    list_filter = ("enabled", "archived", "repeat")
    search_fields = ("name", "reason")
    readonly_fields = ("author",)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.author = obj.author or request.user.get_username()
        super().save_model(request, obj, form, change)


@admin.register(ConvergenceRule)
class ConvergenceRuleAdmin(EditedAdmin):
    form = EditedForm
    list_display = ("name", "priority", "function", "window", "count", "business", "enabled", "archived")
    list_filter = ("enabled", "archived", "function")
    list_select_related = ("business",)
    filter_horizontal = ("blocked_by",)
    search_fields = ("name", "remark")


class VersionInline(HistoryInline):
    model = PackageVersion
    fk_name = "package"
    fields = ("number", "author", "note", "created_at")


@admin.register(Package)
class PackageAdmin(EditedAdmin):
    """Nodes and parameters are edited on the portal's own page, where each save is a checked version; so is the mode, by steps."""

    list_display = ("key", "name", "business", "risk", "mode", "current", "archived")
    list_filter = ("risk", "mode", "archived")
    list_select_related = ("business", "current")
    search_fields = ("key", "name")
    readonly_fields = ("mode", "current", "failures_in_a_row")
    inlines = (VersionInline,)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "key") if obj else self.readonly_fields


@admin.register(PackageVersion)
class PackageVersionAdmin(HistoryAdmin):
    list_display = ("package", "number", "author", "note", "created_at")
    list_select_related = ("package",)
    search_fields = ("package__key",)
    exclude = ("secrets",)


class SourceForm(forms.ModelForm):  # type: ignore[type-arg]
    """A source; its secret is kept as a digest, so it can be replaced and not shown."""

    secret = secret_field(gettext_lazy("新密钥"), gettext_lazy("至少 16 个字符；留空为不改。原来的密钥再用 24 小时。"))

    class Meta:
        model = Source
        fields = (
            "name",
            "kind",
            "app_id",
            "business",
            "time_zone",
            "cidrs",
            "relay_to",
            "options",
            "enabled",
            "archived",
        )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        for field, text in source_faults(values).items():
            if field not in self.errors:
                self.add_error(field, text)
        empty = {name: values.get(name) or [] for name in ("cidrs", "relay_to")}  # an empty field is read as null
        return {**values, **empty, "options": folded(values.get("options") or {})}

    def clean_secret(self) -> str:
        secret = str(self.cleaned_data["secret"])
        if secret and len(secret) < SHORTEST_SECRET:
            raise forms.ValidationError(_("密钥至少 %(n)d 个字符") % {"n": SHORTEST_SECRET})
        return secret


@admin.register(Source)
class SourceAdmin(AuditedAdmin):
    form = SourceForm
    list_display = ("name", "kind", "app_id", "business", "enabled", "archived")
    list_filter = ("kind", "enabled", "archived")
    list_select_related = ("business",)
    search_fields = ("name", "app_id")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if secret := form.cleaned_data["secret"]:
            if obj.secret_digest:
                obj.previous_digest, obj.previous_until = obj.secret_digest, timezone.now() + ROTATION
            obj.secret_digest = digest(secret)
        super().save_model(request, obj, form, change)
