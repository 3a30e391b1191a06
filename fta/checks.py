"""System checks: every plug resolves, every secret opens, every destination that is allowed can be read."""

import ipaddress
import re
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError
from django.db.models import CharField
from django.db.models.functions import Substr
from django.utils.module_loading import import_string

from fta.config.document import Section
from fta.engine.kinds import WorkKind
from fta.lib.fields import SealedTextField
from fta.lib.secrets import PREFIX, key_ids
from fta.ports import Gate, Messenger

SHORTEST_KEY = 24  # characters
_KEY_ID = len(PREFIX) + 1 + 8  # characters of a sealed value that name its key
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?", re.I)
_ONE: dict[str, type[Any]] = {"FTA_APPROVAL_GATE": Gate, "FTA_MESSENGER": Messenger}
_SEVERAL: dict[str, type[Any]] = {"FTA_WORK_KINDS": WorkKind, "FTA_CONFIG_SECTIONS": Section}
_FUNCTIONS = ("FTA_EXAMINATIONS", "FTA_METRICS")


@register()
def plugs_resolve(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Report plugs that are missing, do not load, or lack what is asked of them; without its gate nothing may start."""
    found: list[CheckMessage] = []
    for name, wanted in _ONE.items():
        found += _plug(name, getattr(settings, name, ""), wanted)
    for name, wanted in _SEVERAL.items():
        paths = list(getattr(settings, name, ()))
        found += [problem for path in paths for problem in _plug(name, path, wanted)]
        found += [_error(4, f"{name} names {path} twice.", "Name it once.") for path in _twice(paths)]
        if not paths:
            found.append(_error(1, f"{name} is empty.", "Set it to the list of dotted paths in fta/settings.py."))
    for name in _FUNCTIONS:
        found += [problem for path in getattr(settings, name, ()) for problem in _function(name, path)]
    return found


def _function(name: str, path: str) -> list[CheckMessage]:
    try:
        loads = callable(import_string(path))
    except ImportError:
        loads = False
    return [] if loads else [_error(2, f"{name}: {path} does not load.", "Correct the dotted path of the function.")]


def _plug(name: str, path: str, wanted: type[Any]) -> list[CheckMessage]:
    if not path:
        return [_error(1, f"{name} is not set.", "Set it to the dotted path of a class.")]
    try:
        made = import_string(path)()
    except (ImportError, TypeError) as error:
        return [_error(2, f"{name}: {path} does not load: {error}", "Correct the dotted path of the class.")]
    public = {*vars(wanted), *getattr(wanted, "__annotations__", ())}
    missing = sorted(each for each in public if not each.startswith("_") and not hasattr(made, each))
    if missing:
        text = f"{name}: {path} lacks {', '.join(missing)}."
        return [_error(3, text, f"See {wanted.__module__}.{wanted.__name__}.")]
    return []


def _twice(paths: Sequence[str]) -> list[str]:
    return sorted({path for path in paths if paths.count(path) > 1})


@register(Tags.security, deploy=True)
def secret_keys_are_long(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Report sealing keys that can be guessed; by number, for they are not to be printed."""
    hint = "Make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'. Keep the old one behind it."
    return [
        Warning(f"Key {place} of FTA_SECRET_KEYS has fewer than {SHORTEST_KEY} characters.", hint=hint, id="fta.W005")
        for place, key in enumerate(settings.FTA_SECRET_KEYS, start=1)
        if len(key) < SHORTEST_KEY
    ]


@register(Tags.database)
def sealed_columns_open(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Report columns that were sealed with a key which is no longer there."""
    found: list[CheckMessage] = []
    known = {f"{PREFIX}:{kid}" for kid in key_ids()}
    fields = [field for model in apps.get_models() for field in model._meta.concrete_fields]
    for field in fields if databases else ():
        if isinstance(field, SealedTextField):
            for unknown in sorted(_key_ids_in(field) - known):
                text = f"{field.context} holds values sealed with key {unknown.removeprefix(PREFIX + ':')}."
                found.append(_error(6, text, "Put that key back into FTA_SECRET_KEYS, behind the present one."))
    return found


def _key_ids_in(field: SealedTextField) -> set[str]:
    """Return how the stored values of a sealed column begin; nothing while there is no table yet."""
    begins = Substr(field.name, 1, _KEY_ID, output_field=CharField())
    rows = field.model._default_manager.annotate(begins=begins).exclude(begins="").order_by()
    try:
        return set(rows.values_list("begins", flat=True).distinct())
    except DatabaseError:
        return set()


@register(Tags.security)
def allowed_destinations_parse(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Report entries of FTA_HTTP_ALLOW that allow nothing because they cannot be read."""
    hint = "Write a host, host:port, address, address:port or network: api.example.com, 10.0.0.7:8080, 10.0.0.0/8."
    return [
        _error(7, f"FTA_HTTP_ALLOW: {entry!r} is no destination.", hint)
        for entry in settings.FTA_HTTP_ALLOW
        if not _is_destination(entry.strip())
    ]


def _is_destination(entry: str) -> bool:
    if _is_network(entry):
        return True
    if "/" in entry:
        return False
    host, colon, port = entry.rpartition(":") if entry.count(":") == 1 or "]:" in entry else (entry, "", "")
    if colon and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        return False
    if host.startswith("[") and host.endswith("]"):
        return _is_network(host[1:-1])
    is_numeric = bool(re.fullmatch(r"[0-9.]+", host))
    return _is_network(host) if is_numeric else bool(_HOST.fullmatch(host))


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _error(number: int, text: str, hint: str) -> CheckMessage:
    return Error(text, hint=hint, id=f"fta.E{number:03}")
