"""The ready package that restarts a deployment, against the API server of a cluster as far as a rollout needs one."""

import copy
import json
from typing import Any

import pytest
from django.utils import timezone

from fta.config.library import ready_packages
from fta.healing.plan import save_version
from fta.models import Package
from tests import factories
from tests.fta import stage
from tests.fta.runners.sink import Seen, serving


class Cluster:
    """An API server with one Deployment, as far as a rollout needs it."""

    def __init__(self) -> None:
        self.generation, self.ready, self.template = 1, 3, {"metadata": {"annotations": {"keep": "me"}}}
        self.refused = False

    def __call__(self, seen: Seen) -> tuple[int, dict[str, str], bytes]:
        kind = {"Content-Type": "application/json"}
        if seen.headers.get("Authorization") != "Bearer t0ken-for-the-cluster":
            return 401, kind, b"{}"
        if seen.path != "/apis/apps/v1/namespaces/shop/deployments/web":
            return 404, kind, b'{"reason": "NotFound"}'
        if seen.method == "PATCH":
            if self.refused or seen.headers["Content-Type"] != "application/strategic-merge-patch+json":
                return 403, kind, b'{"reason": "Forbidden"}'
            before = dict(self.template["metadata"]["annotations"])
            self.template["metadata"]["annotations"] |= json.loads(seen.body)["spec"]["template"]["metadata"][
                "annotations"
            ]
            self.generation += before != self.template["metadata"]["annotations"]
        status = {"observedGeneration": self.generation, "updatedReplicas": 3, "availableReplicas": self.ready}
        data = {"metadata": {"generation": self.generation}, "spec": {"replicas": 3}, "status": status}
        return 200, kind, json.dumps(data).encode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("deployment", "refused", "available", "ends", "rolled"),
    [
        ("web", False, 3, "succeeded", 2),
        ("web", False, 2, "failed", 2),
        ("web", True, 3, "failed", 1),
        ("gone", False, 3, "failed", 1),
    ],
)
def test_k8s_rolls_a_deployment_once_and_sees_that_it_came_up(
    settings: Any, deployment: str, refused: bool, available: int, ends: str, rolled: int
) -> None:
    settings.FTA_APPROVAL_GATE = stage.GATE
    ready = ready_packages()["k8s-rollout-restart"]
    nodes, parameters = copy.deepcopy(ready.nodes), copy.deepcopy(ready.parameters)
    for each in nodes:  # as quick as a test has to be, and without TLS
        each.pop("retries", None)
        each["params"] |= {"seconds": 0} if each["type"] == "sleep" else {}
    parameters[0].pop("pattern")
    cluster = Cluster()
    cluster.refused, cluster.ready = refused, available
    with serving() as server:
        server.answer = cluster
        settings.FTA_HTTP_ALLOW = [f"127.0.0.1:{server.port}"]
        package = Package.objects.create(key="k8s", name="滚动", mode="auto")
        save_version(package, nodes, parameters, {"token": "t0ken-for-the-cluster"}, "lisi", "", timezone.now())
        given = {"api": server.url, "namespace": "shop", "deployment": deployment}
        rule = factories.rule(package=package, parameters=given)
        factories.host()
        execution = stage.ready(package=package, rule=rule)
        stage.drain()
        assert stage.state(execution) == ends, execution.reason
        assert cluster.generation == rolled
        assert cluster.template["metadata"]["annotations"]["keep"] == "me"
        again = next((seen for seen in server.seen if seen.method == "PATCH"), None)
        if again and not refused:
            cluster(again)
            assert cluster.generation == rolled, "sent again, it does not roll again"
