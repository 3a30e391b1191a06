"""What a list may be narrowed by: plain GET forms that turn into conditions. A value that makes no sense narrows nothing."""

from typing import Any

from django import forms
from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from fta.models import Alert, Business, Execution, Incident, Package, Source
from fta.models.scope import in_scope
from fta.templatetags.audit_words import verbs_like

ANY = ("", _("全部"))
READERS = ("operator", "approver", "viewer")


class FilterForm(forms.Form):
    """A GET form whose cleaned values become one condition, by the lookups of LOOKUPS."""

    LOOKUPS: dict[str, str] = {}

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request.GET, auto_id="f-by-%s")
        self.user = request.user
        self.prepare()

    def prepare(self) -> None:
        """Fill choices that depend on the user."""

    def condition(self) -> Q:
        """Return what the rows must meet."""
        self.full_clean()
        found = Q()
        for name, lookup in self.LOOKUPS.items():
            value = self.cleaned_data.get(name)
            if value not in (None, ""):
                found &= Q(**{lookup: value})
        return found & self.search(str(self.cleaned_data.get("q") or "").strip())

    def search(self, text: str) -> Q:
        """Return the condition of the free text."""
        return Q()

    def businesses(self) -> None:
        """Offer the user's own businesses."""
        rows = Business.objects.filter(in_scope(self.user, "pk", *READERS), archived=False)
        self._offer("business", [(row.pk, row.name) for row in rows[:200]])

    def _offer(self, name: str, choices: Any) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - narrows the type
        field.choices = [ANY, *choices]


class AlertFilter(FilterForm):
    """Alerts by business, severity, source, outcome, incident and free text."""

    LOOKUPS = {
        "business": "business",
        "severity": "severity",
        "source": "source",
        "outcome": "outcome",
    }

    view = forms.CharField(required=False, widget=forms.HiddenInput)
    incident = forms.IntegerField(required=False, widget=forms.HiddenInput)
    business = forms.ChoiceField(label=_("业务"), required=False)
    severity = forms.ChoiceField(label=_("级别"), required=False, choices=[ANY, *Alert.Severity.choices[:4]])
    source = forms.ChoiceField(label=_("来源"), required=False)
    outcome = forms.ChoiceField(label=_("去向"), required=False, choices=[ANY, *Alert.Outcome.choices])
    q = forms.CharField(label=_("IP、类型、标题"), required=False, max_length=200)

    def prepare(self) -> None:
        self.businesses()
        rows = Source.objects.filter(in_scope(self.user, "business", *READERS), archived=False)
        self._offer("source", [(row.pk, row.name) for row in rows[:200]])

    def condition(self) -> Q:
        found = super().condition()
        incident = self.cleaned_data.get("incident")
        if incident:
            found &= Q(pk__in=Execution.objects.filter(memberships__incident=incident).values("alert"))
        return found

    def search(self, text: str) -> Q:
        if not text:
            return Q()
        return (
            Q(target__icontains=text)
            | Q(alert_type__icontains=text)
            | Q(title__icontains=text)
            | Q(host__name__icontains=text)
            | Q(host__ip=text)
        )


class ExecutionFilter(FilterForm):
    """Executions by state, business, package and free text."""

    LOOKUPS = {"state": "state", "business": "business", "package": "package", "healed": "healed"}

    state = forms.ChoiceField(label=_("状态"), required=False, choices=[ANY, *Execution.State.choices])
    business = forms.ChoiceField(label=_("业务"), required=False)
    package = forms.ChoiceField(label=_("套餐"), required=False)
    healed = forms.ChoiceField(label=_("自愈判定"), required=False, choices=[ANY, *Execution.Healed.choices[1:]])
    q = forms.CharField(label=_("IP、主机、类型"), required=False, max_length=200)

    def prepare(self) -> None:
        self.businesses()
        rows = Package.objects.visible_to(self.user).filter(archived=False)
        self._offer("package", [(row.pk, row.name) for row in rows[:200]])

    def search(self, text: str) -> Q:
        if not text:
            return Q()
        return Q(host__ip=text) | Q(host__name__icontains=text) | Q(alert_type__icontains=text)


class IncidentFilter(FilterForm):
    """Incidents by state and business."""

    LOOKUPS = {"state": "state", "business": "business"}

    state = forms.ChoiceField(label=_("状态"), required=False, choices=[ANY, *Incident.State.choices])
    business = forms.ChoiceField(label=_("业务"), required=False)

    def prepare(self) -> None:
        self.businesses()


class HostFilter(FilterForm):
    """Hosts by business and free text."""

    LOOKUPS = {"business": "business"}

    business = forms.ChoiceField(label=_("业务"), required=False)
    q = forms.CharField(label=_("IP、名称、集群、模块"), required=False, max_length=128)

    def prepare(self) -> None:
        self.businesses()

    def search(self, text: str) -> Q:
        if not text:
            return Q()
        fields = ("ip__startswith", "name__icontains", "set_name__icontains", "module__icontains")
        found = Q()
        for field in fields:
            found |= Q(**{field: text})
        return found


class AuditFilter(FilterForm):
    """Audit entries by actor, verb and object."""

    LOOKUPS = {"actor": "actor", "object_type": "object_type", "object_id": "object_id"}

    actor = forms.CharField(label=_("谁"), required=False, max_length=150)
    verb = forms.CharField(label=_("动作"), required=False, max_length=64)
    object_type = forms.CharField(label=_("对象类型"), required=False, max_length=64)
    object_id = forms.CharField(label=_("对象"), required=False, max_length=64)

    def condition(self) -> Q:
        found = super().condition()
        verb = str(self.cleaned_data.get("verb") or "").strip()
        return found & (Q(verb__startswith=verb) | Q(verb__in=verbs_like(verb))) if verb else found
