"""Sections of the configuration file that belong to approvals."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from approvals.models import ApproverGroup, Policy
from approvals.policies import DEFAULT_POLICY
from fta.config import references
from fta.config.document import Run, Use
from fta.config.reader import Reader
from fta.models import Duty, Package, Person, Rule

_KIND = "approval policy"
_KINDS = ("person", "role", "group", "duty")
_ROLES = ("operator", "maintainer")


def _approvers(reader: Reader, key: str, run: Run) -> list[dict[str, str]]:
    """Take a list of {person}|{role}|{group}|{duty}; names are looked up when every section has been read."""
    found = []
    for child in reader.children(key):
        kinds = [kind for kind in _KINDS if child.has(kind)]
        if len(kinds) != 1:
            run.errors.add(child.path, f"names {len(kinds)} of {', '.join(_KINDS)}; exactly one is expected")
            continue
        name = child.text(kinds[0], required=True)
        child.end()
        found.append({kinds[0]: name})
        run.later(partial(_look_up, kinds[0], name, child.path, run))
    return found


def _look_up(kind: str, name: str, path: str, run: Run) -> None:
    exists = {
        "person": lambda: Person.objects.filter(user__username=name).exists(),
        "role": lambda: name in _ROLES,
        "group": lambda: ApproverGroup.objects.filter(name=name).exists(),
        "duty": lambda: Duty.objects.filter(name=name).exists(),
    }[kind]()
    if not exists:
        run.errors.add(f"{path}.{kind}", f'no {kind} "{name}"')


def _check_channel(name: str, reader: Reader) -> None:
    if references.channel_faults([name] if name else []):
        reader.fault("remind_channel", f'no channel "{name}"')


class Groups:
    name = "groups"

    def apply(self, data: Any, run: Run) -> None:
        named = set()
        for reader in run.readers(self.name, data):
            name = run.claim(reader, "name", reader.text("name", required=True, limit=64))
            people = reader.texts("people")
            reader.end()
            if not name:
                continue
            named.add(name)
            row = run.upsert(ApproverGroup, {"name": name}, {})
            known = {p.user.get_username(): p for p in Person.objects.filter(user__username__in=people)}
            for index, username in enumerate(people):
                if username not in known:
                    run.errors.add(f"{reader.path}.people[{index}]", f'no person "{username}"')
            run.set_many(row, "people", list(known.values()))
        gone = list(ApproverGroup.objects.exclude(name__in=named).exclude(people=None))
        run.gone(self.name, [row.name for row in gone])
        for row in gone:
            run.set_many(row, "people", [])

    def export(self) -> Any:
        rows = ApproverGroup.objects.prefetch_related("people__user")
        return [{"name": row.name, "people": [p.user.get_username() for p in row.people.all()]} for row in rows]


class Policies:
    name = "approval_policies"

    def apply(self, data: Any, run: Run) -> None:
        named = set()
        for reader in run.readers(self.name, data):
            name = run.claim(reader, "name", reader.text("name", required=True, limit=64))
            if name:
                named.add(name)
                self._apply_one(name, reader, run)
        run.leave_out(self.name, Policy.objects.filter(archived=False).exclude(name__in=named))

    def _apply_one(self, name: str, reader: Reader, run: Run) -> None:
        stages = []
        for child in reader.children("stages"):
            stage = {"approvers": _approvers(child, "approvers", run), "quorum": child.number("quorum", 1, least=1)}
            if not stage["approvers"]:
                child.fault("approvers", "is required: nobody listed means nobody may approve")
            child.end()
            stages.append(stage)
        if not stages:
            reader.fault("stages", "is required")
        values = {
            "stages": stages,
            "exclude_requester": reader.flag("exclude_requester", True),
            "expires_after": reader.seconds("expires_after", 1800),
            "on_expiry": reader.choice("on_expiry", Policy.OnExpiry.values, Policy.OnExpiry.REFUSE),
            "escalate_to": _approvers(reader, "escalate_to", run),
            "remind_channel": (remind_channel := reader.text("remind_channel", limit=64)),
            "archived": False,
        }
        if not values["expires_after"]:
            reader.fault("expires_after", "must be longer than 0")
        reader.end()
        run.upsert(Policy, {"name": name}, values)
        run.later(partial(_check_channel, remind_channel, reader))

    def export(self) -> Any:
        return [
            {
                "name": row.name,
                "stages": row.stages,
                "exclude_requester": row.exclude_requester,
                "expires_after": f"{row.expires_after}s",
                "on_expiry": row.on_expiry,
                **({"escalate_to": row.escalate_to} if row.escalate_to else {}),
                **({"remind_channel": row.remind_channel} if row.remind_channel else {}),
            }
            for row in Policy.objects.filter(archived=False)
        ]

    def uses(self) -> Iterator[Use]:
        for row in Policy.objects.filter(archived=False):
            told = [*(each for stage in row.stages for each in stage["approvers"]), *row.escalate_to]
            for section, kind in (("groups", "group"), ("duties", "duty")):
                yield from (Use(section, each[kind], _KIND, row.name) for each in told if kind in each)
            if row.remind_channel:
                yield Use("channels", row.remind_channel, _KIND, row.name)
        if Rule.objects.filter(archived=False).exists() or Package.objects.filter(archived=False).exists():
            yield Use(self.name, DEFAULT_POLICY, "rules and packages that name no policy", "")
