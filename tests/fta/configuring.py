"""The configuration file as an operator applies and exports it, and what that leaves in the database."""

import io
import sys
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Model

from approvals.models import Policy
from fta.models import (
    AuditEntry,
    Business,
    ConfigVersion,
    ConvergenceRule,
    Host,
    Package,
    PackageVersion,
    Person,
    Rule,
    Shield,
    Source,
)
from notify.models import Channel, NotificationRule
from wechat.models import WecomApp


def apply(text: str, *options: str) -> tuple[list[str], str]:
    """Apply a text as from a pipe; return the lines of changes and what was warned."""
    out, err = StringIO(), StringIO()
    held, sys.stdin = sys.stdin, io.StringIO(text)
    try:
        call_command("apply_config", "-", *options, stdout=out, stderr=err, no_color=True)
    finally:
        sys.stdin = held
    return out.getvalue().splitlines()[:-1], err.getvalue()


def refused(text: str) -> str:
    """Apply a text that must be refused whole."""
    before = snapshot()
    with pytest.raises(CommandError) as raised:
        apply(text)
    assert "nothing was applied" in str(raised.value)
    assert snapshot() == before
    return str(raised.value)


def export() -> str:
    out = StringIO()
    call_command("export_config", stdout=out)
    return out.getvalue()


def snapshot() -> dict[str, list[Any]]:
    kinds: list[type[Model]] = [
        Business, Person, Host, Source, Policy, Package, PackageVersion, Rule, ConvergenceRule, Shield, Channel,
        NotificationRule, WecomApp, AuditEntry, ConfigVersion,
    ]  # fmt: skip
    return {kind.__name__: list(kind._default_manager.order_by("pk").values()) for kind in kinds}
