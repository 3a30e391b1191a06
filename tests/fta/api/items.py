"""Items of the configuration as the API takes them, one of each kind."""

from typing import Any

from fta.models import ConvergenceRule, Package, Rule, Shield

RULE = {
    "name": "磁盘写满",
    "priority": 10,
    "match": {"alert_type": {"glob": "disk*"}, "business": "game"},
    "package": "clean-disk",
    "parameters": {"path": "/data"},
    "timeout": "40m",
    "mode": "approval",
    "stale_after": "15m",
    "void_when_resolved": True,
    "approval_policy": "default",
    "notify": {"mail_maintainers": False},
    "verify": {"within": "5m", "stay": 900},
    "enabled": True,
}
CONVERGENCE = {
    "name": "同机同类",
    "alert_types": ["disk_full"],
    "window": "5m",
    "count": 2,
    "dimensions": ["host", "label:app"],
    "function": "skip_when_success",
    "priority": 30,
    "business": "game",
    "remark": "默认",
}
SHIELD = {
    "name": "发布窗口",
    "match": {"business": "game"},
    "from": "2026-01-31T01:00:00+08:00",
    "to": "2026-01-31T03:00:00+08:00",
    "repeat": "weekly",
    "reason": "每周发布",
}
PACKAGE = {
    "key": "clean-tmp",
    "name": "清理",
    "business": "game",
    "description": "删除过期文件",
    "risk": "low",
    "mode": "auto",
    "budget": {"max_hosts": 3, "window": "10m", "scope": "set"},
    "parameters": [{"name": "path", "type": "string", "default": "/tmp"}],
    "nodes": [{"id": 1, "name": "等", "type": "sleep", "params": {"seconds": 1}}],
    "note": "第一版",
}
KINDS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "rules": (Rule, RULE),
    "convergence-rules": (ConvergenceRule, CONVERGENCE),
    "shields": (Shield, SHIELD),
    "packages": (Package, PACKAGE),
}
VERBS = {"rules": "rule", "convergence-rules": "convergence_rule", "shields": "shield", "packages": "package"}
CACHES = {"rules": "rules", "convergence-rules": "convergence", "shields": "shields", "packages": "packages"}


def everywhere(kind: str) -> dict[str, Any]:
    """The same item for every business."""
    item = {key: value for key, value in KINDS[kind][1].items() if key != "business"}
    return item | ({"match": {"alert_type": "disk_full"}} if "match" in item else {})


def elsewhere(kind: str) -> dict[str, Any]:
    """The same item for another business."""
    item = KINDS[kind][1]
    return item | ({"match": {"business": "pay"}} if "match" in item else {"business": "pay"})


def address(kind: str, made: dict[str, Any]) -> str:
    return f"{kind}/{made['key' if kind == 'packages' else 'id']}/"
