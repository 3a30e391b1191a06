"""Whose a credential is: one of a business is for the packages and hosts of that business and for no other's."""

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from fta.healing.validation import Problem
from fta.models import Business, Credential


def problems(nodes: Sequence[Any], business: Business | None) -> list[Problem]:
    """Return which nodes of a business's package name a credential of another business, as `validate` names it.

    Of a package for all businesses only an execution can tell: it judges by its own.
    """
    named = [(at, node, str((node.get("params") or {}).get("credential") or "")) for at, node in enumerate(nodes)]
    foreign = set()
    if business is not None and any(name for _at, _node, name in named):
        others = Credential.objects.exclude(business=None).exclude(business=business)
        foreign = set(others.filter(name__in=[name for _at, _node, name in named]).values_list("name", flat=True))
    return [
        Problem(f"nodes[{at}].params.credential", node["id"], _("凭据 %s 属于另一个业务") % name)
        for at, node, name in named
        if name in foreign
    ]
