"""Hosts as a plan freezes them, and how they have changed since."""

from collections.abc import Iterable
from typing import Any

from django.utils.translation import gettext as _

from fta.lib.types import JSONDict
from fta.models import Host


def snapshot(host: Host) -> JSONDict:
    """Return everything about a host that decides whom a step reaches, and how."""
    return {
        "id": host.pk,
        "ip": host.ip,
        "name": host.name,
        "business": host.business.code if host.business else "",
        "set": host.set_name,
        "module": host.module,
        "connection": host.connection,
        "ssh_user": host.ssh_user,
        "ssh_port": host.ssh_port,
        "host_key": host.host_key,
        "credential": host.credential_id,
    }


def changes(frozen_hosts: Iterable[JSONDict]) -> list[str]:
    """Return how hosts that were frozen differ from the inventory now, a line of words for each difference."""
    frozen_hosts = list(frozen_hosts)
    ids = [int(str(frozen["id"])) for frozen in frozen_hosts]
    found = Host.objects.select_related("business").filter(pk__in=ids, archived=False).in_bulk() if ids else {}
    return [line for frozen in frozen_hosts for line in _changes(frozen, found.get(int(str(frozen["id"]))))]


def _changes(frozen: JSONDict, host: Host | None) -> list[str]:
    if host is None:
        return [_("主机 %(ip)s 已不在清单里") % {"ip": frozen["ip"]}]
    present = snapshot(host)
    return [
        _("主机 %(ip)s 的%(what)s已变更：%(old)s → %(new)s")
        % {"ip": frozen["ip"], "what": label, "old": _short(frozen.get(key)), "new": _short(present[key])}
        for key, label in _labels().items()
        if frozen.get(key) != present[key]
    ]


def _labels() -> dict[str, str]:
    return {
        "ip": "IP",
        "name": _("名称"),
        "business": _("业务"),
        "set": _("集群"),
        "module": _("模块"),
        "connection": _("连接方式"),
        "ssh_user": _("SSH 用户"),
        "ssh_port": _("SSH 端口"),
        "host_key": _("主机公钥"),
        "credential": _("凭据"),
    }


def _short(value: Any) -> str:
    text = str(value if value not in (None, "") else "—")
    return text if len(text) <= 40 else text[:37] + "…"
