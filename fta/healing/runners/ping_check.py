"""确认主机不通: asks the host of the plan by TCP or ICMP whether it answers."""

import ipaddress
import shutil
import socket
import subprocess
import time

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.healing.runners.base import NodeType, Outcome, StepContext
from fta.healing.runners.fields import Fault, Field
from fta.lib.types import JSONDict

_EACH = 2.0  # seconds for one try
_PAUSE = 0.2


class PingCheckRunner(NodeType):
    """Succeeds when the host answers ("up", the default) or does not ("down"); `tcp_port` asks by TCP, else by ICMP.

    By TCP it answers when the connection comes about; a refused one is no answer.
    """

    type = "ping_check"
    label = gettext_lazy("确认主机不通")
    fields = (
        Field("tcp_port", gettext_lazy("TCP 端口"), "integer", gettext_lazy("留空用 ICMP ping")),
        Field(
            "expect",
            gettext_lazy("怎样算成功"),
            "choice",
            choices=(
                ("", gettext_lazy("有应答（默认）")),
                ("up", gettext_lazy("有应答")),
                ("down", gettext_lazy("没有应答")),
            ),
        ),
        Field("count", gettext_lazy("最多试几次"), "integer", gettext_lazy("默认 3 次，有应答就停")),
        Field("icmp", gettext_lazy("只用 ICMP"), "flag", more=True),
    )
    results = ("answered",)
    literal = frozenset({"tcp_port", "icmp", "count", "expect"})

    def validate(self, params: JSONDict) -> list[Fault]:
        """Return what is wrong with the parameters."""
        found = self.strangers(params)
        port, count = params.get("tcp_port"), params.get("count", 3)
        if port is not None and (type(port) is not int or not 1 <= port <= 65535):
            found.append(Fault("tcp_port", _("tcp_port 应为 1 到 65535 的整数")))
        if port is not None and params.get("icmp"):
            found.append(Fault("icmp", _("tcp_port 和 icmp 只能选一个")))
        if type(count) is not int or not 1 <= count <= 20:
            found.append(Fault("count", _("count 应为 1 到 20 的整数")))
        if params.get("expect", "up") not in ("up", "down"):
            found.append(Fault("expect", _("expect 只能是 up 或 down")))
        return found

    def run(self, ctx: StepContext) -> Outcome:
        """Ask up to `count` times; the first answer ends it."""
        ip = str((ctx.host or {}).get("ip") or "")
        port = ctx.params.get("tcp_port")
        if not ip:
            return Outcome("failed", error=_("这次自愈没有主机，无法探测"), outcome="not_sent")
        if port is None and shutil.which("ping") is None:
            return Outcome("failed", error=_("本机没有 ping 命令，请安装 iputils 或改用 tcp_port"), outcome="not_sent")
        address = str(ipaddress.ip_address(ip))  # from the inventory; never a name, never an option
        answered = _answers(ctx, address, int(str(port)) if port is not None else None)
        expected = ctx.params.get("expect", "up") == "up"
        text = _("%s 有应答") % address if answered else _("%s 没有应答") % address
        if answered is expected:
            return Outcome("succeeded", result={"answered": answered}, output=text)
        word = "up" if answered else "down"
        return Outcome("failed", result={"answered": answered}, output=text, error=text, outcome=word)


def _answers(ctx: StepContext, address: str, port: int | None) -> bool:
    until = time.monotonic() + ctx.timeout
    for _turn in range(int(str(ctx.params.get("count", 3)))):
        left = min(_EACH, until - time.monotonic())
        if left <= 0 or ctx.lost.is_set():
            return False
        if _by_tcp(address, port, left) if port is not None else _by_icmp(address, left):
            return True
        ctx.lost.wait(_PAUSE)
    return False


def _by_tcp(address: str, port: int, timeout: float) -> bool:
    try:
        with socket.create_connection((address, port), timeout=timeout):
            return True
    except OSError:
        return False


def _by_icmp(address: str, timeout: float) -> bool:
    command = ["ping", "-n", "-c", "1", "-W", str(max(1, round(timeout))), address]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout + 1, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
