"""What a connection and a credential must be, for the admin and the configuration file alike."""

import re
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from fta.lib.ssh import InvalidKey, private_key, public_key
from fta.models import Credential, Host

_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.@\\-]{0,63}")


def connection_faults(values: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with the connection of a host, by the field of `Host`.

    Host key and credential may come later: until then every script on the host fails with nothing sent.
    """
    if values.get("connection") != Host.Connection.SSH:
        return {}
    found = {}
    credential = values.get("credential")
    if not _USER.fullmatch(values.get("ssh_user") or ""):
        found["ssh_user"] = _("SSH 连接要有用户名，如 ops")
    if not 1 <= (values.get("ssh_port") or 0) <= 65535:
        found["ssh_port"] = _("端口应为 1 到 65535")
    if credential is not None and credential.kind == Credential.Kind.TOKEN:
        found["credential"] = _("令牌不能用于 SSH，请选私钥或密码")
    elif credential is not None and "business" in values and not credential.serves(values["business"]):
        found["credential"] = _("凭据属于另一个业务")
    try:
        if values.get("host_key"):
            public_key(values["host_key"])
    except InvalidKey as error:
        found["host_key"] = str(error)
    return found


def secret_needed(stored: Credential | None, kind: str, url: str) -> str:
    """Return why a stored secret must be entered anew, '' where it need not be.

    Whoever changes the address may not know the secret, and must not be told it by the server that the address names.
    """
    if stored is None or not stored.secret:
        return ""
    if kind != stored.kind:
        return _("改了类型，请重新填写内容")
    return _("改了平台地址，请重新填写内容") if url != stored.url else ""


def secret_fault(kind: str, secret: str) -> str:
    """Return what is wrong with the secret of a credential of this kind, '' for nothing."""
    try:
        if kind == Credential.Kind.SSH_KEY:
            private_key(secret)
    except InvalidKey as error:
        return str(error)
    return ""
