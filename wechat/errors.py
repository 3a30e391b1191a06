"""What WeCom's error codes mean and what an operator should do about them.

Source: the vendor's page of global error codes (document path 90313) and the pages of the single calls.
"""

import re
from dataclasses import dataclass
from typing import Literal

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# retry: again with back-off · token: drop the token, fetch one, repeat once · admin: stop until an administrator acts
# data: this message or its data is wrong · wait: a limit's window must pass first · login: start the login again
Kind = Literal["retry", "token", "admin", "data", "wait", "login"]


@dataclass(frozen=True)
class ErrorInfo:
    """What a code asks of the caller, what it means and how it is put right."""

    kind: Kind
    meaning: str | Promise
    remedy: str | Promise


class WecomError(Exception):
    """WeCom answered with an error code other than 0."""

    def __init__(self, errcode: int, errmsg: str = "", api: str = "") -> None:
        super().__init__(f"{errcode} {errmsg}".strip())
        self.errcode = errcode
        self.errmsg = errmsg
        self.api = api  # the call that was refused, such as message/send

    @property
    def info(self) -> ErrorInfo:
        """Return what the code means."""
        return explain(self.errcode, self.api)


_SECRET = _("在企业微信管理后台打开该应用，重新复制 Secret，填到本门户的企业微信配置里；应用被停用时先启用它。")
_CORP = _("在管理后台“我的企业”页底部复制企业 ID，填到本门户的企业微信配置里。")
_AGENT = _("核对企业微信配置里的 AgentId 与 Secret 属于同一个应用。")
_TOKEN = _("门户会自动重新获取令牌并重发一次；若反复出现，检查是否有别的系统在用同一个 Secret。")
_PERSON = _("在门户的人员里核对企业微信账号，它不是内部登录名；账号必须在应用的可见范围里。")
_VISIBLE = _("在管理后台打开该应用，把相关成员或部门加入“可见范围”。")
_ROOT = _(
    "群聊接口只给可见范围是根部门（全公司）的应用用：在管理后台打开该应用，把“可见范围”改为最上级部门，再重发；"
    "不能这样改时，改用群机器人。"
)
_CARD = _("卡片内容不符合企业微信的格式，消息未发出；检查模板里的标题、按钮和链接。")
_CHAT = _("核对群聊的 chatid、群主与成员；群必须由本应用创建。")
_ROBOT = _("在群里重新添加消息推送机器人，把新的 Webhook 地址填到通知服务里。")
_SHORTER = _("缩短模板，或改用文本卡片加链接。")
_WINDOW = _("等限制的时间窗过去后自动重发；若持续出现，减少通知规则或合并消息。")
_MENU = _("核对菜单的数量、名称和链接，重新发布菜单。")
_TRUSTED_IP = _(
    "在管理后台打开该应用 → 企业可信IP，加入本门户的出口地址（须先设置接收消息的 URL 或可信域名；"
    "只能填本企业自己的 IP）。约 1 分钟后生效，随后重发失败的消息。"
)
_BUG = _("门户发出的请求不完整，请把投递记录里的请求与应答交给维护人员。")

_Row = tuple[tuple[int, ...], Kind, str | Promise, str | Promise]
_ROWS: tuple[_Row, ...] = (
    ((-1,), "retry", _("企业微信系统繁忙"), _("门户会自动重试，最多 3 次。")),
    ((6000,), "retry", _("数据版本冲突"), _("门户会自动重试。")),
    ((45033,), "retry", _("并发调用过多"), _("门户会自动重试；若持续出现，减少工作进程数。")),
    ((40014,), "token", _("access_token 无效"), _TOKEN),
    ((42001,), "token", _("access_token 已过期"), _TOKEN),
    ((45009,), "wait", _("调用频率超过上限"), _WINDOW),
    ((40029, 42003, 42022), "login", _("登录 code 无效、已用过或超过 5 分钟"), _("重新从企业微信进入页面。")),
    ((40001,), "admin", _("Secret 与企业 ID 不匹配、已被重置，或应用已停用"), _SECRET),
    ((40091,), "admin", _("Secret 不合法，可能属于别的企业"), _SECRET),
    ((40013,), "admin", _("企业 ID 无效"), _CORP),
    ((40056,), "admin", _("AgentId 不是整数，或没有这个应用"), _AGENT),
    ((41011,), "admin", _("没有 AgentId"), _AGENT),
    ((301002,), "admin", _("令牌所属的应用无权操作这个 AgentId"), _AGENT),
    ((48002,), "admin", _("该应用无权调用此接口"), _VISIBLE),
    ((48005,), "admin", _("接口已停用"), _("升级本门户。")),
    ((48006,), "admin", _("接口权限因长期未用被收回"), _("在管理后台重新为应用开启该接口的权限。")),
    ((50001,), "admin", _("登录跳转的域名不是应用的可信域名"),
     _("在管理后台打开该应用 → 网页授权及JS-SDK，把门户的域名设为可信域名（端口也要一致）。")),
    ((50003, 60031), "admin", _("应用已停用或不能调用接口"), _("在管理后台启用该应用。")),
    ((60011,), "admin", _("无权访问该成员、部门或标签"), _VISIBLE),
    ((60020,), "admin", _("调用方的 IP 不在企业可信 IP 里"), _TRUSTED_IP),
    ((85005,), "admin", _("可信域名的归属未验证"), _("下载验证文件，填到企业微信配置的域名验证里，再回管理后台验证。")),
    ((93000,), "admin", _("机器人的 Webhook 无效，或机器人已被移除"), _ROBOT),
    ((93004,), "admin", _("机器人已被停用"), _ROBOT),
    ((93008,), "admin", _("机器人不在群里"), _ROBOT),
    ((301007,), "admin", _("企业已解散或被封禁"), _("联系企业微信的企业管理员。")),
    ((40003,), "data", _("成员账号不合法或不存在"), _PERSON),
    ((60111, 46004), "data", _("没有这个成员，或不在应用的可见范围里"), _PERSON),
    ((81013,), "data", _("接收人全部无效或不可见"), _PERSON),
    ((82001,), "data", _("没有接收人"), _("为通知服务或通知规则填上接收人。")),
    ((40032,), "data", _("一条消息里的成员超过 1000 个"), _("改发给部门、标签或 @all，或拆成几个通知服务。")),
    ((82002, 82003), "data", _("部门或标签超过 100 个"), _("把接收范围拆成几条规则。")),
    ((82102,), "data", _("更新的对象不是卡片的接收人"), _("只更新收到过这张卡片的成员。")),
    ((40066, 40068), "data", _("没有这个部门或标签"), _("核对通知服务里的部门或标签编号。")),
    ((40007,), "data", _("素材无效或已过 3 天"), _("重新上传素材。")),
    ((40008,), "data", _("消息类型不支持"), _("换一种消息类型。")),
    ((40033,), "data", _("请求里含有 \\u 转义字符"), _BUG),
    ((40039, 45034), "data", _("链接超过 1024 字节，或缺少 http(s)://"), _("缩短链接，或检查门户地址的配置。")),
    ((40058, 40063, 41001, 41002, 41004), "data", _("请求的参数缺失或不合法"), _BUG),
    ((41033,), "data", _("文本卡片缺少描述"), _("为模板填上正文。")),
    ((44001,), "data", _("上传的文件为空"), _("检查消息所带的图片或文件，再重发。")),
    ((40009, 45001), "data", _("图片或文件超过大小上限"), _("换小一些的图片或文件，再重发。")),
    ((44003, 44004), "data", _("消息内容为空"), _("检查模板：它对这条告警没有产生内容。")),
    ((45002, 45008), "data", _("消息内容超过上限"), _SHORTER),
    ((82004,), "data", _("内容会使客户端异常"), _("去掉模板里的特殊字符。")),
    ((42014,), "data", _("卡片的 task_id 已用过，这一张没有送达"),
     _("同一个应用可能还连着另一套门户。审批人可以按文字消息里的编号回复，或打开审批列表。")),
    ((60140,), "data", _("卡片的更新凭据已用过或超过 72 小时"), _("卡片不能再更新，门户会改发一条新消息。")),
    ((42052,), "data", _("消息已超过 24 小时，不能撤回"), _("改发一条更正消息。")),
    ((46003,), "data", _("应用还没有菜单"), _("在企业微信配置页发布菜单。")),
    ((40016, 40022, 40023, 40024, 40026, 40027, 40054, 40055), "data", _("菜单不合法"), _MENU),
    ((*range(42015, 42052),), "data", _("模板卡片不合法"), _CARD),
    ((40050, 86001, 86003, 86004, 86005, 86006, 86007, 86008, 86207, 86215, 86216), "data",
     _("群聊不存在，或群名、群主、成员不合法"), _CHAT),
)  # fmt: skip
_TABLE = {code: ErrorInfo(kind, meaning, remedy) for codes, kind, meaning, remedy in _ROWS for code in codes}
# The same codes mean something else where an application speaks in a group chat (page 90244).
_IN_CHATS = {
    code: ErrorInfo("admin", _("该应用不能使用群聊：它的可见范围不是根部门"), _ROOT) for code in (48002, 60011)
}
_UNLISTED = ErrorInfo("data", _("企业微信返回了未收录的错误"), _("在企业微信开发者中心的错误码查询工具里查看原因。"))


def explain(errcode: int, api: str = "") -> ErrorInfo:
    """Return what an error code of a call asks for, its meaning and its remedy; an unlisted code is treated as bad data."""
    if api.startswith("appchat/") and errcode in _IN_CHATS:
        return _IN_CHATS[errcode]
    return _TABLE.get(errcode, _UNLISTED)


def seen_ip(errmsg: str) -> str:
    """Return the caller's address as WeCom saw it, from "…, from ip: 203.0.113.7, more info at …", or ""."""
    found = re.search(r"from ip:\s*([0-9a-fA-F.:]+)", errmsg)
    return found.group(1) if found else ""
