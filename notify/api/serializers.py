"""Channels, notification rules and deliveries as JSON (the shapes are promised in the API's documentation)."""

from typing import Any

from rest_framework import serializers

from notify import transports
from notify.models import Channel, Delivery, NotificationRule
from notify.transports.fields import public


class ChannelSerializer(serializers.Serializer[Channel]):
    """One channel; its secrets are left out."""

    id = serializers.IntegerField(source="pk")
    name = serializers.CharField()
    kind = serializers.CharField(help_text="key of NOTIFY_TRANSPORTS")
    description = serializers.CharField()
    enabled = serializers.BooleanField()
    fallback = serializers.CharField(source="fallback.name", default=None, allow_null=True)
    config = serializers.SerializerMethodField()
    last_ok_at = serializers.DateTimeField(allow_null=True)
    last_failed_at = serializers.DateTimeField(allow_null=True)
    last_error = serializers.CharField()

    def get_config(self, channel: Channel) -> dict[str, Any]:
        """Return the configuration without secrets."""
        return public(transports.fields(channel.kind), channel.config)


class NotificationRuleSerializer(serializers.Serializer[NotificationRule]):
    """One notification rule."""

    id = serializers.IntegerField(source="pk")
    name = serializers.CharField()
    events = serializers.ListField(child=serializers.CharField())
    match = serializers.DictField()
    hours = serializers.JSONField()
    channels = serializers.SerializerMethodField()
    to = serializers.ListField()
    template = serializers.CharField(source="template.name", default=None, allow_null=True)
    throttle = serializers.IntegerField()
    group_by = serializers.ListField(source="options.group_by", child=serializers.CharField(), default=list)
    group_wait = serializers.IntegerField(source="options.group_wait", default=0)
    group_interval = serializers.IntegerField(source="options.group_interval", default=0)
    repeat_interval = serializers.IntegerField(source="options.repeat_interval", default=0)
    send_resolved = serializers.BooleanField()
    enabled = serializers.BooleanField()

    def get_channels(self, rule: NotificationRule) -> list[str]:
        """Return the channels' names."""
        return [channel.name for channel in rule.channels.all()]


class DeliverySerializer(serializers.Serializer[Delivery]):
    """One delivery."""

    id = serializers.IntegerField(source="pk")
    channel = serializers.CharField(source="channel.name", default=None, allow_null=True)
    kind = serializers.CharField()
    event = serializers.CharField()
    recipients = serializers.ListField()
    state = serializers.ChoiceField(choices=Delivery.State.choices)
    attempts = serializers.IntegerField()
    last_code = serializers.CharField()
    last_error = serializers.CharField()
    remedy = serializers.CharField()
    created_at = serializers.DateTimeField()
    sent_at = serializers.DateTimeField(allow_null=True)
    alert = serializers.IntegerField(source="alert_id", allow_null=True)
    execution = serializers.IntegerField(source="execution_id", allow_null=True)
    approval = serializers.IntegerField(source="approval_ref", allow_null=True)


class PostedSerializer(serializers.Serializer[Any]):
    """The deliveries that a test made."""

    deliveries = serializers.ListField(child=serializers.IntegerField())
