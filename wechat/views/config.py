"""The configuration page /doc/wechat_config/, for administrators only."""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

import yaml
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from fta import audit
from fta.config.document import sections
from fta.lib import http
from fta.lib.secrets import MASK
from fta.models.scope import is_admin
from notify import outbox
from notify.message import Message
from wechat import menu
from wechat.client import NotConfigured
from wechat.errors import WecomError
from wechat.forms import ConfigForm, TestMessageForm, generate
from wechat.models import WecomApp
from wechat.selectors import active_app, applications
from wechat.services import configuration
from wechat.services.diagnosis import Diagnosis

_GENERATED = ("token", "encoding_aes_key", "api_token")
_TAIL = 4

View = Callable[..., HttpResponse]


def admins_only(view: View) -> View:
    """Let administrators in; others are told that they may not, visitors are asked to sign in."""

    @wraps(view)
    @login_required
    def guarded(request: HttpRequest, **found: Any) -> HttpResponse:
        if not is_admin(request.user):
            raise PermissionDenied
        return view(request, **found)

    return guarded


@admins_only
@never_cache
@require_http_methods(["GET", "POST"])
def config(request: HttpRequest) -> HttpResponse:
    """Show the configuration of an application (?app=<id>, ?app=new), change it, or fill in a generated secret."""
    app = _chosen(request)
    if request.method != "POST":
        form = ConfigForm(initial=ConfigForm.initial_of(app, configuration.admin_userids()), app=app)
        return _page(request, form, app)
    wanted = request.POST.get("generate", "")
    if wanted in _GENERATED:
        data = request.POST.copy()
        data[wanted] = generate(wanted)
        return _page(request, ConfigForm(initial=data.dict(), app=app), app)
    form = ConfigForm(request.POST, request.FILES, app=app)
    if not form.is_valid():
        return _page(request, form, app, status=422)
    admins = form.cleaned_data.get("approval_admins")
    saved = configuration.save(form.changes(), admins, request.user.get_username(), timezone.now(), app)
    messages.success(request, _("已保存。Token 与 EncodingAESKey 改动后，企业微信那边也要改成一样的。"))
    return redirect(f"{_address(saved)}diagnose=1")


def _chosen(request: HttpRequest) -> WecomApp | None:
    """Return the application that the request names; a new one without a row for `new`; else the default one, if any."""
    wanted = request.POST.get("app", request.GET.get("app", ""))
    if wanted == "new":
        return WecomApp()
    if not wanted:
        return active_app()
    found = next((app for app in applications() if str(app.pk) == wanted), None)
    if found is None:
        raise Http404
    return found


def _address(app: WecomApp | None) -> str:
    """Return the address of an application's page, ready for one more parameter."""
    return f"{reverse('wechat:config')}?{'' if app is None or app.is_default else f'app={app.pk}&'}"


@admins_only
@require_POST
def make_default(request: HttpRequest) -> HttpResponse:
    """Let the portal speak through another application."""
    app = _chosen(request)
    if app is None or not app.pk:
        raise Http404
    configuration.make_default(app, request.user.get_username(), timezone.now())
    messages.success(
        request, _("“%(name)s”已设为默认应用：审批卡片、登录和没有另选应用的通知都由它发出。") % {"name": app}
    )
    return redirect("wechat:config")


@admins_only
@require_POST
def archive(request: HttpRequest) -> HttpResponse:
    """Take an application out of use."""
    app = _chosen(request)
    if app is None or not app.pk:
        raise Http404
    try:
        done = configuration.archive(app, request.user.get_username(), timezone.now())
    except configuration.StillUsed as used:
        messages.error(request, _("没有归档：通知服务“%(names)s”由它发送，先给它们换一个应用。") % {"names": used})
        return redirect(_address(app))
    if done:
        messages.success(request, _("已归档“%(name)s”，不再收发。") % {"name": app})
    else:
        messages.error(request, _("默认应用不能归档；先把另一个设为默认。"))
    return redirect("wechat:config")


@admins_only
@require_safe
def export(request: HttpRequest) -> HttpResponse:
    """Download the section of the configuration file that sets WeCom up; it holds no secret."""
    document = {"version": 1, "wecom": sections()["wecom"].export()}
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
    headers = {"Content-Disposition": 'attachment; filename="wecom.yaml"'}
    return HttpResponse(text, content_type="application/yaml; charset=utf-8", headers=headers)


@admins_only
@require_POST
def publish_menu(request: HttpRequest) -> HttpResponse:
    """Write the menu into WeCom; the diagnosis then reads it back."""
    app = _chosen(request)
    try:
        if app is None or not app.pk:
            raise NotConfigured
        menu.publish(app, request.user.get_username(), timezone.now())
        messages.success(request, _("菜单已发布，约 5 分钟后在手机上出现。"))
        return redirect(f"{_address(app)}diagnose=1")
    except NotConfigured:
        messages.error(request, _("请先保存企业 ID、AgentId 与 Secret。"))
    except menu.NoAddress:
        messages.error(request, _("菜单没有发布：还不知道门户的地址，请先填写微信端地址并保存。"))
    except WecomError as error:
        said = _("菜单没有发布。企业微信拒绝：%(code)s，%(meaning)s。%(remedy)s")
        info = error.info
        messages.error(request, said % {"code": error.errcode, "meaning": info.meaning, "remedy": info.remedy})
    except http.HttpError as error:
        messages.error(request, _("菜单没有发布：%(why)s") % {"why": error})
    return redirect(_address(app))


@admins_only
@require_POST
def send_test(request: HttpRequest) -> HttpResponse:
    """Post a test message of the application that is shown; how it went is on the deliveries' page."""
    form, app = TestMessageForm(request.POST), _chosen(request)
    if not form.is_valid():
        messages.error(request, _("请填写接收测试消息的企业微信账号。"))
        return redirect(_address(app))
    name = app.name if app and app.pk and not app.is_default else ""
    now, userid = timezone.now(), form.cleaned_data["to"]
    text = _("【故障自愈】测试消息，由 %(who)s 发出。收到即表示应用消息可用。") % {"who": request.user.get_username()}
    outbox.post(
        dedup_key=f"wechat-test:{name}:{userid}:{now.timestamp()}", kind="wecom_app", event="channel.test",
        message=Message(form="text", text=text, data={"app": name} if name else {}), recipients=[userid], now=now,
    )  # fmt: skip
    about = ("wechat.wecomapp", name or "default")
    audit.record(request.user.get_username(), "wechat.test_message", about, now, to=userid)
    messages.success(request, _("测试消息已交给投递，结果见投递记录。"))
    return redirect(_address(app))


def _page(request: HttpRequest, form: ConfigForm, app: WecomApp | None, status: int = 200) -> HttpResponse:
    now = timezone.now()
    context: dict[str, Any] = {
        "form": form,
        "app": app,
        "apps": applications(),
        "address": _address(app) if app and app.pk else "",
        "masks": _masks(app),
        "paste": _paste(app),
        "overlap": app.previous_until if app and len(app.callback_secrets(now)) > 1 else None,
        "simulator": settings.WECOM_SIMULATOR and app and app.api_base.removesuffix("cgi-bin/"),
    }
    if app and app.pk and request.method == "GET" and "diagnose" in request.GET:
        context |= _diagnosis(app, now)
    return render(request, "wechat/config.html", context, status=status)


def _diagnosis(app: WecomApp, now: datetime) -> dict[str, Any]:
    made = Diagnosis(app, now)
    checks = made.run()
    passed = sum(check.state == "ok" for check in checks)
    return {
        "checks": checks,
        "passed": passed,
        "diagnosed_at": now,
        "took": timezone.now() - now,
        "menu_now": made.buttons,
    }


def _masks(app: WecomApp | None) -> dict[str, str]:
    """Return what the page shows of each secret: dots and the last four characters, so that two can be told apart."""
    values = {name: getattr(app, name) for name in configuration.SECRETS} if app and app.pk else {}
    return {name: MASK + value[-_TAIL:] if len(value) > 4 * _TAIL else MASK for name, value in values.items() if value}


def _paste(app: WecomApp | None) -> dict[str, str]:
    """Return the values that go into WeCom's console, built from 微信端地址."""
    if app is None or not app.app_url:
        return {}
    host = urlsplit(app.app_url).netloc
    return {"entry": f"{app.app_url}entry/", "domain": host, "todo": f"{app.app_url}todo/"}
