"""What a search text names: #20418 an execution, an address or a name a host, a key or a name a package."""

import ipaddress
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q
from django.urls import NoReverseMatch, reverse

from fta.models import Alert, Execution, Host, Package
from fta.web import selectors

AT_MOST = 10
LARGEST_ID = (1 << 63) - 1


@dataclass
class Found:
    """Hits by kind."""

    executions: list[Execution] = field(default_factory=list)
    hosts: list[Host] = field(default_factory=list)
    packages: list[Package] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)

    @property
    def urls(self) -> list[str]:
        """Return the pages of all hits; the alerts of a host that was found do not count, its page has them."""
        urls = [reverse("web:execution", args=[each.pk]) for each in self.executions]
        urls += [reverse("web:host", args=[each.pk]) for each in self.hosts]
        urls += [package_url(each) for each in self.packages]
        if not urls:
            urls = [reverse("web:alert", args=[each.pk]) for each in self.alerts]
        return urls


def package_url(package: Package) -> str:
    """Return the page of a package, or the list of its executions."""
    try:
        return reverse("web:package", args=[package.key])
    except NoReverseMatch:
        return f"{reverse('web:executions')}?package={package.pk}"


def find(user: Any, text: str) -> Found:
    """Search among what the user may see."""
    number = text.lstrip("#").partition("_")[0]
    if not text:
        return Found()
    if number.isascii() and number.isdigit() and int(number) <= LARGEST_ID:
        return Found(executions=list(selectors.executions(user).filter(pk=int(number))))
    hosts = selectors.hosts(user)
    alerts = selectors.alerts(user).order_by("-pk")
    if _is_ip(text):
        return Found(hosts=list(hosts.filter(ip=text)), alerts=list(alerts.filter(target=text)[:AT_MOST]))
    packages = Package.objects.visible_to(user).filter(archived=False)
    return Found(
        hosts=list(hosts.filter(name__icontains=text)[:AT_MOST]),
        packages=list(packages.filter(Q(key__icontains=text) | Q(name__icontains=text))[:AT_MOST]),
        alerts=list(alerts.filter(Q(title__icontains=text) | Q(alert_type__icontains=text))[:AT_MOST]),
    )


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
