"""What conditions look at: the words of one alert, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from fta.models import Alert


@dataclass(frozen=True)
class Subject:
    """An alert as conditions see it. Each field has every word that names it (an address and a name, say), or none."""

    fields: Mapping[str, tuple[str, ...]]
    at: datetime
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, alert: Alert) -> "Subject":
        """Read the alert with its source, host and business; `at` is when it was received."""
        host = alert.host
        fields = {
            "source": (alert.source.name,),
            "alert_type": (alert.alert_type,),
            "severity": (alert.severity, alert.severity_raw),
            "business": (alert.business.code if alert.business else "",),
            "set": (host.set_name if host else "",),
            "module": (host.module if host else "",),
            "ip": (host.ip if host else "", alert.target),
            "host": (host.name if host else "", alert.target),
            "content": (alert.content,),
        }
        known = {name: tuple(word for word in words if word) for name, words in fields.items()}
        return cls(known, alert.received_at, {str(key): str(value) for key, value in alert.labels.items()})
