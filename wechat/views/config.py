"""The configuration page /doc/wechat_config/, for administrators only."""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from fta import audit
from fta.lib import http
from fta.lib.secrets import MASK
from fta.models.scope import is_admin
from notify import outbox
from notify.message import Message
from wechat import menu
from wechat.client import NotConfigured, default_app
from wechat.errors import WecomError
from wechat.forms import ConfigForm, TestMessageForm, generate
from wechat.models import WecomApp
from wechat.selectors import active_app
from wechat.services import configuration
from wechat.services.diagnosis import Diagnosis

_GENERATED = ("token", "encoding_aes_key", "api_token")
_TAIL = 4

View = Callable[[HttpRequest], HttpResponse]


def admins_only(view: View) -> View:
    """Let administrators in; others are told that they may not, visitors are asked to sign in."""

    @wraps(view)
    @login_required
    def guarded(request: HttpRequest) -> HttpResponse:
        if not is_admin(request.user):
            raise PermissionDenied
        return view(request)

    return guarded


@admins_only
@never_cache
@require_http_methods(["GET", "POST"])
def config(request: HttpRequest) -> HttpResponse:
    """Show the configuration, change it, or fill in a generated secret."""
    app = active_app()
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
    admins = form.cleaned_data["approval_admins"]
    configuration.save(form.changes(), admins, request.user.get_username(), timezone.now())
    messages.success(request, _("已保存。Token 与 EncodingAESKey 改动后，企业微信那边也要改成一样的。"))
    return redirect(f"{reverse('wechat:config')}?diagnose=1")


@admins_only
@require_POST
def publish_menu(request: HttpRequest) -> HttpResponse:
    """Write the menu into WeCom."""
    try:
        menu.publish(default_app(), request.user.get_username(), timezone.now())
        messages.success(request, _("菜单已发布，约 5 分钟后在手机上出现。"))
    except NotConfigured:
        messages.error(request, _("请先保存企业 ID、AgentId 与 Secret。"))
    except WecomError as error:
        said = _("菜单没有发布。企业微信拒绝：%(code)s，%(meaning)s。%(remedy)s")
        info = error.info
        messages.error(request, said % {"code": error.errcode, "meaning": info.meaning, "remedy": info.remedy})
    except http.HttpError as error:
        messages.error(request, _("菜单没有发布：%(why)s") % {"why": error})
    return redirect("wechat:config")


@admins_only
@require_POST
def send_test(request: HttpRequest) -> HttpResponse:
    """Post a test message; how it went is on the deliveries' page."""
    form = TestMessageForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("请填写接收测试消息的企业微信账号。"))
        return redirect("wechat:config")
    now, userid = timezone.now(), form.cleaned_data["to"]
    text = _("【故障自愈】测试消息，由 %(who)s 发出。收到即表示应用消息可用。") % {"who": request.user.get_username()}
    outbox.post(
        dedup_key=f"wechat-test:{userid}:{now.timestamp()}", kind="wecom_app", event="channel.test",
        message=Message(form="text", text=text), recipients=[userid], now=now,
    )  # fmt: skip
    audit.record(request.user.get_username(), "wechat.test_message", ("wechat.wecomapp", "default"), now, to=userid)
    messages.success(request, _("测试消息已交给投递，结果见投递记录。"))
    return redirect("wechat:config")


def _page(request: HttpRequest, form: ConfigForm, app: WecomApp | None, status: int = 200) -> HttpResponse:
    now = timezone.now()
    context: dict[str, Any] = {
        "form": form,
        "app": app,
        "masks": _masks(app),
        "paste": _paste(app),
        "overlap": app.previous_until if app and len(app.callback_secrets(now)) > 1 else None,
        "simulator": settings.WECOM_SIMULATOR and app and app.api_base.removesuffix("cgi-bin/"),
    }
    if app and request.method == "GET" and "diagnose" in request.GET:
        context |= _diagnosis(app, now)
    return render(request, "wechat/config.html", context, status=status)


def _diagnosis(app: WecomApp, now: datetime) -> dict[str, Any]:
    checks = Diagnosis(app, now).run()
    passed = sum(check.state == "ok" for check in checks)
    return {"checks": checks, "passed": passed, "diagnosed_at": now, "took": timezone.now() - now}


def _masks(app: WecomApp | None) -> dict[str, str]:
    """Return what the page shows of each secret: dots and the last four characters, so that two can be told apart."""
    values = {name: getattr(app, name) for name in configuration.SECRETS} if app else {}
    return {name: MASK + value[-_TAIL:] if len(value) > 4 * _TAIL else MASK for name, value in values.items() if value}


def _paste(app: WecomApp | None) -> dict[str, str]:
    """Return the values that go into WeCom's console, built from 微信端地址."""
    if app is None or not app.app_url:
        return {}
    host = urlsplit(app.app_url).netloc
    return {"entry": f"{app.app_url}entry/", "domain": host, "todo": f"{app.app_url}todo/"}
