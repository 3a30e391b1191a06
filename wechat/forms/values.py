"""What single values of the WeCom configuration have to be, for its page and for the configuration file."""

import re
import secrets
import string
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from wechat.models import DEFAULT_API_URL, WecomApp

# Printed in the original's manual and in its start-up data: whoever knows them could forge callbacks.
PUBLISHED = ("FTAToken", "FTAEncodingAESKeyFTAEncodingAESKey923456781")
KEY_LENGTH = 43
TOKEN_LENGTH = 32
API_TOKEN_MIN = 16
VERIFY_BYTES = 256
MOST_PER_MINUTE = 100_000
_LETTERS = string.ascii_letters + string.digits
USERID = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_VERIFY_NAME = re.compile(r"WW_verify_([A-Za-z0-9]{1,64})\.txt")
SPLIT = re.compile(r"[,，;；、|\s]+")


def generate(field: str) -> str:
    """Return a fresh random value for a secret that we choose ourselves."""
    length = {"encoding_aes_key": KEY_LENGTH, "token": TOKEN_LENGTH}.get(field, 40)
    return "".join(secrets.choice(_LETTERS) for _index in range(length))


def app_url(value: str) -> str:
    """Return 微信端地址 as it is stored, "" for none; raises ValidationError."""
    if not value:
        return ""
    parts = web_address(value)
    path = f"{parts.path.rstrip('/')}/"
    if not path.endswith("/wechat/") or parts.query or parts.fragment:
        raise ValidationError(_("地址要以 wechat/ 结尾，后面不带参数。"))
    return f"{parts.scheme}://{parts.netloc}{path}"


def static_url(value: str) -> str:
    """Return 静态资源地址 as it is stored; raises ValidationError."""
    value = value or "/static/wechat/"
    if not value.startswith("/") or value.startswith("//"):
        web_address(value)
    return f"{value.rstrip('/')}/"


def api_url(value: str) -> str:
    """Return 接口地址 as it is stored; raises ValidationError."""
    value = value or DEFAULT_API_URL
    web_address(value)
    return value


def secret_leaves(app: WecomApp | None, address: str) -> bool:
    """Tell whether the stored Secret would be sent to an origin that it was not entered for.

    Whoever changes the address may not know the Secret, and must not be told it by the server that the address names.
    """
    if app is None or not app.secret or not address:
        return False
    return _origin(WecomApp(api_url=address).api_base) != _origin(app.api_base)


def _origin(address: str) -> tuple[str, str | None, int]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def check_token(value: str) -> str:
    """Return what is wrong with a callback Token, "" for nothing."""
    if not re.fullmatch(rf"[A-Za-z0-9]{{1,{TOKEN_LENGTH}}}", value):
        return _("Token 是 1 至 32 位字母或数字。")
    return _published(value)


def check_aes_key(value: str) -> str:
    """Return what is wrong with an EncodingAESKey, "" for nothing."""
    if len(value) != KEY_LENGTH:
        return _("现在是 %(n)d 位，应为 43 位字母或数字。") % {"n": len(value)}
    if not re.fullmatch(r"[A-Za-z0-9]+", value):
        return _("只能是字母或数字，共 43 位。")
    return _published(value)


def verify_content(name: str) -> str:
    """Return what a verification file holds when nobody uploaded it: what WeCom puts into its name."""
    found = _VERIFY_NAME.fullmatch(name)
    return found[1] if found else ""


def check_verify_file(name: str, content: str = "") -> str:
    """Return what is wrong with a verification file, "" for nothing."""
    if not _VERIFY_NAME.fullmatch(name):
        return _("文件名形如 WW_verify_xxxx.txt。")
    if content and (len(content) > VERIFY_BYTES or not re.fullmatch(r"[\x21-\x7e]+", content)):
        return _("校验文件的内容是一行字母数字，不超过 %(n)d 字节；请重新下载，不要改动。") % {"n": VERIFY_BYTES}
    return ""


def check_api_token(value: str) -> str:
    """Return what is wrong with the token of create_approve, "" for nothing."""
    if len(value) < API_TOKEN_MIN or not re.fullmatch(r"[\x21-\x7e]+", value):
        return _("API Token 至少 16 位，只能是可见的英文字符，不能有空格。")
    return _published(value)


def _published(value: str) -> str:
    return _("这是公开文档里的默认值，任何人都能用它伪造回调；请生成一个新的。") if value in PUBLISHED else ""


def web_address(value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        port_is_right = parts.port != 0
    except ValueError:
        parts, port_is_right = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or not port_is_right:
        raise ValidationError(_("这不是网址，要以 http:// 或 https:// 开头。"))
    return parts
