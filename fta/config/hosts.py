"""Hosts: the section of the configuration file, and what whoever keeps the hosts of some businesses may say of one."""

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fta.config import editing, uses
from fta.config.connections import connection_faults
from fta.config.document import Run, Use
from fta.config.people import business_named, people_named
from fta.config.reader import Reader
from fta.models import Business, Credential, Host
from fta.models.scope import in_scope, is_admin

_SSH = {"user": "ssh_user", "port": "ssh_port", "host_key": "host_key", "credential": "credential"}  # word, and field
_CONNECTION = ("connection", *_SSH.values())


class Hosts:
    name = "hosts"

    def apply(self, data: Any, run: Run) -> None:
        named = set()
        for reader in run.readers(self.name, data):
            ip, values = run.claim(reader, "ip", host_ip(reader)), host_values(reader)
            if ip:
                named.add(ip)
                operators = values.pop("operators")
                run.set_many(run.upsert(Host, {"ip": ip}, values), "operators", operators)
        run.archive(Host.objects.filter(archived=False).exclude(ip__in=named))

    def export(self) -> Any:
        rows = Host.objects.filter(archived=False).select_related("business", "credential")
        return [host_out(row) for row in rows.prefetch_related("operators__user")]

    def uses(self) -> Iterator[Use]:
        return uses.of_hosts()


def host_ip(reader: Reader) -> str:
    """Take the address of a host; "" with a fault when it is none."""
    text = reader.text("ip", required=True)
    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError:
        reader.fault("ip", f'"{text}" is no IP address')
        return ""


def host_values(reader: Reader) -> dict[str, Any]:
    """Take everything of a host but its address; `operators` is a list of people."""
    business = business_named(reader)
    connection = reader.child("connection") if reader.raw("connection") is not None else None
    values = {
        "name": reader.text("name", limit=128),
        "business": business,
        "set_name": reader.text("set", limit=128),
        "module": reader.text("module", limit=128),
        "is_spare": reader.flag("spare"),
        "attributes": reader.mapping("attributes"),
        "archived": False,
        **_connection(connection, business),
        "operators": people_named(reader.texts("operators"), f"{reader.path}.operators", reader.errors),
    }
    reader.end()
    return values


def _connection(reader: Reader | None, business: Business | None) -> dict[str, Any]:
    if reader is None:
        return {"connection": "none", "ssh_user": "", "ssh_port": 22, "host_key": "", "credential": None}
    name = reader.text("credential")
    credential = Credential.objects.filter(name=name).first() if name else None
    if name and credential is None:
        reader.fault("credential", f'no credential "{name}"')
    found = {
        "connection": reader.choice("kind", ["local", "ssh"], required=True) or "none",
        "ssh_user": reader.text("user", limit=64),
        "ssh_port": reader.number("port", 22, least=1),
        "host_key": reader.text("host_key", limit=4000),
        "credential": credential,
    }
    for field, text in connection_faults({**found, "business": business}).items():
        reader.fault(field.removeprefix("ssh_"), text)
    reader.end()
    return found


def host_out(row: Host) -> dict[str, Any]:
    """Return a host as `host_ip` and `host_values` take it."""
    found: dict[str, Any] = {
        "ip": row.ip,
        "name": row.name,
        "business": row.business.code if row.business else "",
        "set": row.set_name,
        "module": row.module,
        "operators": [person.user.get_username() for person in row.operators.all()],
        "spare": row.is_spare,
        "attributes": row.attributes,
    }
    found["connection"] = _connection_out(row)
    return {key: value for key, value in found.items() if value not in ("", [], {}, False)}


def _connection_out(row: Host) -> dict[str, Any]:
    if row.connection == Host.Connection.LOCAL:
        return {"kind": "local"}
    if row.connection != Host.Connection.SSH:
        return {}
    found = {"kind": "ssh", "user": row.ssh_user, "port": row.ssh_port, "host_key": row.host_key}
    return found | ({"credential": row.credential.name} if row.credential else {})


def _resting(before: Host, connection: str, told: Any) -> dict[str, Any]:
    """Return what a host that is not reached by SSH, and is not to be, still has for it; what was told of that goes before.

    `host_out` leaves it out, so that whoever changes something else can say nothing of it.
    """
    if Host.Connection.SSH in (connection, before.connection) or connection != before.connection:
        return {}
    named = told if isinstance(told, dict) else {}
    return {field: getattr(before, field) for word, field in _SSH.items() if word not in named}


@dataclass(frozen=True)
class Keeper:
    """Who changes hosts one by one or by a list: an operator those of the own businesses, an admin all."""

    name: str
    businesses: frozenset[int] | None  # None: all, and none

    @classmethod
    def of(cls, user: Any) -> "Keeper":
        """Return what a user may keep."""
        if is_admin(user):
            return cls(user.get_username(), None)
        rows = Business.objects.filter(in_scope(user, "pk", "operator"), archived=False)
        return cls(user.get_username(), frozenset(rows.values_list("pk", flat=True)))

    def keeps(self, row: Host) -> bool:
        """Tell whether the host is one of those; an archived one is free for whoever takes it up again."""
        return self.businesses is None or row.archived or row.business_id in self.businesses

    def read(self, reader: Reader, row: Host | None) -> dict[str, Any]:
        """Take everything of a host but its address; a foreign business is one that is not there.

        How the portal reaches a host is for admins to say: it sends credentials there, and runs scripts on itself.
        """
        values, told = host_values(reader), reader.raw("connection") is not None
        business = values["business"]
        before = Host() if row is None or row.archived else row
        if self.businesses is None:
            return {**values, **_resting(before, values["connection"], reader.raw("connection"))}
        if business is None:
            reader.fault("business", "is required: a host of no business is for admins")
        elif business.pk not in self.businesses:
            reader.fault("business", f'no business "{business.code}"')
        if told and _connection_out(Host(**{field: values[field] for field in _CONNECTION})) != _connection_out(before):
            reader.fault("connection", "is for admins to set")
        return {**values, **{field: getattr(before, field) for field in _CONNECTION}}

    def save(self, ip: str, row: Host | None, values: Mapping[str, Any], now: datetime) -> None:
        """Write what was read. Raises editing.InvalidEdit."""
        editing.save(row or Host(ip=ip), {"ip": ip, **values}, self.name, now)
