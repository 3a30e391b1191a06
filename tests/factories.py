"""Rows for tests: explicit, small, with no hidden randomness."""

from datetime import timedelta
from itertools import count
from typing import Any

from django.contrib.auth.models import Group, User
from django.utils import timezone

from fta.lib.secrets import digest
from fta.models import (
    Alert,
    ApiKey,
    Business,
    ConvergenceRule,
    Execution,
    Host,
    Package,
    PackageVersion,
    Person,
    Rule,
    Source,
    StepRun,
)

PASSWORD = "pass-word-12345"
_number = count(1)


def business(code: str = "game", name: str = "游戏大区") -> Business:
    return Business.objects.get_or_create(code=code, defaults={"name": name})[0]


def person(username: str, *roles: str, businesses: tuple[Business, ...] = (), wecom: str | None = None) -> Person:
    user = User.objects.create_user(username, f"{username}@example.com", PASSWORD, first_name=username)
    groups = [Group.objects.get_or_create(name=role)[0] for role in roles]
    # Written at once: `set` would first ask what a new person already has.
    User.groups.through.objects.bulk_create(User.groups.through(user=user, group=group) for group in groups)
    made = Person.objects.create(user=user, wecom_userid=username if wecom is None else wecom)
    held = Person.businesses.through
    held.objects.bulk_create(held(person=made, business=business) for business in businesses)
    return made


def host(ip: str = "127.0.0.10", name: str = "local-1", **fields: Any) -> Host:
    operators = fields.pop("operators", ())
    fields.setdefault("business", business())
    fields.setdefault("set_name", "shanghai-1")
    fields.setdefault("module", "web")
    made = Host.objects.create(ip=ip, name=name, **fields)
    made.operators.set(operators)
    return made


def source(name: str = "rest", kind: str = "rest", secret: str = "source-secret-0123456789", **fields: Any) -> Source:
    fields.setdefault("business", business())
    return Source.objects.create(name=name, kind=kind, secret_digest=digest(secret), **fields)


def alert(**fields: Any) -> Alert:
    now = timezone.now()
    number = next(_number)
    defaults: dict[str, Any] = {
        "fingerprint": f"fp-{number}",
        "alert_type": "disk_full",
        "severity": "critical",
        "status": "firing",
        "title": "磁盘写满",
        "content": "/data 98%",
        "target": "127.0.0.10",
        "target_kind": "host",
        "received_at": now,
        "last_seen_at": now,
        "starts_at": now,
    }
    defaults.update(fields)
    if "source" not in defaults:
        defaults["source"] = Source.objects.filter(name="rest").first() or source()
    if "host" not in defaults:
        defaults["host"] = Host.objects.filter(ip=defaults["target"]).first()
    if "business" not in defaults:
        defaults["business"] = defaults["host"].business if defaults["host"] else defaults["source"].business
    return Alert.objects.create(**defaults)


SLEEP_NODES: list[dict[str, Any]] = [
    {"id": 1, "name": "等一下", "type": "sleep", "policy": "idempotent", "params": {"seconds": 0}, "next": {}}
]


def package(key: str = "clean-disk", nodes: list[dict[str, Any]] | None = None, **fields: Any) -> Package:
    parameters = fields.pop("parameters", [])
    fields.setdefault("name", key)
    fields.setdefault("mode", "auto")
    fields.setdefault("risk", "low")
    made = Package.objects.create(key=key, **fields)
    made.current = PackageVersion.objects.create(
        package=made, number=1, nodes=nodes or SLEEP_NODES, parameters=parameters, sha256="0" * 64, author="tester"
    )
    made.save()
    return made


def rule(name: str = "磁盘写满", match: dict[str, Any] | None = None, **fields: Any) -> Rule:
    fields.setdefault("package", None)
    return Rule.objects.create(name=name, match=match if match is not None else {"alert_type": "disk_full"}, **fields)


def convergence_rule(name: str = "同机同类", **fields: Any) -> ConvergenceRule:
    fields.setdefault("dimensions", ["host", "alert_type"])
    fields.setdefault("function", "skip_when_success")
    fields.setdefault("remark", "测试")
    return ConvergenceRule.objects.create(name=name, **fields)


def execution(**fields: Any) -> Execution:
    now = timezone.now()
    made = fields.get("alert")
    if "package" in fields and "version" not in fields:
        fields["version"] = fields["package"].current
    fields.setdefault("trigger_key", f"test-{next(_number)}")
    fields.setdefault("host", made.host if made else None)
    fields.setdefault("business", made.business if made else None)
    fields.setdefault("alert_type", made.alert_type if made else "")
    fields.setdefault("received_at", now)
    fields.setdefault("deadline_at", now + timedelta(minutes=40))
    fields.setdefault("plan_sha256", "a" * 64)
    return Execution.objects.create(**fields)


def step(run: Execution, node: int = 1, **fields: Any) -> StepRun:
    fields.setdefault("type", "sleep")
    fields.setdefault("plan_sha256", run.plan_sha256)
    return StepRun.objects.create(execution=run, node=node, **fields)


def api_key(key: str = "api-key-0123456789abcdef", role: str = "operator", *businesses: Business) -> ApiKey:
    name = f"key-{next(_number)}"
    service = person(f"api:{name}", role, businesses=businesses or (business(),), wecom="")
    return ApiKey.objects.create(name=name, key_digest=digest(key), user=service.user)
