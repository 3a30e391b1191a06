"""The parts of the platform and how each is: for the health page, the dashboard and the readiness probe."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.models import Heartbeat
from fta.operations.due import due_work
from fta.templatetags.moments import rough_text
from fta.web import upstairs

OK, WARNING, ERROR = "ok", "warning", "error"
ENGINE_SILENT = timedelta(seconds=30)
LATE_SECONDS = 30
STUCK_SECONDS = 300
BROKER_TIMEOUT = 0.5  # seconds
WECOM_LOOKS_BACK = timedelta(hours=1)
_PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671, "pyamqp": 5672}


@dataclass(frozen=True)
class Part:
    """One part: its state is ok, warning (it works, look at it) or error (the platform does not do its work)."""

    key: str
    label: str | Promise
    state: str
    text: str
    remedy: str = ""


def parts(now: datetime) -> list[Part]:
    """Return every part; when the database is away, only what can be told without it."""
    first = database()
    known = [first, broker()]
    if first.state == ERROR:
        return known
    checks: list[Callable[[datetime], Part]] = [engine, work, wecom]
    return known + [check(now) for check in checks]


def database() -> Part:
    """Ask the database one small question."""
    label = gettext_lazy("数据库")
    begun = time.monotonic()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return Part("database", label, ERROR, _("连不上"), _("检查 DATABASE_URL 和数据库进程；恢复后自动继续。"))
    elapsed = (time.monotonic() - begun) * 1000
    return Part("database", label, OK, _("%(n).1f 毫秒") % {"n": elapsed})


def broker() -> Part:
    """Knock at the broker's door, half a second at most.

    A broker that is away, or that nobody has set, is no error: it only rings, and the engine finds due work without it.
    """
    label = gettext_lazy("消息代理")
    if not settings.CELERY_BROKER_URL:
        return Part("broker", label, OK, _("没有设置，由引擎轮询处理"))
    begun = time.monotonic()
    url = urlsplit(settings.CELERY_BROKER_URL)
    try:
        port = url.port or _PORTS.get(url.scheme, 5672)
        socket.create_connection((url.hostname or "127.0.0.1", port), timeout=BROKER_TIMEOUT).close()
    except (OSError, ValueError):
        return Part("broker", label, WARNING, _("连不上，由引擎轮询处理"), _("检查 CELERY_BROKER_URL 和代理进程。"))
    return Part("broker", label, OK, _("%(n).1f 毫秒") % {"n": (time.monotonic() - begun) * 1000})


def engine(now: datetime) -> Part:
    """Look for the youngest heartbeat of an engine."""
    label = gettext_lazy("引擎")
    beat = Heartbeat.objects.filter(role="engine").order_by("-beat_at").first()
    remedy = _("在任一台服务器上运行 python manage.py engine。")
    if beat is None:
        return Part("engine", label, ERROR, _("没有心跳"), remedy)
    text = _("心跳 %(span)s前") % {"span": rough_text(now - beat.beat_at)}
    if now - beat.beat_at > ENGINE_SILENT:
        return Part("engine", label, ERROR, text, remedy)
    return Part("engine", label, OK, text)


def work(now: datetime) -> Part:
    """Look at the oldest item that is due and was not done."""
    label = gettext_lazy("待办最老一项")
    oldest = max(due_work(now), key=lambda each: (each.age(now), each.count))
    age = oldest.age(now)
    if not oldest.count:
        return Part("work", label, OK, _("没有积压"))
    text = _("%(span)s（%(kind)s）") % {"span": rough_text(age), "kind": oldest.kind}
    state = ERROR if age > STUCK_SECONDS else WARNING if age > LATE_SECONDS else OK
    remedy = "" if state == OK else _("引擎没有跟上：看引擎日志，或再开一个引擎。")
    return Part("work", label, state, text, remedy)


def wecom(now: datetime) -> Part:
    """Judge WeCom by what became of the latest message sent through it; never asks WeCom itself."""
    label = gettext_lazy("企业微信")
    tried = upstairs.deliveries_tried().filter(
        kind__startswith="wecom", state__in=["sent", "failed", "unknown"], created_at__gte=now - WECOM_LOOKS_BACK
    )
    last = tried.order_by("-pk").first()
    if last is None:
        return Part("wecom", label, OK, _("近 1 小时没有消息"))
    if last.state == "sent":
        return Part("wecom", label, OK, _("最近一条已送达"))
    return Part("wecom", label, WARNING, _("最近一条没有送达：%(why)s") % {"why": last.last_error[:120]}, last.remedy)


def is_ready(found: list[Part]) -> bool:
    """Tell whether the platform does its work: no part is in error."""
    return all(part.state != ERROR for part in found)
