"""Approvals as JSON (the shape is promised in the API's documentation)."""

from typing import Any

from rest_framework import serializers

from approvals.models import Approval, Decision


class ApprovalSerializer(serializers.Serializer[Approval]):
    """One approval."""

    id = serializers.IntegerField(source="pk")
    code = serializers.CharField()
    state = serializers.ChoiceField(choices=Approval.State.choices)
    execution = serializers.IntegerField(source="execution_id", allow_null=True)
    incident = serializers.IntegerField(source="incident_id", allow_null=True)
    kind = serializers.ChoiceField(choices=Approval.Kind.choices)
    round = serializers.IntegerField()
    stage = serializers.IntegerField()
    message = serializers.CharField()
    approvers = serializers.SerializerMethodField()
    quorum = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    plan_sha256 = serializers.CharField()
    decided_by = serializers.SerializerMethodField()
    decided_at = serializers.DateTimeField(allow_null=True)
    decision = serializers.SerializerMethodField()
    comment = serializers.CharField()
    channel = serializers.CharField()

    def get_approvers(self, approval: Approval) -> list[str]:
        """Return the usernames of those whose turn it is."""
        return [seat.user.get_username() for seat in approval.asked.all() if seat.stage == approval.stage]

    def get_decided_by(self, approval: Approval) -> str | None:
        """Return the username of whoever decided."""
        return approval.decided_by.get_username() if approval.decided_by else None

    def get_decision(self, approval: Approval) -> str | None:
        """Return the answer that decided it."""
        if approval.decided_by_id is None:
            return None
        answers = [row.answer for row in approval.decisions.all() if row.user_id == approval.decided_by_id]
        return answers[-1] if answers else None


class DecideSerializer(serializers.Serializer[Any]):
    """An answer. `plan_sha256` is the plan that the caller decided on; give it, and a changed plan is not approved."""

    decision = serializers.ChoiceField(choices=Decision.Answer.choices)
    comment = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")
    plan_sha256 = serializers.CharField(required=False, max_length=64, default=None, allow_null=True)
