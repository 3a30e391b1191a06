"""Ten checks of the WeCom set-up, each with what to do about it. They read and call, and change nothing."""

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from django.urls import get_script_prefix, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.lib import http, links
from fta.models import Person
from fta.models.engine import DbNow
from fta.templatetags.moments import full_text, span_text
from notify.models import Delivery
from wechat.client import Answer, Client
from wechat.errors import WecomError, explain, seen_ip
from wechat.models import AccessToken, WecomApp
from wechat.services.configuration import admin_userids

CLOCK_SECONDS = 5
WECOM_CLOCK_SECONDS = 60  # its answers tell whole seconds; callbacks are refused from ten minutes on
ASKED_AT_MOST = 50
FILE_TIMEOUT = (3.0, 5.0)
_OUT_OF_SIGHT = (40003, 46004, 60011, 60111)
_STATUS = {
    2: gettext_lazy("已被禁用"),
    4: gettext_lazy("还没有激活企业微信"),
    5: gettext_lazy("已退出企业"),
}  # page 90196


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
        if url.scheme != "https" or url.port not in (None, 443):
            return Check(
                title, "warning", url.netloc, _("企业微信要求网页授权使用 443 端口的 https；在代理上配置证书。")
            )
        entry = reverse("wechat:entry")
        if get_script_prefix() != "/" and f"{url.path}entry/" != entry:  # "/": a proxy may take the prefix away
            remedy = _("门户的回调入口在 %(path)s；把微信端地址改成以 %(folder)s 结尾。")
            return Check(title, "failed", url.path, remedy % {"path": entry, "folder": entry.removesuffix("entry/")})
        return Check(title, "ok", url.netloc)

    def token(self) -> Check:
        title = _("取得 access_token")
        if not self.app.can_call:
            return Check(title, "failed", _("缺少企业 ID 或 Secret。"), _("在企业微信配置页填写后保存。"))
        try:
            self.client.token()
        except (WecomError, http.HttpError) as error:
            return self._failed(title, error)
        row = AccessToken.objects.filter(app=self.app).exclude(expires_at=None).first()
        self._ask_agent()
        left = span_text(row.expires_at - self.now) if row and row.expires_at else "0"
        return Check(title, "ok", _("剩 %(left)s") % {"left": left})

    def _ask_agent(self) -> None:
        try:
            self.agent = self.client.agent_get()
        except (WecomError, http.HttpError) as error:
            self.trouble = error

    def _failed(self, title: str, error: Exception, state: str = "failed") -> Check:
        self.trouble = error
        if isinstance(error, WecomError):
            info = error.info
            return Check(title, state, str(info.meaning), str(info.remedy), str(error.errcode))
        return Check(title, state, str(error), _("检查本机到接口地址的网络、域名解析与接口地址的填写。"))

    def _undecided(self, title: str) -> Check:
        return Check(title, "warning", _("尚不能判断"), _("先解决上面失败的检查，再重新诊断。"))

    def trusted_ip(self) -> Check:
        title = _("本机出口 IP 可信")
        if isinstance(self.trouble, WecomError) and self.trouble.errcode == 60020:
            address = seen_ip(self.trouble.errmsg)
            detail = _("企业微信看到的地址是 %(ip)s，它不在“企业可信 IP”里，所以消息发不出去。") % {"ip": address}
            return Check(title, "failed", detail, str(explain(60020).remedy), "60020", address)
        if self.agent:
            return Check(title, "ok", _("调用成功"))
        return self._undecided(title)

    def agent_open(self) -> Check:
        title = _("应用已启用、可见")
        if not self.agent:
            named = isinstance(self.trouble, WecomError) and self.trouble.errcode in (
                40056,
                41011,
                50003,
                60031,
                301002,
            )
            return self._failed(title, self.trouble) if named and self.trouble else self._undecided(title)
        if self.agent.get("close"):
            return Check(title, "failed", _("应用已停用"), str(explain(50003).remedy))
        people, parties, tags = (
            len((self.agent.get(name) or {}).get(inner) or [])
            for name, inner in (("allow_userinfos", "user"), ("allow_partys", "partyid"), ("allow_tags", "tagid"))
        )
        if not people + parties + tags:
            return Check(title, "failed", _("可见范围是空的，谁也收不到"), str(explain(60011).remedy))
        seen = _("可见 %(people)d 人、%(parties)d 个部门、%(tags)d 个标签")
        return Check(title, "ok", seen % {"people": people, "parties": parties, "tags": tags})

    def _approvers(self) -> list[str]:
        roles = Person.objects.active().filter(user__groups__name__in=("approver", "operator")).exclude(wecom_userid="")
        people = roles.distinct().values_list("wecom_userid", flat=True)
        return list(dict.fromkeys([*admin_userids(), *people]))

    def approvers_exist(self) -> Check:
        title, wanted = _("审批人存在"), self._approvers()
        if not wanted:
            return Check(title, "failed", "0", _("填写审批管理员，或给人员登记企业微信账号和审批角色。"))
        active = set(Person.objects.active().filter(wecom_userid__in=wanted).values_list("wecom_userid", flat=True))
        count = f"{len(active)} / {len(wanted)}"
        if gone := [userid for userid in wanted if userid not in active]:
            remedy = _("审批管理员 %(who)s 在门户里已停用，请更换。") % {"who": "、".join(gone)}
            return Check(title, "failed", count, remedy)
        return Check(title, "ok", count)

    def approvers_visible(self) -> Check:
        title, wanted = _("审批人在可见范围"), self._approvers()
        asked = wanted[:ASKED_AT_MOST]
        if not self.agent or not wanted:
            return self._undecided(title)
        try:
            hidden = {userid: why for userid in asked if (why := self._out_of_reach(userid))}
        except (WecomError, http.HttpError) as error:  # it says nothing of the members
            return self._failed(title, error, "warning")
        count = f"{len(asked) - len(hidden)} / {len(asked)}"
        if len(asked) < len(wanted):
            count = _("%(count)s，共 %(all)d 人，只查了前面的") % {"count": count, "all": len(wanted)}
        if not hidden:
            return Check(title, "ok", count)
        who = "、".join(_("%(userid)s（%(why)s）") % {"userid": userid, "why": why} for userid, why in hidden.items())
        remedy = _("收不到消息：%(who)s。%(remedy)s没有激活的请本人登录一次企业微信。")
        return Check(title, "failed", count, remedy % {"who": who, "remedy": explain(60011).remedy})

    def _out_of_reach(self, userid: str) -> str:
        """Return why a member gets no message, "" for one who does."""
        try:
            member = self.client.user_get(userid)
        except WecomError as error:
            if error.errcode not in _OUT_OF_SIGHT:
                raise
            return _("不可见")
        return str(_STATUS.get(int(member.get("status") or 0), ""))

    def callback(self) -> Check:
        title = _("回调已验证")
        if not self.app.can_receive:
            return Check(title, "failed", _("缺少 Token 或 EncodingAESKey。"), _("生成后保存，再填到企业微信里。"))
        if self.app.callback_verified_at is None:
            remedy = _(
                "管理后台 → 应用管理 → 应用 → 接收消息 → 设置 API 接收，填入接收消息 URL、Token 与 EncodingAESKey 并保存。"
            )
            return Check(title, "failed", _("企业微信还没有校验过"), remedy, copy=f"{self.app.app_url}entry/")
        return Check(title, "ok", full_text(self.app.callback_verified_at))

    def menu(self) -> Check:
        title, remedy = _("菜单已发布"), _("在企业微信配置页点“发布菜单”，约 5 分钟后在手机上出现。")
        if not self.agent:
            return self._undecided(title)
        try:
            menu = self.client.menu_get()
        except WecomError as error:
            return Check(title, "failed", str(error.info.meaning), remedy, str(error.errcode))
        except http.HttpError as error:
            return self._failed(title, error, "warning")
        self.buttons = list(_buttons(menu.get("button") or []))
        path, wanted = reverse("wechat:todo"), links.absolute(reverse("wechat:todo"))
        lists = [leads for _name, leads in self.buttons if path in unquote(leads)]  # or by way of WeCom's sign-in
        if not lists:
            return Check(title, "failed", _("菜单里没有审批列表"), remedy)
        if not any(wanted in unquote(leads) for leads in lists):
            said = _("“审批列表”指向 %(there)s，门户现在的地址是 %(here)s") % {"there": lists[0], "here": wanted}
            return Check(title, "failed", said, remedy)
        return Check(title, "ok", _("审批列表"))

    def verify_file(self) -> Check:
        title, url = _("域名校验文件可取"), urlsplit(self.app.app_url)
        if not self.app.verify_files:
            remedy = _("在网页授权及JS-SDK里设置可信域名时下载校验文件，上传到企业微信配置页。")
            return Check(title, "warning", _("还没有上传"), remedy)
        if not url.hostname:
            return self._undecided(title)
        origin = f"{url.scheme}://{url.netloc}"
        found = [
            self._served(title, f"{origin}/{file['name']}", str(file["content"])) for file in self.app.verify_files
        ]
        return next((check for check in found if check.state != "ok"), found[0])

    def _served(self, title: str, url: str, content: str) -> Check:
        """Fetch the file as WeCom does: from the root of the domain, whatever stands before the portal."""
        try:
            answer = http.request("GET", url, timeout=FILE_TIMEOUT, trusted=True)
        except http.HttpError as error:
            remedy = _("从本机打不开（%(why)s）。用浏览器打开下面的地址，看到文件内容就没有问题。") % {"why": error}
            return Check(title, "warning", _("尚不能判断"), remedy, copy=url)
        if answer.status != 200 or answer.text.strip() != content.strip():
            remedy = _("代理要把域名根路径的 WW_verify_….txt 原样转给门户，不跳转；写法见 deploy/nginx.conf。")
            said = (
                _("内容不是上传的文件")
                if answer.status == 200
                else _("得到的是 %(status)d") % {"status": answer.status}
            )
            return Check(title, "failed", said, remedy, str(answer.status), copy=url)
        return Check(title, "ok", "200")

    def clock_and_quota(self) -> Check:
        title = _("时钟与额度")
        at = WecomApp.objects.filter(pk=self.app.pk).annotate(at=DbNow()).values_list("at", flat=True).get()
        apart, ahead = abs((at - timezone.now()).total_seconds()), self.client.ahead
        day = self.now - timedelta(days=1)
        sent = Delivery.objects.filter(kind="wecom_app", state=Delivery.State.SENT, sent_at__gt=day).count()
        limited = Delivery.objects.filter(last_code="45009", created_at__gt=day).count()
        detail = _("与数据库差 %(seconds).1f 秒，一天内发出 %(n)d 条") % {"seconds": apart, "n": sent}
        if ahead is not None and abs(ahead) > 1:
            detail = _("与企业微信差 %(seconds).0f 秒，%(rest)s") % {"seconds": abs(ahead), "rest": detail}
        if apart > CLOCK_SECONDS or abs(ahead or 0) > WECOM_CLOCK_SECONDS:
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
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host
