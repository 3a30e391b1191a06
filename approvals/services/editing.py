"""Change approval policies: guard, write, audit. Approvals that were asked keep the stages and quorums of their asking."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from approvals.models import Policy
from fta import audit
from fta.config.document import users_of


class NameTaken(Exception):
    """Another policy has this name, perhaps an archived one."""


class PolicyInUse(Exception):
    """Something still names the policy, so it cannot be archived."""

    def __init__(self, users: list[str]) -> None:
        self.reason = _("还在使用：%(names)s。先改用别的策略。") % {"names": "、".join(users)}
        super().__init__(self.reason)


@transaction.atomic
def save_policy(policy: Policy | None, values: Mapping[str, Any], actor: str, now: datetime) -> Policy:
    """Create or change a policy; the audit keeps what was and what is. Raises NameTaken."""
    row = Policy.objects.select_for_update().get(pk=policy.pk) if policy else Policy()
    changes = {name: [getattr(row, name), value] for name, value in values.items() if getattr(row, name) != value}
    if policy and "name" in changes and (users := _users(row)):
        raise PolicyInUse(users)  # they know it by its name
    for name, value in values.items():
        setattr(row, name, value)
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise NameTaken(str(row)) from error
    if changes or policy is None:
        audit.record(actor, f"policy.{'change' if policy else 'add'}", row, now, name=row.name, changes=changes)
    return row


@transaction.atomic
def archive_policy(policy: Policy, actor: str, now: datetime) -> None:
    """Take a policy out of use. Raises PolicyInUse while anything names it, and for the one that stands in for no name."""
    if users := _users(policy):
        raise PolicyInUse(users)
    Policy.objects.filter(pk=policy.pk).update(archived=True)
    audit.record(actor, "policy.archive", policy, now, name=policy.name)


def _users(policy: Policy) -> list[str]:
    return [use.words for use in users_of("approval_policies", policy.name)]
