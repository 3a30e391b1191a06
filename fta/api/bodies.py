"""What callers of the healing verbs send."""

from typing import Any

from rest_framework import serializers

from fta.models import Mode, Switch

S = serializers


class HaltSerializer(S.Serializer[Any]):
    """Stop healing: everything, a business or a package, for some minutes (absent: until it is resumed)."""

    scope = S.ChoiceField(choices=Switch.Scope.choices)
    key = S.CharField(required=False, allow_blank=True, default="", max_length=100)
    reason = S.CharField(max_length=500)
    minutes = S.IntegerField(required=False, allow_null=True, default=None, min_value=1, max_value=43200)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["scope"] != Switch.Scope.ALL and not attrs["key"]:
            raise serializers.ValidationError({"key": ["Name the business or the package."]})
        return attrs


class ResumeSerializer(S.Serializer[Any]):
    """End the switches of a scope."""

    scope = S.ChoiceField(choices=Switch.Scope.choices, required=False, default=Switch.Scope.ALL)
    key = S.CharField(required=False, allow_blank=True, default="", max_length=100)


class ReasonSerializer(S.Serializer[Any]):
    """Why."""

    reason = S.CharField(max_length=500)


class RetrySerializer(ReasonSerializer):
    """Retry from a node (absent: from where it failed), or that node only."""

    node = S.IntegerField(required=False, allow_null=True, default=None, min_value=1)
    only = S.BooleanField(required=False, default=False)


class ResolveSerializer(ReasonSerializer):
    """Say of an unknown step whether it was done."""

    step = S.IntegerField()
    done = S.BooleanField()


class ModeSerializer(ReasonSerializer):
    """How far a package may go by itself: off, shadow, approval, auto; forward one step at a time."""

    mode = S.ChoiceField(choices=Mode.choices)


class RunSerializer(ReasonSerializer):
    """Run a package by hand on a host."""

    ip = S.IPAddressField()
    params = S.DictField(required=False, default=dict)
    dry_run = S.BooleanField(required=False, default=False)
