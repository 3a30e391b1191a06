"""Pages as people open them: a signed-in browser, and a small world of rows."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from fta.healing.plan import sealed
from fta.models import Execution, Incident, Member, Person
from tests import factories

Open = Callable[[Person], Client]
NODES = [
    {
        "id": 1,
        "name": "看一眼",
        "type": "ping_check",
        "policy": "idempotent",
        "params": {},
        "next": {"success": [2], "failure": [3]},
    },
    {"id": 2, "name": "清理磁盘", "type": "script", "policy": "once", "params": {}, "next": {"failure": [3]}},
    {"id": 3, "name": "告知", "type": "notify", "policy": "idempotent", "params": {}},
]


@pytest.fixture
def browser() -> Open:
    """Return a browser in which the person is signed in."""

    def opened(person: Person) -> Client:
        client = Client()
        client.force_login(person.user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return opened


def run_of(alert: object, nodes: list[dict[str, object]] | None = None, **fields: object) -> Execution:
    """Make an execution whose plan is whole."""
    execution = factories.execution(alert=alert, **fields)
    plan = sealed({"nodes": nodes or NODES, "parameters": {"path": "/data"}, "hosts": []}, execution)
    execution.plan, execution.plan_sha256 = plan.data, plan.sha256
    execution.save(update_fields=["plan", "plan_sha256"])
    return execution


@pytest.fixture
def running(operator: Person) -> Execution:
    """An execution whose second node runs."""
    factories.host()
    alert = factories.alert(outcome="matched")
    run = run_of(alert, package=factories.package(), state="running", started_at=timezone.now())
    now = timezone.now()
    factories.step(run, 1, type="ping_check", name="看一眼", state="succeeded", attempt=1, started_at=now, ended_at=now)
    factories.step(
        run, 2, type="script", name="清理磁盘", state="running", attempt=1, started_at=now, output="[1/2] <b>rm</b>"
    )
    return run


@pytest.fixture
def storm(operator: Person) -> Incident:
    """An open incident of six alerts, five of which are held back."""
    rule = factories.convergence_rule("批量异常防御", function="defense")
    now = timezone.now()
    incident = Incident.objects.create(
        rule=rule, group_key="g", dimensions={"alert_type": "ping"}, function="defense", business=factories.business(),
        title="游戏大区 Ping 不可达", execution_count=6, opened_at=now - timedelta(minutes=5), last_joined_at=now,
    )  # fmt: skip
    package = factories.package("swap-host", risk="high")
    for n in range(6):
        host = factories.host(f"127.0.1.{n + 1}", f"lobby-{n + 1}")
        alert = factories.alert(target=host.ip, alert_type="ping", title=f"Ping 不可达 {n}", outcome="matched")
        run = run_of(alert, package=package, incident=incident, state="held" if n else "succeeded")
        Member.objects.create(
            rule=rule, group_key="g", execution=run, received_at=now, incident=incident, ordinal=n + 1
        )
    return incident


@pytest.fixture
def as_operator(client: Client, operator: Person) -> Client:
    client.force_login(operator.user)
    return client


@pytest.fixture
def as_admin(client: Client, admin: Person) -> Client:
    client.force_login(admin.user)
    return client
