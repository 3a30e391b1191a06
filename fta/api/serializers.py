"""The JSON of the healing domain; the shapes are promised in the API's documentation."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from fta.healing.preview import rendered
from fta.models import (
    Alert,
    AuditEntry,
    Business,
    Duty,
    Execution,
    Host,
    Incident,
    Mode,
    Package,
    PackageVersion,
    StepRun,
    Switch,
)

S = serializers


class AlertSerializer(S.Serializer[Alert]):
    """One firing episode."""

    id = S.IntegerField(source="pk")
    source = S.CharField(source="source.name")  # type: ignore[assignment]
    alert_type = S.CharField()
    severity = S.CharField()
    status = S.CharField()
    target = S.CharField()
    business = S.CharField(source="business.code", default=None, allow_null=True)
    host = S.CharField(source="host.ip", default=None, allow_null=True)
    title = S.CharField()
    content = S.CharField()
    labels = S.JSONField()
    context = S.JSONField(allow_null=True)  # type: ignore[assignment]
    external_id = S.CharField()
    fingerprint = S.CharField()
    starts_at = S.DateTimeField(allow_null=True)
    received_at = S.DateTimeField()
    last_seen_at = S.DateTimeField()
    resolved_at = S.DateTimeField(allow_null=True)
    repeat_count = S.IntegerField()
    outcome = S.CharField()
    outcome_detail = S.CharField()
    execution = S.SerializerMethodField()

    def get_execution(self, alert: Alert) -> int | None:
        """Return the id of the newest execution."""
        return max((run.pk for run in alert.executions.all()), default=None)


class StepSerializer(S.Serializer[StepRun]):
    """One node being run."""

    id = S.IntegerField(source="pk")
    node = S.IntegerField()
    name = S.CharField()
    type = S.CharField()
    state = S.CharField()
    outcome = S.CharField()
    attempt = S.IntegerField()
    started_at = S.DateTimeField(allow_null=True)
    ended_at = S.DateTimeField(allow_null=True)
    output = S.CharField()
    error = S.CharField()
    result = S.JSONField()
    worker = S.CharField()
    idem_key = S.UUIDField()


class ExecutionApprovalSerializer(S.Serializer[Any]):
    """One approval of an execution, as approvals/<id>/ has it.

    The approvals' floor lies above this one: its rows are read through the relation that it made.
    """

    id = S.IntegerField(source="pk")
    code = S.CharField()
    state = S.CharField()
    execution = S.IntegerField(source="execution_id")
    incident = S.IntegerField(source="incident_id", allow_null=True)
    kind = S.CharField()
    round = S.IntegerField()
    message = S.CharField()
    approvers = S.SerializerMethodField()
    quorum = S.IntegerField()
    expires_at = S.DateTimeField()
    plan_sha256 = S.CharField()
    decided_by = S.CharField(source="decided_by.username", default=None, allow_null=True)
    decided_at = S.DateTimeField(allow_null=True)
    decision = S.SerializerMethodField()
    comment = S.CharField()
    channel = S.CharField()

    def get_approvers(self, approval: Any) -> list[str]:
        """Return the usernames of those whose turn it is."""
        return [seat.user.get_username() for seat in approval.asked.all() if seat.stage == approval.stage]

    def get_decision(self, approval: Any) -> str | None:
        """Return the answer that decided it."""
        if approval.decided_by_id is None:
            return None
        answers = [row.answer for row in approval.decisions.all() if row.user_id == approval.decided_by_id]
        return answers[-1] if answers else None


class ExecutionSerializer(S.Serializer[Execution]):
    """One run of a package version for one alert."""

    id = S.IntegerField(source="pk")
    alert = S.IntegerField(source="alert_id", allow_null=True)
    rule = S.CharField(source="rule.name", default=None, allow_null=True)
    package = S.CharField(source="package.key", default=None, allow_null=True)
    version = S.IntegerField(source="version.number", default=None, allow_null=True)
    business = S.CharField(source="business.code", default=None, allow_null=True)
    host = S.CharField(source="host.ip", default=None, allow_null=True)
    state = S.CharField()
    mode = S.CharField()
    plan_sha256 = S.CharField()
    needs_approval = S.BooleanField()
    incident = S.IntegerField(source="incident_id", allow_null=True)
    verdict = S.CharField()
    verdict_rule = S.CharField(source="verdict_rule.name", default=None, allow_null=True)
    received_at = S.DateTimeField()
    deadline_at = S.DateTimeField()
    started_at = S.DateTimeField(allow_null=True)
    ended_at = S.DateTimeField(allow_null=True)
    healed = S.CharField()
    reason = S.CharField()
    steps = StepSerializer(many=True, source="steps.all")
    approvals = ExecutionApprovalSerializer(many=True, source="approvals.all")


class CheckSerializer(S.Serializer[Any]):
    """One condition of running at once: approval, budget, host, switch, plan."""

    name = S.CharField()
    ok = S.BooleanField()
    text = S.CharField()


class PlanSerializer(S.Serializer[Execution]):
    """What a run by hand would do, and what would stand in its way."""

    id = S.IntegerField(source="pk")
    plan = S.JSONField()
    plan_sha256 = S.CharField()
    nodes = S.SerializerMethodField(help_text="The nodes with their parameters rendered.")
    checks = S.SerializerMethodField()

    def get_nodes(self, execution: Execution) -> list[dict[str, Any]]:
        """Return the nodes as they would be carried out."""
        return rendered(execution)

    @extend_schema_field(CheckSerializer(many=True))
    def get_checks(self, execution: Execution) -> list[dict[str, Any]]:
        """Return what each condition says."""
        lines = execution.history.filter(kind__startswith="check.").order_by("pk")
        return [{"name": line.kind[6:], "ok": line.data["ok"], "text": line.text} for line in lines]


class IncidentSerializer(S.Serializer[Incident]):
    """One storm."""

    id = S.IntegerField(source="pk")
    rule = S.CharField(source="rule.name")
    function = S.CharField()
    business = S.CharField(source="business.code", default=None, allow_null=True)
    state = S.CharField()
    title = S.CharField()
    dimensions = S.JSONField()
    execution_count = S.IntegerField()
    visible = S.BooleanField()
    opened_at = S.DateTimeField()
    last_joined_at = S.DateTimeField()
    closed_at = S.DateTimeField(allow_null=True)
    findings = S.JSONField()


class PackageSerializer(S.Serializer[Package]):
    """One package with its current version; made and changed in the shape that it has in the configuration file."""

    key = S.CharField(max_length=64)
    name = S.CharField(max_length=128, required=False)
    business = S.CharField(source="business.code", default=None, allow_null=True, help_text="Absent: every business.")
    description = S.CharField(required=False, allow_blank=True)
    risk = S.ChoiceField(choices=Package.Risk.choices, required=False, default=Package.Risk.MEDIUM)
    mode = S.ChoiceField(
        choices=Mode.choices,
        required=False,
        default=Mode.APPROVAL,
        help_text="Of a new package; that of a stored one is set by packages/<key>/mode/, with a reason.",
    )
    budget = S.JSONField(required=False)
    parameters = S.JSONField(source="current.parameters", default=None)
    nodes = S.JSONField(source="current.nodes", default=None)
    note = S.CharField(write_only=True, required=False, max_length=255, help_text="What this version changes.")
    version = S.IntegerField(source="current.number", default=None, allow_null=True, read_only=True)
    failures_in_a_row = S.IntegerField(read_only=True)
    updated_at = S.DateTimeField(read_only=True)


class VersionSerializer(S.Serializer[PackageVersion]):
    """One saved state of a package."""

    number = S.IntegerField()
    sha256 = S.CharField()
    author = S.CharField()
    note = S.CharField()
    created_at = S.DateTimeField()
    parameters = S.JSONField()
    nodes = S.JSONField()


class DutySerializer(S.Serializer[Duty]):
    """A duty list: who takes turns, and who is on duty now (a username, or null)."""

    name = S.CharField()
    rotation = S.ChoiceField(choices=Duty.Rotation.choices)
    people = S.ListField(child=S.CharField())
    handover = S.CharField()
    overrides = S.JSONField()
    holidays = S.JSONField()
    holiday_people = S.ListField(child=S.CharField())
    on_now = S.SerializerMethodField()

    def get_on_now(self, duty: Duty) -> str | None:
        """Return whose turn it is."""
        return duty.on_duty(timezone.now()) or None


class HostSerializer(S.Serializer[Host]):
    """One host of the inventory."""

    id = S.IntegerField(source="pk")
    ip = S.CharField()
    name = S.CharField()
    business = S.CharField(source="business.code", default=None, allow_null=True)
    set = S.CharField(source="set_name")
    module = S.CharField()
    operators = S.SerializerMethodField()
    attributes = S.JSONField()
    spare = S.BooleanField(source="is_spare")
    connection = S.CharField()

    def get_operators(self, host: Host) -> list[str]:
        """Return the usernames of the host's operators."""
        return [person.user.get_username() for person in host.operators.all()]


class ConnectionSaidSerializer(S.Serializer[Host]):
    """How scripts reach a host; for admins to set."""

    kind = S.ChoiceField(choices=["ssh", "local"])
    user = S.CharField(required=False, max_length=64)
    port = S.IntegerField(required=False, default=22, min_value=1, max_value=65535)
    host_key = S.CharField(required=False, help_text="One line of ssh-keyscan.")
    credential = S.CharField(required=False, help_text="The name of a credential.")


class HostSaidSerializer(S.Serializer[Host]):
    """One host, as the configuration file has it."""

    ip = S.IPAddressField(help_text="For good; PUT and PATCH may leave it out.")
    name = S.CharField(required=False, allow_blank=True, max_length=128)
    business = S.CharField(required=False, help_text="Its code; only admins may leave it out.")
    set = S.CharField(required=False, allow_blank=True, max_length=128)
    module = S.CharField(required=False, allow_blank=True, max_length=128)
    operators = S.ListField(child=S.CharField(), required=False, help_text="Usernames.")
    attributes = S.JSONField(required=False)
    spare = S.BooleanField(required=False, default=False)
    connection = ConnectionSaidSerializer(required=False)


class BusinessSerializer(S.Serializer[Business]):
    """One business."""

    code = S.CharField()
    name = S.CharField()
    maintainers = S.SerializerMethodField()

    def get_maintainers(self, business: Business) -> list[str]:
        """Return the usernames of the maintainers."""
        return [person.user.get_username() for person in business.maintainers.all()]


class AuditSerializer(S.Serializer[AuditEntry]):
    """One entry of the audit trail."""

    id = S.IntegerField(source="pk")
    at = S.DateTimeField()
    actor = S.CharField()
    verb = S.CharField()
    object_type = S.CharField()
    object_id = S.CharField()
    data = S.JSONField()  # type: ignore[assignment]
    row_hash = S.CharField()
    previous_hash = S.CharField()


class SwitchSerializer(S.Serializer[Switch]):
    """One kill switch."""

    id = S.IntegerField(source="pk")
    scope = S.CharField()
    key = S.CharField()
    reason = S.CharField()
    until = S.DateTimeField(allow_null=True)
    created_by = S.CharField()
    created_at = S.DateTimeField()
    ended_by = S.CharField()
    ended_at = S.DateTimeField(allow_null=True)
    held_back = S.IntegerField(source="held_back.count", help_text="executions/?switch=<id> lists them")


class SwitchesSerializer(S.Serializer[Any]):
    """All kill switches in force that concern the key, in the form of a page."""

    count = S.IntegerField()
    next = S.URLField(allow_null=True)
    previous = S.URLField(allow_null=True)
    results = SwitchSerializer(many=True)


class ResumedSerializer(S.Serializer[Any]):
    """The switches that were ended."""

    ended = S.ListField(child=S.IntegerField())


class PeriodSerializer(S.Serializer[Any]):
    """How far back figures go."""

    days = S.IntegerField(required=False, default=7, min_value=1, max_value=365)


class StatsSerializer(S.Serializer[Any]):
    """Figures of a period: alerts in, merged away by convergence, verified as healed."""

    days = S.IntegerField()
    alerts = S.IntegerField()
    converged = S.IntegerField()
    healed = S.IntegerField()
    executions = S.DictField(child=S.IntegerField(), help_text="By state.")
    judged = S.DictField(child=S.IntegerField(), help_text="By what verification says.")
