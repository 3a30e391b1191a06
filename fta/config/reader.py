"""Read a configuration document strictly: every fault is kept with its path, and unknown keys are faults."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from fta.lib import plain

_DURATION = re.compile(r"^(\d{1,9})\s*(s|m|h|d)?$")
_UNITS = {None: 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_MISSING: Any = object()
_MOST = 2**31 - 1  # the largest number that a column holds
_FIRST_YEAR, _LAST_YEAR = 1990, 8999  # what lies beyond cannot be shown in every time zone


class Errors:
    """The faults of a document, as "path: what is wrong and what to do"."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, path: str, message: str) -> None:
        self.found.append(f"{path}: {message}")


class Reader:
    """One mapping of the document. Each method takes a key; `end` complains about keys that nobody took."""

    def __init__(self, data: Any, path: str, errors: Errors) -> None:
        self.path = path
        self.errors = errors
        self._taken: set[str] = set()
        if not isinstance(data, dict):
            errors.add(path, "must be a mapping")
            data = {}
        self._data: dict[str, Any] = data

    def fault(self, key: str, message: str) -> None:
        """Record a fault of one key."""
        self.errors.add(f"{self.path}.{key}", message)

    def has(self, key: str) -> bool:
        """Tell whether the key is present."""
        return key in self._data

    def raw(self, key: str, default: Any = None, required: bool = False) -> Any:
        """Take a value as it is."""
        self._taken.add(key)
        value = self._data.get(key, _MISSING)
        if value is _MISSING or value is None:
            if required:
                self.fault(key, "is required")
            return default
        return value

    def text(self, key: str, default: str = "", required: bool = False, limit: int = 255) -> str:
        """Take a string; numbers become strings, as YAML reads unquoted ones."""
        value = self.raw(key, default, required)
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            self.fault(key, "must be text")
            return default
        if required and value == "" and key in self._data:
            self.fault(key, "is required: it is empty")
        if plain.UNSTORABLE.search(str(value)):
            self.fault(key, "holds a NUL character or half of a surrogate pair")
            return default
        if len(str(value)) > limit:
            self.fault(key, f"is longer than {limit} characters")
            return default
        return str(value)

    def number(self, key: str, default: int = 0, least: int = 0, most: int = _MOST) -> int:
        """Take a whole number from `least` to `most`."""
        value = self.raw(key, default)
        if isinstance(value, str) and value.strip().isdecimal() and len(value) < 20:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.fault(key, f"must be a whole number of at least {least}")
            return default
        if value > most:
            self.fault(key, f"must be at most {most}")
            return default
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """Take true or false."""
        value = self.raw(key, default)
        if not isinstance(value, bool):
            self.fault(key, "must be true or false")
            return default
        return value

    def choice(self, key: str, allowed: Sequence[str], default: str = "", required: bool = False) -> str:
        """Take one of the allowed words."""
        value = self.raw(key, default, required)
        if value not in allowed and not (value == default and not required):
            self.fault(key, f"is {value!r}; one of {', '.join(allowed)} is expected")
            return default
        return str(value)

    def seconds(self, key: str, default: int | None = 0, most: int = _MOST) -> int | None:
        """Take a duration such as 30s, 5m, 1h, of `most` seconds at most; a bare number is seconds."""
        value = self.raw(key, None)
        if value is None:
            return default
        found = _DURATION.match(str(value)) if not isinstance(value, bool) else None
        if not found:
            self.fault(key, f"is {value!r}; a duration such as 30s, 5m or 1h is expected")
            return default
        length = int(found[1]) * _UNITS[found[2]]
        if length > most:
            self.fault(key, f"is {value!r}; at most {most // 86400}d is expected")
            return default
        return length

    def moment(self, key: str, required: bool = False) -> datetime | None:
        """Take a point in time; without an offset it is in the portal's zone."""
        value = self.raw(key, None, required)
        if value is None:
            return None
        try:
            found = value if isinstance(value, datetime) else parse_datetime(str(value))
        except ValueError:
            found = None
        if found is None or not _FIRST_YEAR <= found.year <= _LAST_YEAR:
            self.fault(key, f"is {str(value)[:64]!r}; a time such as 2026-01-31T09:00:00+08:00 is expected")
            return None
        return found if timezone.is_aware(found) else found.replace(tzinfo=ZoneInfo(settings.TIME_ZONE))

    def zone(self, key: str) -> str:
        """Take the name of a time zone."""
        name = self.text(key)
        try:
            if name:
                ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            self.fault(key, f'no time zone "{name}"')
            return ""
        return name

    def items(self, key: str) -> list[Any]:
        """Take a list."""
        value = self.raw(key, [])
        if not isinstance(value, list):
            self.fault(key, "must be a list")
            return []
        return value

    def texts(self, key: str) -> list[str]:
        """Take a list of strings."""
        found = []
        for index, item in enumerate(self.items(key)):
            if isinstance(item, (str, int)) and not isinstance(item, bool):
                found.append(str(item))
            else:
                self.errors.add(f"{self.path}.{key}[{index}]", "must be text")
        return found

    def mapping(self, key: str) -> dict[str, Any]:
        """Take a mapping as it is."""
        value = self.raw(key, {})
        if not isinstance(value, dict):
            self.fault(key, "must be a mapping")
            return {}
        for path, message in plain.faults(value, key):
            self.fault(path, message)
        return value

    def child(self, key: str) -> "Reader":
        """Take a mapping to be read on."""
        return Reader(self.raw(key, {}), f"{self.path}.{key}", self.errors)

    def children(self, key: str) -> Iterable["Reader"]:
        """Take a list of mappings to be read on."""
        return [Reader(item, f"{self.path}.{key}[{i}]", self.errors) for i, item in enumerate(self.items(key))]

    def rest(self, known: Iterable[str]) -> dict[str, Any]:
        """Take every key that is not among `known`, as it is: for a part whose keys another module knows."""
        found = {key: value for key, value in self._data.items() if key not in set(known)}
        self._taken.update(self._data)
        return found

    def end(self) -> None:
        """Complain about every key that was not taken."""
        for key in self._data:
            if key not in self._taken:
                known = ", ".join(sorted(self._taken))
                self.errors.add(f"{self.path}.{key}", f"unknown key; known are {known}")
