"""Whether an alert may be healed at all, before convergence is asked: pure functions of loaded rows."""

from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from fta.healing import inner
from fta.models import Alert, Mode, Package, Rule
from fta.models.packages import stricter


def nothing_to_run(rule: Rule) -> str:
    """Return why a rule only records, in words; "" when it has something to run."""
    package = rule.package
    if package is None:
        return _("接入规则没有套餐，仅记录")
    if package.archived or package.current is None:
        return _("套餐「%(name)s」没有可用的版本，仅记录") % {"name": package.name}
    if mode_of(rule, package) == Mode.OFF:
        return _("接入规则或套餐已停用自愈，仅记录")
    return ""


def unfit(alert: Alert, rule: Rule, now: datetime) -> tuple[str, str]:
    """Return the alert's outcome, and why it must not be healed although a rule would: "" when it may be."""
    if alert.target_kind != "host":
        return Alert.Outcome.UNUSABLE_TARGET, _("告警没有可用的对象（本机回环、无对象或无法解析），不自愈")
    if alert.host is None:
        return Alert.Outcome.UNUSABLE_TARGET, _("主机 %(target)s 未登记，不自愈") % {"target": alert.target}
    age = now - alert.starts_at if alert.starts_at else timedelta()
    if rule.stale_after is not None and age > timedelta(seconds=rule.stale_after):
        minutes = int(age.total_seconds() // 60)
        return Alert.Outcome.STALE, _("告警开始于 %(minutes)s 分钟前，已过时，不自愈") % {"minutes": minutes}
    return Alert.Outcome.MATCHED, ""


def mode_of(rule: Rule | None, package: Package | None) -> str:
    """Return how far the portal may go by a rule and its package, with those inside it: the strictest of their modes."""
    modes = ([rule.mode] if rule else []) + ([inner.mode_of(package)] if package else [])
    return stricter(*modes) if modes else Mode.OFF
