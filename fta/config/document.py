"""Apply and export the portal's configuration as one document.

A section that is present is the whole truth of its kind, an absent one is left alone, an empty one empties. All of it happens in
one transaction: a single fault, or a dry run, leaves nothing behind. Sections of the floors above are named by dotted path in
FTA_CONFIG_SECTIONS, in the order in which they depend on each other.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, cast

import yaml
from django.conf import settings
from django.db import models, transaction
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from fta import audit
from fta.config.reader import Errors, Reader
from fta.lib import plain
from fta.lib.env import secret
from fta.models import ConfigVersion

_SHOWN = 10  # users in an error
_WORDS: Mapping[str, Any] = {
    "rule": _("接入规则"),
    "package": _("自愈套餐"),
    "convergence rule": _("收敛规则"),
    "source": _("告警源"),
    "host": _("主机"),
    "person": _("人员"),
    "api key": _("API 密钥"),
    "credential": _("凭据"),
    "approval policy": _("审批策略"),
    "channel": _("通知服务"),
    "notification rule": _("通知规则"),
    "rules and packages that name no policy": _("未指明策略的规则与套餐"),
}
_ENV = re.compile(r"\$\{ENV:([A-Za-z_][A-Za-z0-9_]*)\}")


class InvalidConfiguration(Exception):
    """The document was refused whole; `errors` names each fault by its path."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


class _DryRun(Exception):
    """Roll back what a dry run did."""


class Use(NamedTuple):
    """Something of a section that is named by something else that is in use, such as the rule "disk full"."""

    section: str
    name: str
    kind: str
    user: str

    def __str__(self) -> str:
        return f"{self.kind} {self.user}".strip()

    @property
    def words(self) -> str:
        """Return who uses it, as people call it."""
        return f"{_WORDS.get(self.kind, self.kind)} {self.user}".strip()


class Section(Protocol):
    """One top-level key of the document. `apply` gets its value, or [] for an emptied section."""

    name: str

    def apply(self, data: Any, run: "Run") -> None:
        """Make the database say what the section says; faults go to run.errors."""

    def export(self) -> Any:
        """Return the section's value as it stands, secrets left out; None or [] when there is nothing."""


class Naming(Protocol):
    """What a section whose rows name those of sections is besides."""

    def uses(self) -> Iterable[Use]:
        """Yield what the rows that are in use name: nothing of it may be taken away."""


@dataclass
class Run:
    """One application of a document: its clock, actor, faults and the changes it made."""

    now: datetime
    actor: str
    errors: Errors = field(default_factory=Errors)
    warnings: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    _gone: list[tuple[str, str]] = field(default_factory=list)
    _later: list[Callable[[], None]] = field(default_factory=list)
    _claimed: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def readers(self, name: str, data: Any) -> list[Reader]:
        """Return a reader for each item of a list section."""
        if not isinstance(data, list):
            self.errors.add(name, "must be a list")
            return []
        return [Reader(item, f"{name}[{index}]", self.errors) for index, item in enumerate(data)]

    def claim(self, reader: Reader, key: str, value: str) -> str:
        """Return a value that one item of a section may have; "", with a fault, where an earlier item has it."""
        first = self._claimed.setdefault((reader.path.partition("[")[0], key, value), reader.path)
        if value and first != reader.path:
            reader.fault(key, f'"{value}" is the {key} of {first} already')
            return ""
        return value

    def later(self, call: Callable[[], None]) -> None:
        """Run `call` when every section has been read: references may point forward. What it puts off itself comes last."""
        self._later.append(call)

    def upsert(self, model: type[models.Model], key: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
        """Create or change one row; only what differs is written and listed as a change."""
        row = model._default_manager.filter(**key).first()
        label = f"{model._meta.model_name} {'/'.join(str(v) for v in key.values())}"
        if row is None:
            row = model._default_manager.create(**key, **values)
            self.changed(f"+ {label}", row)
            return row
        differing = [name for name, value in values.items() if getattr(row, name) != value]
        if differing:
            for name in differing:
                setattr(row, name, values[name])
            row.save(update_fields=differing)
            self.changed(f"~ {label}: {', '.join(differing)}", row)
        return row

    def set_many(self, row: models.Model, name: str, wanted: list[Any]) -> None:
        """Make a many-to-many relation exactly `wanted`."""
        relation = getattr(row, name)
        if {item.pk for item in relation.all()} != {item.pk for item in wanted}:
            relation.set(wanted)
            self.changed(f"~ {row._meta.model_name} {row}: {name}", row)

    def leave_out(self, section: str, rows: Iterable[Any], key: str = "name", **values: Any) -> None:
        """Archive rows that others name by a key; it is a fault where somebody still does when all has been applied."""
        left = list(rows)
        self.gone(section, [getattr(row, key) for row in left])
        self.archive(left, **values)

    def gone(self, section: str, names: Iterable[str]) -> None:
        """Note what the section no longer has, for the question at the end whether anything names it."""
        self._gone += [(section, name) for name in names]

    def archive(self, rows: Iterable[Any], **values: Any) -> None:
        """Take rows that the section no longer names out of use; nothing is deleted under a running execution."""
        for row in rows:
            type(row)._default_manager.filter(pk=row.pk).update(**(values or {"archived": True}))
            self.changed(f"- {row._meta.model_name} {row}", row)

    def give_up(self, rows: Iterable[Any], column: str) -> None:
        """Empty a column that only one row may fill, in rows that have lost the right to it: another one fills it now."""
        for row in rows:
            type(row)._default_manager.filter(pk=row.pk).update(**{column: ""})
            self.changed(f"~ {row._meta.model_name} {row}: {column}", row)

    def changed(self, text: str, row: models.Model) -> None:
        """Note a change, on the list and in the audit trail."""
        self.changes.append(text)
        audit.record(self.actor, "config.apply", row, at=self.now, change=text)

    def finish(self) -> None:
        """Resolve what was put off."""
        for call in self._later:  # a call may put another one off
            call()
        used = _used() if self._gone else {}
        for section, name in self._gone:
            if users := [str(use) for use in used.get((section, name), ())]:
                self.errors.add(section, f'"{name}" is in use by {_few(users)}; keep it here, or change those')


@lru_cache(maxsize=1)
def sections() -> Mapping[str, Section]:
    """Return the sections by name, in the order in which they are applied."""
    return {section.name: section for section in (import_string(path)() for path in settings.FTA_CONFIG_SECTIONS)}


def users_of(section: str, name: str) -> list[Use]:
    """Return by whom something of a section is named."""
    return _used().get((section, name), [])


def _used() -> dict[tuple[str, str], list[Use]]:
    found: dict[tuple[str, str], dict[Use, None]] = {}
    for section in sections().values():
        for use in cast(Naming, section).uses() if hasattr(section, "uses") else ():
            found.setdefault((use.section, use.name), {})[use] = None
    return {named: list(uses) for named, uses in found.items()}


def _few(users: Sequence[str]) -> str:
    more = len(users) - _SHOWN
    return ", ".join(users[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def load(text: str) -> dict[str, Any]:
    """Read YAML as plain JSON. Raises InvalidConfiguration for text that is no mapping of version 1."""
    try:
        document = _json(yaml.safe_load(text))
    except (
        yaml.YAMLError,
        ValueError,
        RecursionError,
    ) as error:  # ValueError: an unquoted day that is none, 2026-02-30
        raise InvalidConfiguration([f"not YAML: {error}"]) from error
    if not isinstance(document, dict):
        raise InvalidConfiguration(["the document must be a mapping of sections"])
    if document.get("version") != 1:
        raise InvalidConfiguration([f"version: is {document.get('version')!r}; 1 is expected"])
    if faults := [f"{path}: {message}" for path, message in plain.faults(document)]:
        raise InvalidConfiguration(faults)
    return document


def _json(value: Any) -> Any:
    """Return what YAML has read with days and times as texts, and every name as one: unquoted, they are none."""
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def _environment(value: Any, path: str, run: Run) -> Any:
    """Replace ${ENV:NAME}. A value that is nothing but an unset variable becomes absent, with a warning."""
    if isinstance(value, dict):
        return {key: _environment(item, f"{path}.{key}" if path else str(key), run) for key, item in value.items()}
    if isinstance(value, list):
        return [_environment(item, f"{path}[{index}]", run) for index, item in enumerate(value)]
    if not isinstance(value, str) or "${ENV:" not in value:
        return value
    for name in _ENV.findall(value):
        if not secret(name):
            run.warnings.append(f"{path}: the environment variable {name} is not set; the value is left empty")
    filled = _ENV.sub(lambda found: secret(found[1]), value)
    return filled or None


def apply(text: str, actor: str, now: datetime, dry_run: bool = False) -> Run:
    """Apply a document and return what changed.

    Raises InvalidConfiguration, with nothing applied, when anything in it is wrong.
    """
    document = load(text)
    run = Run(now=now, actor=actor)
    document = _environment(document, "", run)
    for name in document:
        if name != "version" and name not in sections():
            run.errors.add(name, f"unknown section; known are {', '.join(sections())}")
    try:
        with transaction.atomic():
            _apply(document, run)
            if dry_run:
                raise _DryRun
    except _DryRun:
        pass
    return run


def _apply(document: dict[str, Any], run: Run) -> None:
    for name, section in sections().items():
        if name in document:
            section.apply(document[name] if document[name] is not None else [], run)
    if not run.errors.found:
        run.finish()
    if run.errors.found:
        raise InvalidConfiguration(run.errors.found)
    for kind in ("rules", "shields", "convergence", "packages", "channels", "notification_rules"):
        ConfigVersion.bump(kind)


def export() -> str:
    """Return the configuration as YAML that `apply` takes; secrets are left out, for they are not ours to print."""
    document: dict[str, Any] = {"version": 1}
    for name, section in sections().items():
        value = section.export()
        if value:
            document[name] = value
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=120)
