"""A package as YAML, in the shape that it has in the configuration file: shown beside the graph, exported, read back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from fta.healing.nodes import EDGES
from fta.healing.nodes import KEYS as NODE_KEYS
from fta.healing.parameters import KEYS as PARAMETER_KEYS
from fta.healing.runners import RUNNERS
from fta.models import Business, Package, PackageVersion
from fta.web.forms.fields import read_yaml, yaml_text
from fta.web.forms.packages import PackageForm
from fta.web.package_draft import Draft, is_number, raw_of

MAX_TEXT = 256 * 1024  # characters; reading YAML takes its time
_OWN = ("key", "name", "business", "description", "risk", "mode", "budget")


class Unreadable(ValueError):
    """The text is no package; `messages` say what is wrong where, in words for the author."""

    def __init__(self, messages: Sequence[str]) -> None:
        super().__init__("; ".join(messages))
        self.messages = list(messages)


@dataclass(frozen=True)
class Content:
    """What a text says: the initial values of the form, the parameters, the nodes. Whether they make sense is judged later."""

    head: dict[str, Any]
    parameters: list[dict[str, Any]]
    nodes: list[dict[str, Any]]


def text_of(draft: Draft) -> str:
    """Return a judged draft as YAML; a value that is wrong for its field is left out."""
    raw = raw_of(draft.head)
    own = {name: str(raw[name]) for name in ("key", "name", "description", "risk", "mode") if raw.get(name)}
    if draft.head.package:
        own |= {"key": draft.head.package.key, "mode": draft.head.package.mode}
    if is_number(raw.get("business")):
        own["business"] = Business.objects.filter(pk=raw["business"]).values_list("code", flat=True).first() or ""
    limited = raw.get("max_hosts") or raw.get("max_percent")
    budget = {name: raw[name] for name in PackageForm.BUDGET if limited and raw.get(name)}
    return text({**own, "budget": budget}, draft.parameter_data(), draft.node_data())


def text(own: Mapping[str, Any], parameters: Sequence[Any], nodes: Sequence[Mapping[str, Any]]) -> str:
    """Return a package as YAML: its own values in the order of the configuration file, and nothing that says the default."""
    found = {name: own[name] for name in _OWN if own.get(name)}
    found |= {"parameters": [_ordered(each, PARAMETER_KEYS) for each in parameters]} if parameters else {}
    return yaml_text({**found, "nodes": [_tidy(node) for node in nodes]})


def text_of_version(version: PackageVersion) -> str:
    """Return a stored version as YAML, with the package's own values as they are now."""
    package = version.package
    own = {name: getattr(package, name) for name in ("key", "name", "description", "risk", "mode", "budget")}
    business = package.business.code if package.business else ""
    return text({**own, "business": business}, version.parameters, version.nodes)


def read(text: str) -> Content:
    """Return what a YAML text says. Raises Unreadable."""
    if len(text) > MAX_TEXT:
        raise Unreadable([_("YAML 最长 %s KiB") % (MAX_TEXT // 1024)])
    try:
        data = read_yaml(text)
    except ValidationError as error:
        raise Unreadable(error.messages) from error
    faults = _strange("", data, (*_OWN, "parameters", "nodes"))
    lists = {name: data.get(name) or [] for name in ("parameters", "nodes")}
    for name, known in (("parameters", PARAMETER_KEYS), ("nodes", NODE_KEYS)):
        if not isinstance(lists[name], list):
            raise Unreadable([*faults, _("%s 应为列表") % name])
        for at, each in enumerate(lists[name]):
            faults += _strange(f"{name}[{at}]", each, known)
    faults += [message for at, node in enumerate(lists["nodes"]) for message in _inner(f"nodes[{at}]", node)]
    head = {name: value for name, value in data.items() if name in _OWN}
    if not isinstance(head.get("budget") or {}, Mapping):
        faults.append(_("%s 应为对象") % "budget")
    if faults:
        raise Unreadable(faults)
    return Content(_head(head), lists["parameters"], lists["nodes"])


def applied(posted: Draft, written: str) -> Draft:
    """Return the editor of what a text says, unjudged; or the sent editor with the faults of the text."""
    head = posted.head
    try:
        content = read(written)
        if head.package:
            _refuse_other(content.head, head.package)
    except Unreadable as error:
        kept = posted.acted("redraw", "")
        kept.text, kept.loose = written, error.messages
        return kept
    layout = {str(form["id"].value()): place.split(",") for form in posted.nodes if (place := form["place"].value())}
    kept_values = {name: value for name, value in raw_of(head).items() if name in ("note", "base")}
    form = PackageForm(head.user, head.package, initial={**kept_values, **content.head})
    return Draft.of(form, content.parameters, content.nodes, layout)


def _refuse_other(own: dict[str, Any], package: Package) -> None:
    """Raise Unreadable for a key or mode that is not the package's: neither is changed by saving a version."""
    if own.pop("key", package.key) != package.key:
        raise Unreadable([_("标识保存后不能改，这里是 %s") % package.key])
    if own.pop("mode", package.mode) != package.mode:
        raise Unreadable([_("模式在套餐页的「运行方式」里改，这里是 %s") % package.mode])


def _head(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the initial values of the form. The text is the whole truth: what it leaves out is empty."""
    code = data.get("business")
    business = Business.objects.filter(code=code, archived=False).first() if code else None
    if code and business is None:
        raise Unreadable([_("没有业务 %s") % code])
    budget = {name: (data.get("budget") or {}).get(name) for name in PackageForm.BUDGET}
    own = {name: data[name] for name in ("key", "name", "risk", "mode") if name in data}
    return {**own, **budget, "description": data.get("description", ""), "business": business.pk if business else ""}


def _strange(where: str, value: Any, known: Sequence[str]) -> list[str]:
    if not isinstance(value, Mapping):
        return [_("%s 应为对象") % where]
    return [
        _("%(where)s 里没有 %(key)s 这一项") % {"where": where or _("套餐"), "key": key}
        for key in value
        if key not in known
    ]


def _inner(where: str, node: Any) -> list[str]:
    if not isinstance(node, Mapping):
        return []
    names = ("params", "retries", "next")
    wrong = [name for name in names if not isinstance(node.get(name) or {}, Mapping)]
    strange = [] if "next" in wrong else _strange(f"{where}.next", node.get("next") or {}, EDGES)
    return [_("%s 应为对象") % f"{where}.{name}" for name in wrong] + strange


def _ordered(data: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return a mapping in the order of these names, with the others behind them: equal ones are equal texts."""
    return {name: data[name] for name in dict.fromkeys([*names, *sorted(data)]) if name in data}


def _tidy(node: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: node[name] for name in NODE_KEYS if node.get(name)}
    if "params" in found and node.get("type") in RUNNERS:
        found["params"] = _ordered(found["params"], [field.name for field in RUNNERS[node["type"]].fields])
    if not (node.get("retries") or {}).get("count"):
        found.pop("retries", None)
    if found.get("join") == "all":
        del found["join"]
    edges = {kind: targets[0] if len(targets) == 1 else targets for kind, targets in found.get("next", {}).items()}
    return {**found, "next": edges} if edges else found
