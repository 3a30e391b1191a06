"""What a select offers, by the rights of the user."""

from typing import Any

from django.utils.translation import gettext as _

from fta.config import references
from fta.models import Business, Package
from fta.models.scope import in_scope, is_admin


def businesses(user: Any) -> list[tuple[str, Any]]:
    """Return the businesses that the user may give a row to, by id; an admin may also give it to all (global)."""
    rows = Business.objects.filter(in_scope(user, "pk", "operator"), archived=False)
    everywhere: list[tuple[str, Any]] = [("", _("全局（所有业务）"))] if is_admin(user) else []
    return [*everywhere, *((str(row.pk), row.name) for row in rows)]


def packages(user: Any) -> list[tuple[str, Any]]:
    """Return the packages that a rule of the user may run, by id."""
    rows = Package.objects.visible_to(user).filter(archived=False)
    return [("", _("不执行，只记录")), *((str(row.pk), f"{row.name}（{row.key}）") for row in rows)]


def policies(current: str) -> list[tuple[str, Any]]:
    """Return the names of approval policies; `current` stays on offer when it is gone, so that a form does not change it."""
    names = references.policies()
    missing = [(current, _("%(name)s（已不存在）") % {"name": current})] if current and current not in names else []
    return [("", _("按套餐与业务的默认策略")), *((name, name) for name in names), *missing]


def channels() -> list[str]:
    """Return the names of the channels in use."""
    return references.channels()
