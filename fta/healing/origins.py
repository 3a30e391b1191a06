"""Whom a request goes to is the author's and the inventory's to say, never an alert's: not by way of parameters either."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from fta.healing import variables
from fta.healing.nodes import STRIDE, Node
from fta.healing.runners import RUNNERS

INVENTORY = frozenset({"ip", "ip_bak", "host.name"})


def problems(
    nodes: Sequence[Node],
    scopes: Mapping[str, Any],
    given: Mapping[str, Any],
    trusted: Collection[str] = INVENTORY,
) -> Iterator[tuple[int, str]]:
    """Yield (node of the outermost package, words) for every address whose host an alert or an answer would choose.

    `nodes` and `scopes` are a flat graph's; `given` is what a rule or a person wrote for the parameters of the outermost package.
    """
    for node in nodes:
        names = RUNNERS[node.type].origin(node.params or {})
        for name in sorted(_roots(names, node.inside, scopes, given) - set(trusted)):
            outermost = node.id
            while outermost >= STRIDE:
                outermost //= STRIDE
            yield outermost, _("url 的主机部分不能用 ${%s}：请求发给谁不能由告警决定") % name


def _roots(names: set[str], inside: int, scopes: Mapping[str, Any], given: Mapping[str, Any]) -> set[str]:
    """Return the variables that these come from in the end: a parameter is followed to what it was given, and by whom."""
    found = {name for name in names if not name.startswith("params.")}
    scope = scopes[str(inside)] if inside else None
    for name in names - found:
        deeper = variables.names_in((scope["given"] if scope else given).get(name.removeprefix("params.")))
        found |= _roots(deeper, scope["parent"], scopes, given) if scope else deeper
    return found
