"""The JSON of rules, convergence rules and shields: the items of the configuration file, with lengths of time in seconds.

What callers send is read by the configuration file's own code, which takes `40m` for 2400 as well; these classes describe it.
"""

from typing import Any

from rest_framework import serializers

from fta.convergence.functions import FUNCTIONS
from fta.models import Business, ConvergenceRule, Mode, Rule, Shield

S = serializers
_SPAN = "Seconds; a text such as 30s, 5m or 1h is taken too."


class VerifySerializer(S.Serializer[Rule]):
    """Within what time an alert must resolve to count as healed, and how long it must stay so."""

    within = S.IntegerField(source="verify_within", required=False, default=600, help_text=_SPAN)
    stay = S.IntegerField(source="verify_stay", required=False, default=1800, help_text=_SPAN)


class RuleSerializer(S.Serializer[Rule]):
    """One rule."""

    id = S.IntegerField(source="pk", read_only=True)
    name = S.CharField(max_length=128)
    priority = S.IntegerField(required=False, default=100)
    enabled = S.BooleanField(required=False, default=True)
    match = S.JSONField(required=False, help_text="Conditions, as in the configuration file.")
    package = S.CharField(source="package.key", default=None, allow_null=True, help_text="Absent: alerts are recorded.")
    parameters = S.JSONField(required=False)
    timeout = S.IntegerField(required=False, default=2400, help_text=_SPAN)
    stale_after = S.IntegerField(required=False, allow_null=True, help_text=_SPAN)
    void_when_resolved = S.BooleanField(
        required=False,
        default=False,
        help_text="End what has not begun when the alert resolves, and void its approval.",
    )
    mode = S.ChoiceField(choices=Mode.choices, required=False, default=Mode.AUTO)
    approval_policy = S.CharField(required=False, allow_blank=True)
    notify = S.JSONField(required=False, help_text="mail_maintainers: false sends no mail about failures.")
    verify = VerifySerializer(source="*", required=False)
    updated_at = S.DateTimeField(read_only=True)


class ConvergenceRuleSerializer(S.Serializer[ConvergenceRule]):
    """One convergence rule."""

    id = S.IntegerField(source="pk", read_only=True)
    name = S.CharField(max_length=128)
    alert_types = S.ListField(child=S.CharField(), required=False)
    window = S.IntegerField(required=False, default=300, help_text=_SPAN)
    count = S.IntegerField(required=False, default=1)
    dimensions = S.JSONField(help_text='Names, or {"name": …, "values": […]}.')
    function = S.ChoiceField(choices=[(name, name) for name in sorted(FUNCTIONS)])
    priority = S.IntegerField(required=False, default=100)
    business = S.CharField(source="business.code", default=None, allow_null=True, help_text="Absent: every business.")
    blocked_by = S.SlugRelatedField(
        many=True,
        slug_field="code",
        queryset=Business.objects.all(),
        required=False,
        help_text="Codes of businesses that do without this global rule.",
    )
    enabled = S.BooleanField(required=False, default=True)
    remark = S.CharField(max_length=255)


class BlockSerializer(S.Serializer[Any]):
    """Whether a business does without a global convergence rule."""

    business = S.CharField(max_length=64, help_text="Its code.")
    blocked = S.BooleanField(required=False, default=True)


class ShieldSerializer(S.Serializer[Shield]):
    """One shield."""

    id = S.IntegerField(source="pk", read_only=True)
    name = S.CharField(max_length=128)
    match = S.JSONField(required=False, help_text="Conditions, as in the configuration file.")
    to = S.DateTimeField(source="ends_at")
    repeat = S.ChoiceField(choices=Shield.Repeat.choices, required=False, default=Shield.Repeat.ONCE)
    reason = S.CharField(max_length=255)
    author = S.CharField(read_only=True)
    enabled = S.BooleanField(required=False, default=True)

    def get_fields(self) -> dict[str, S.Field[Any, Any, Any, Any]]:
        """Add `from`, which Python cannot name as an attribute."""
        return {**super().get_fields(), "from": S.DateTimeField(source="starts_at")}
