"""Where a script runs: this machine, or the host of the plan over SSH."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from fta.healing.runners.journal import Target
from fta.lib import ssh
from fta.lib.types import JSONDict
from fta.models import Credential, Host

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/"}


class NoTarget(Exception):
    """The host of the plan is not one on which scripts may run; the text says why, for people."""


class Local:
    """This machine. Nothing of the portal's own environment reaches the script."""

    contained = True

    @property
    def root(self) -> str:
        """Return the folder of the journal."""
        return str(Path(settings.VAR_DIR).resolve() / "journal")

    def call(self, command: Sequence[str], given: bytes, seconds: float) -> bytes:
        """Run a command and return its standard output. Raises ssh.NotReached, ssh.Interrupted."""
        try:
            ran = subprocess.run(
                command,
                input=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ssh.Interrupted(_("本机没有按时应答")) from error
        except OSError as error:
            raise ssh.NotReached(_("本机不能启动进程：%s") % error.strerror, again=True) from error
        return ran.stdout

    def close(self) -> None:
        """Do nothing: there is no connection."""


class Remote(ssh.Connection):
    """A host over SSH."""

    contained = False

    @property
    def root(self) -> str:
        """Return the folder of the journal there."""
        return str(settings.FTA_SSH_JOURNAL)


def target_of(host: JSONDict | None) -> Target:
    """Return the target of a plan's host. Raises NoTarget."""
    connection = (host or {}).get("connection")
    if host is not None and connection == Host.Connection.SSH:
        return _remote(host)
    if connection != Host.Connection.LOCAL:
        raise NoTarget(_("主机没有配置连接方式，无法执行脚本；请在主机管理中设置"))
    if not settings.FTA_LOCAL_SCRIPTS:
        raise NoTarget(_("未允许在本机执行脚本；如确需，请由管理员设置 FTA_LOCAL_SCRIPTS=1 后重启"))
    return Local()


def _remote(host: JSONDict) -> Remote:
    """Address, port, user, host key and credential are those of the plan, whatever the inventory says by now."""
    plan: dict[str, Any] = dict(host)
    credential = Credential.objects.select_related("business").filter(pk=plan.get("credential") or 0).first()
    if credential is None or not credential.secret or credential.kind == Credential.Kind.TOKEN:
        raise NoTarget(_("主机没有配置可用于 SSH 的凭据（私钥或密码）"))
    if credential.business and credential.business.code != plan.get("business"):
        raise NoTarget(_("主机的凭据属于另一个业务，不能用于这台主机"))
    if not plan.get("ssh_user"):
        raise NoTarget(_("主机没有配置 SSH 用户"))
    secret = {"key" if credential.kind == Credential.Kind.SSH_KEY else "password": credential.secret}
    return Remote(plan["ip"], int(plan["ssh_port"]), plan["ssh_user"], plan["host_key"], **secret)
