"""What the forms of rules send, complete and right."""

from typing import Any


def rule_data(**changes: Any) -> dict[str, Any]:
    data = {
        "name": "磁盘写满",
        "priority": "10",
        "enabled": "on",
        "package": "",
        "mode": "auto",
        "timeout": "40",
        "verify_within": "10",
        "verify_stay": "30",
        "mail_maintainers": "on",
        "alert_type_how": "glob",
        "alert_type": "disk*",
        "business": ["game"],
        "action": "save",
    }
    return data | changes


def convergence_data(**changes: Any) -> dict[str, Any]:
    data = {
        "name": "同机同类",
        "alert_types": "disk_full, disk_io",
        "window": "300",
        "count": "1",
        "same_0": "host",
        "same_1": "alert_type",
        "same_2": "",
        "labels": "app",
        "function": "skip_when_success",
        "priority": "30",
        "enabled": "on",
        "remark": "同一台机器同一类告警只修一次",
    }
    return data | changes
