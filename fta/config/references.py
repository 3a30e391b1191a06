"""What of a configuration names nothing, who uses what is named, and the names of what the floors above keep.

The rows of those floors, approval policies and channels, are reached through the relations that they made with ours; this floor
never imports them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fta.healing.runners import RUNNERS
from fta.healing.runners.job import JobRunner
from fta.models import Credential, Execution, Host, Package


def policies() -> list[str]:
    """Return the names of the approval policies in use."""
    return _names("approvals", "policy")


def channels() -> list[str]:
    """Return the names of the channels in use."""
    return _names("delivery", "channel")


def _names(relation: str, column: str) -> list[str]:
    """Return the names of the rows that a column of the rows about executions points at."""
    about: Any = Execution._meta.get_field(relation).related_model
    model = about._meta.get_field(column).related_model
    return list(model._default_manager.filter(archived=False).order_by("name").values_list("name", flat=True))


def policy_fault(name: str) -> str:
    """Return what is wrong with the name of an approval policy; nothing is wrong with none."""
    return _MISSING["policy"] % name if name and name not in policies() else ""


def channel_faults(names: Sequence[Any]) -> list[tuple[int, str]]:
    """Return (place in the list, message) of the names of channels that are not there."""
    there = channels() if names else []
    return [(at, _MISSING["channel"] % name) for at, name in enumerate(names) if name not in there]


@dataclass(frozen=True)
class Missing:
    """A name in a node that names nothing: where it stands and what it should name."""

    path: str
    kind: str  # policy, channel or credential
    name: str


_MISSING = {
    "policy": 'no approval policy "%s"',
    "channel": 'no channel "%s"',
    "credential": 'no credential "%s" that is a token',
}


def faults(nodes: Sequence[Any]) -> list[tuple[str, str]]:
    """Return (path, message) of what nodes name and is not there; what is wrong otherwise their package's `validate` says."""
    return [(found.path, _MISSING[found.kind] % found.name) for found in missing(nodes)]


def missing(nodes: Sequence[Any]) -> list[Missing]:
    """Return what nodes name and is not there."""
    return [
        found for at, node in enumerate(nodes) if isinstance(node, dict) for found in _missing(f"nodes[{at}]", node)
    ]


def _missing(where: str, node: dict[str, Any]) -> Iterator[Missing]:
    runner, said = RUNNERS.get(str(node.get("type"))), node.get("params")
    params: dict[str, Any] = said if isinstance(said, dict) else {}
    for field in runner.fields if runner else ():
        path, value = f"{where}.params.{field.name}", params.get(field.name)
        if field.kind == "policy" and isinstance(value, str) and policy_fault(value):
            yield Missing(path, "policy", value)
        if field.kind == "channels" and isinstance(value, list):
            yield from (Missing(f"{path}[{at}]", "channel", value[at]) for at, _message in channel_faults(value))
    for name in _credentials([node]):
        if not Credential.objects.filter(name=name, kind=Credential.Kind.TOKEN).exists():
            yield Missing(f"{where}.params.credential", "credential", name)


def _credentials(nodes: Sequence[Any]) -> Iterator[str]:
    """Yield the credentials that nodes, sound or not, reach a platform with."""
    for node in nodes:
        params = node.get("params") if isinstance(node, dict) and node.get("type") == JobRunner.type else None
        name = params.get("credential") if isinstance(params, dict) else None
        if isinstance(name, str) and name:
            yield name


def users_of(credential: Credential) -> list[str]:
    """Return who needs a credential: hosts and packages in use, and executions that have not ended."""
    hosts = Host.objects.filter(credential=credential, archived=False).values_list("ip", flat=True)
    packages = Package.objects.filter(archived=False).exclude(current=None).values_list("key", "current__nodes")
    under_way = Execution.objects.exclude(state__in=Execution.ENDED).values_list("pk", "version__nodes", "plan")
    return [
        *(f"host {ip}" for ip in hosts),
        *(f"package {key}" for key, nodes in packages if credential.name in _credentials(nodes)),
        *(f"execution {pk}" for pk, nodes, plan in under_way.iterator() if _runs_with(credential, nodes, plan)),
    ]


def _runs_with(credential: Credential, nodes: Sequence[Any] | None, plan: dict[str, Any]) -> bool:
    spares = [host for each in plan.get("foreseen", {}).values() for host in each.get("candidates", ())]
    on_hosts = {host.get("credential") for host in [*plan.get("hosts", ()), *spares]}
    return credential.pk in on_hosts or credential.name in _credentials([*(nodes or ()), *plan.get("nodes", ())])
