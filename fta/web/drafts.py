"""A rule or shield drafted from an alert that nothing has taken."""

from typing import Any

from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404

from fta.models import Alert, Mode


def asked(request: HttpRequest) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Return the conditions and first values for ?alert=<id>, none without it. Raises Http404 for an alert of others."""
    text = request.GET.get("alert", "")
    if not text:
        return None, {}
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Http404
    alerts = Alert.objects.visible_to(request.user).select_related("source", "business")
    return draft_of(get_object_or_404(alerts, pk=text))


def draft_of(alert: Alert) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return conditions and a name for a rule that would have taken this alert."""
    match: dict[str, Any] = {"source": alert.source.name, "alert_type": alert.alert_type}
    if alert.business:
        match["business"] = alert.business.code
    name = alert.title or alert.alert_type
    return match, {"name": name[:128], "mode": Mode.APPROVAL, "alert_type_how": "equals"}
