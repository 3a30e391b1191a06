"""Ten checks of the WeCom set-up, each with what to do about it. They read and call, and change nothing."""

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.urls import Resolver404, resolve, reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from fta.lib import http
from fta.models import Person
from fta.models.engine import DbNow
from fta.templatetags.moments import full_text, span_text
from notify.models import Delivery
from wechat.client import Answer, Client
from wechat.errors import WecomError, explain, seen_ip
from wechat.models import AccessToken, WecomApp
from wechat.services.configuration import admin_userids

CLOCK_SECONDS = 5
ASKED_AT_MOST = 50
PER_ACCOUNT_A_DAY = 200


@dataclass(frozen=True)
class Check:
    """The result of one check: `state` is ok, warning or failed; `copy` is a value to paste into WeCom."""

    title: str
    state: str
    detail: str = ""
    remedy: str = ""
    code: str = ""
    copy: str = ""


class Diagnosis:
    """One run over one application; what WeCom was asked once is not asked again."""

    def __init__(self, app: WecomApp, now: datetime) -> None:
        self.app = app
        self.now = now
        self.client = Client(app)
        self.agent: Answer = {}
        self.trouble: Exception | None = None
        self.buttons: list[tuple[str, str]] = []  # the menu as WeCom has it: names, and where they lead

    def run(self) -> list[Check]:
        """Return the ten checks, those that failed first."""
        checks: list[Callable[[], Check]] = [
            self.address,
            self.token,
            self.trusted_ip,
            self.agent_open,
            self.approvers_exist,
            self.approvers_visible,
            self.callback,
            self.menu,
            self.verify_file,
            self.clock_and_quota,
        ]
        found = [check() for check in checks]
        return sorted(found, key=lambda check: ("failed", "warning", "ok").index(check.state))

    def address(self) -> Check:
        title, url = _("地址格式可从外网访问"), urlsplit(self.app.app_url)
        if not url.hostname:
            return Check(title, "failed", _("还没有填写微信端地址。"), _("填写外网能访问的地址，以 wechat/ 结尾。"))
        if _is_inner(url.hostname):
            return Check(title, "warning", url.hostname, _("这是内网地址，手机上的企业微信打不开；换成外网域名。"))
        if url.scheme != "https":
            return Check(
                title, "warning", url.scheme, _("企业微信要求网页授权使用 443 端口的 https；在代理上配置证书。")
            )
        return Check(title, "ok", url.netloc)

    def token(self) -> Check:
        title = _("取得 access_token")
        if not self.app.can_call:
            return Check(title, "failed", _("缺少企业 ID 或 Secret。"), _("在左侧填写后保存。"))
        try:
            self.client.token()
            self.agent = self.client.agent_get()
        except (WecomError, http.HttpError) as error:
            self.trouble = error
        row = AccessToken.objects.filter(app=self.app).exclude(expires_at=None).first()
        if row is None or row.expires_at is None:
            return self._failed(title)
        return Check(title, "ok", _("剩 %(left)s") % {"left": span_text(row.expires_at - self.now)})

    def _failed(self, title: str) -> Check:
        error = self.trouble
        if isinstance(error, WecomError):
            info = error.info
            return Check(
                title, "failed", str(info.meaning), str(info.remedy), str(error.errcode), seen_ip(error.errmsg)
            )
        remedy = _("检查本机到接口地址的网络、域名解析与接口地址的填写。")
        return Check(title, "failed", str(error or _("前面的检查没有通过。")), remedy)

    def trusted_ip(self) -> Check:
        title = _("本机出口 IP 可信")
        if isinstance(self.trouble, WecomError) and self.trouble.errcode == 60020:
            address = seen_ip(self.trouble.errmsg)
            detail = _("企业微信看到的地址是 %(ip)s，它不在“企业可信 IP”里，所以消息发不出去。") % {"ip": address}
            return Check(title, "failed", detail, str(explain(60020).remedy), "60020", address)
        if self.agent:
            return Check(title, "ok", _("调用成功"))
        return Check(title, "warning", _("尚不能判断"), _("先解决取得 access_token 的问题。"))

    def agent_open(self) -> Check:
        title = _("应用已启用、可见")
        if not self.agent:
            return self._failed(title) if self.trouble else Check(title, "warning", _("尚不能判断"))
        if self.agent.get("close"):
            return Check(title, "failed", _("应用已停用"), str(explain(50003).remedy))
        people = len((self.agent.get("allow_userinfos") or {}).get("user") or [])
        parties = len((self.agent.get("allow_partys") or {}).get("partyid") or [])
        return Check(title, "ok", _("可见 %(people)d 人、%(parties)d 个部门") % {"people": people, "parties": parties})

    def _approvers(self) -> list[str]:
        roles = Person.objects.active().filter(user__groups__name__in=("approver", "operator")).exclude(wecom_userid="")
        people = roles.distinct().values_list("wecom_userid", flat=True)
        return list(dict.fromkeys([*admin_userids(), *people]))[:ASKED_AT_MOST]

    def approvers_exist(self) -> Check:
        title, wanted = _("审批人存在"), self._approvers()
        if not wanted:
            return Check(title, "failed", "0", _("填写审批管理员，或给人员登记企业微信账号和审批角色。"))
        active = Person.objects.active().filter(wecom_userid__in=wanted).count()
        if active < len(wanted):
            return Check(title, "failed", f"{active} / {len(wanted)}", _("有审批管理员在门户里已停用，请更换。"))
        return Check(title, "ok", f"{active} / {len(wanted)}")

    def approvers_visible(self) -> Check:
        title, wanted = _("审批人在可见范围"), self._approvers()
        if not self.agent or not wanted:
            return Check(title, "warning", _("尚不能判断"))
        hidden = [userid for userid in wanted if not self._is_visible(userid)]
        count = f"{len(wanted) - len(hidden)} / {len(wanted)}"
        if hidden:
            remedy = _("%(who)s 收不到消息。%(remedy)s") % {"who": "、".join(hidden), "remedy": explain(60011).remedy}
            return Check(title, "failed", count, remedy)
        return Check(title, "ok", count)

    def _is_visible(self, userid: str) -> bool:
        try:
            self.client.user_get(userid)
        except (WecomError, http.HttpError):
            return False
        return True

    def callback(self) -> Check:
        title = _("回调已验证")
        if not self.app.can_receive:
            return Check(title, "failed", _("缺少 Token 或 EncodingAESKey。"), _("生成后保存，再填到企业微信里。"))
        if self.app.callback_verified_at is None:
            remedy = _(
                "管理后台 → 应用管理 → 应用 → 接收消息 → 设置 API 接收，填入右侧的 URL、Token 与 EncodingAESKey 并保存。"
            )
            return Check(title, "failed", _("企业微信还没有校验过"), remedy, copy=f"{self.app.app_url}entry/")
        return Check(title, "ok", full_text(self.app.callback_verified_at))

    def menu(self) -> Check:
        title, remedy = _("菜单已发布"), _("点右上角“发布菜单”，约 5 分钟后在手机上出现。")
        if not self.agent:
            return Check(title, "warning", _("尚不能判断"))
        try:
            menu = self.client.menu_get()
        except WecomError as error:
            return Check(title, "failed", str(error.info.meaning), remedy, str(error.errcode))
        except http.HttpError as error:
            return Check(title, "failed", str(error), remedy)
        self.buttons = list(_buttons(menu.get("button") or []))
        if reverse("wechat:todo") not in str(menu):
            return Check(title, "failed", _("菜单里没有审批列表"), remedy)
        return Check(title, "ok", _("审批列表"))

    def verify_file(self) -> Check:
        title = _("域名校验文件可取")
        if not self.app.verify_files:
            remedy = _("在网页授权及JS-SDK里设置可信域名时下载校验文件，上传到左侧。")
            return Check(title, "warning", _("还没有上传"), remedy)
        path = f"/{self.app.verify_files[0]['name']}"
        try:
            resolve(path)
        except Resolver404:
            return Check(title, "failed", path, _("文件名形如 WW_verify_xxxx.txt。"))
        return Check(title, "ok", path)

    def clock_and_quota(self) -> Check:
        title = _("时钟与额度")
        at = WecomApp.objects.filter(pk=self.app.pk).annotate(at=DbNow()).values_list("at", flat=True).get()
        apart = abs((at - timezone.now()).total_seconds())
        day = self.now - timedelta(days=1)
        sent = Delivery.objects.filter(kind="wecom_app", state=Delivery.State.SENT, sent_at__gt=day).count()
        limited = Delivery.objects.filter(last_code="45009", created_at__gt=day).count()
        detail = _("差 %(seconds).1f 秒，一天内发出 %(n)d 条") % {"seconds": apart, "n": sent}
        if apart > CLOCK_SECONDS:
            return Check(title, "failed", detail, _("为门户与数据库的主机配置时间同步；相差 10 分钟时回调会被拒绝。"))
        if limited:
            return Check(
                title, "warning", detail, _("一天内有 %(n)d 条触及频率上限，合并或减少通知规则。") % {"n": limited}
            )
        return Check(title, "ok", detail)


def _buttons(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for row in rows:
        if row.get("sub_button"):
            yield from _buttons(row["sub_button"])
        else:
            yield str(row.get("name", "")), str(row.get("url") or row.get("key") or "")


def examine(now: datetime) -> Iterator[tuple[str, str, str, str]]:
    """Return the checks of every application as (state, part, text, remedy), for `manage.py doctor` (FTA_EXAMINATIONS)."""
    words = {"ok": "ok", "warning": "warn", "failed": "fail"}
    for app in WecomApp.objects.filter(archived=False).exclude(corp_id="").order_by("-is_default", "id"):
        for check in Diagnosis(app, now).run():
            text = " ".join(part for part in (check.code, check.detail, check.copy) if part)
            yield words[check.state], f"wecom {app} {check.title}", text, check.remedy


def _is_inner(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False
