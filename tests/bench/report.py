"""Figures with what is wanted of them, and how they are printed."""

import math
import os
import platform
import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True)
class Wanted:
    """A limit: `kind` is gate (must hold) or goal (to be proud of)."""

    kind: str
    text: str
    met: bool

    def __str__(self) -> str:
        return f"{self.kind} {self.text}: {'met' if self.met else 'MISSED'}"


@dataclass(frozen=True)
class Figure:
    """One line of the report."""

    part: str
    name: str
    value: str
    wanted: tuple[Wanted, ...] = ()


def at_least(kind: str, value: float, limit: float, unit: str = "×") -> Wanted:
    return Wanted(kind, f"≥ {limit:g}{unit}", not math.isnan(value) and value >= limit)


def at_most(kind: str, value: float, limit: float, unit: str = "×") -> Wanted:
    return Wanted(kind, f"≤ {limit:g}{unit}", not math.isnan(value) and value <= limit)


def show(figures: list[Figure], on: str) -> str:
    """Return the report as text; `on` says what was measured on."""
    lines = [on, ""]
    part = ""
    for figure in figures:
        if figure.part != part:
            part = figure.part
            lines.append(part)
        wanted = " · ".join(str(item) for item in figure.wanted)
        lines.append(f"  {_padded(figure.name, 52)} {_padded(figure.value, 34)} {wanted}".rstrip())
    limits = [item for figure in figures for item in figure.wanted]
    for kind in ("gate", "goal"):
        of_kind = [item for item in limits if item.kind == kind]
        lines.append(f"{kind}s met: {sum(item.met for item in of_kind)} of {len(of_kind)}")
    return "\n".join(lines)


def machine() -> str:
    """Return what is measured on, and how busy it is before."""
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, load before {load:.1f}, {platform.machine()}, Python {platform.python_version()}; ratios of one "
        "run, medians of the rounds. Absolute figures hold for this hour only."
    )


def _padded(text: str, width: int) -> str:
    wide = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
    return text + " " * max(0, width - wide)
