"""Ready packages: one YAML file each in fta/library/, in the shape of `packages[]` of the configuration file.

A package is made from one as a copy of its own; a later version of the file does not reach it.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from django.utils.translation import gettext as _

from fta.config import editing
from fta.config.healing import package_key, package_values
from fta.config.reader import Errors, Reader
from fta.models import Business, Package

_HOME = Path(__file__).parent.parent / "library"


@dataclass(frozen=True)
class Ready:
    """One ready package: its own values, nodes and parameters."""

    key: str
    values: dict[str, Any]
    nodes: list[Any]
    parameters: list[Any]

    @property
    def risk(self) -> str:
        """Return the word for its risk."""
        return str(Package.Risk(self.values["risk"]).label)

    @property
    def scripts(self) -> list[str]:
        """Return the texts of its scripts."""
        return [node["params"]["script"] for node in self.nodes if node["type"] == "script"]


class FaultyFile(ValueError):
    """A file of the library is not a package: a fault of the portal's own."""


@cache
def ready_packages() -> dict[str, Ready]:
    """Return the ready packages by key, in the order of their names."""
    found = [_read(path) for path in sorted(_HOME.glob("*.yaml"))]
    return {each.key: each for each in sorted(found, key=lambda each: str(each.values["name"]))}


def _read(path: Path) -> Ready:
    errors = Errors()
    reader = Reader(yaml.safe_load(path.read_text(encoding="utf-8")), path.name, errors)
    key = package_key(reader)
    values, nodes, parameters = package_values(key, reader)
    if errors.found:
        raise FaultyFile("; ".join(errors.found))
    return Ready(key, values, nodes, parameters)


def make(ready: Ready, key: str, business: Business | None, actor: str, now: datetime) -> Package:
    """Make a package of a ready one under a key that is free.

    It asks before each run until its owners set it forward. Raises InvalidEdit, InvalidPackage.
    """
    if Package.objects.filter(key=key).exists():
        raise editing.InvalidEdit([("key", _("这个标识已经有套餐在用（可能已归档）"))])
    values = {**ready.values, "key": key, "business": business}
    note = _("取自模板 %(name)s") % {"name": ready.key}
    package = Package()
    editing.save_package(package, values, ready.nodes, ready.parameters, {}, actor, note, now)
    return package
