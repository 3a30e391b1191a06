"""/doc/wechat_config/gateway/: the gateway's clients, what to paste into each tool, and what came of their calls."""

import json
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from fta.lib.links import absolute
from fta.web.paging import page_of
from wechat.forms import GatewayClientForm
from wechat.models import GatewayClient
from wechat.selectors import active_app
from wechat.services import gateway_clients, gateway_log
from wechat.views.config import admins_only

_LATEST = 10
_SECRET = "<SECRET>"  # noqa: S105 - a placeholder


@dataclass(frozen=True)
class Paste:
    """What goes into a tool: the address of the calls, the one for tools that append /cgi-bin/ themselves, an example."""

    base: str
    root: str
    alertmanager: str = ""


@admins_only
@require_safe
def clients(request: HttpRequest) -> HttpResponse:
    """List the clients with how they fare, and the calls: of all clients, of ?client=<id>, or only ?refused=1."""
    rows = list(gateway_log.clients(request.user))
    calls = gateway_log.calls(request.user)
    chosen = next((row for row in rows if str(row.pk) == request.GET.get("client")), None)
    if chosen is not None:
        calls = calls.filter(client=chosen)
    only_refused = request.GET.get("refused") == "1"
    page = page_of(gateway_log.refused(calls) if only_refused else calls, request)
    context = {
        "listed": gateway_log.health_of(rows, timezone.now()),
        "paste": _paste(request),
        "can_send": _can_send(),
        "page": page,
        "calls": gateway_log.told(page.rows, request.user),
        "chosen": chosen,
        "only_refused": only_refused,
    }
    return render(request, "wechat/gateway_clients.html", context)


@admins_only
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """Make a client; its secret is on the page that answers, and never again."""
    form = GatewayClientForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            made, secret = gateway_clients.add(form.cleaned_data, request.user.get_username(), timezone.now())
        except gateway_clients.NameTaken:
            _name_taken(form)
        else:
            return _page(request, made, secret=secret)
    return render(request, "wechat/gateway_client.html", {"form": form}, status=422 if form.errors else 200)


@admins_only
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def client(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a client, or change it."""
    row = _found(request, pk)
    if request.method != "POST":
        return _page(request, row)
    form = GatewayClientForm(request.POST)
    if form.is_valid():
        try:
            saved = gateway_clients.change(row, form.cleaned_data, request.user.get_username(), timezone.now())
        except gateway_clients.NameTaken:
            _name_taken(form)
        else:
            messages.success(
                request, _("已保存“%(name)s”。企业 ID 或 AgentId 改过的，工具里也要改。") % {"name": saved}
            )
            return redirect("wechat:gateway-client", pk)
    return _page(request, row, form)


@admins_only
@never_cache
@require_POST
def secret(request: HttpRequest, pk: int) -> HttpResponse:
    """Replace a client's secret; the new one is on the page that answers, and never again."""
    row, seen = _found(request, pk), request.POST.get("seen", "")
    try:
        row, fresh = gateway_clients.replace_secret(row, seen, request.user.get_username(), timezone.now())
    except gateway_clients.SecretChanged:
        messages.error(request, _("没有换：密钥在这个页面打开之后已经换过。没有复制到的话，再换一次。"))
        return redirect("wechat:gateway-client", pk)
    return _page(request, row, secret=fresh)


@admins_only
@require_POST
def switch(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a client out of service or back into it (`on` is 0 or 1)."""
    row, on = _found(request, pk), request.POST.get("on") == "1"
    gateway_clients.change(row, {"enabled": on}, request.user.get_username(), timezone.now())
    said = _("已启用“%(name)s”。") if on else _("已停用“%(name)s”：取令牌和发消息都会被拒绝。")
    messages.success(request, said % {"name": row})
    return redirect("wechat:gateway-client", pk)


@admins_only
@require_POST
def archive(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a client out of use for good."""
    row = _found(request, pk)
    gateway_clients.archive(row, request.user.get_username(), timezone.now())
    messages.success(request, _("已归档“%(name)s”，它的密钥和令牌不再有效。") % {"name": row})
    return redirect("wechat:gateway-clients")


def _found(request: HttpRequest, pk: int) -> GatewayClient:
    return get_object_or_404(gateway_log.clients(request.user), pk=pk)


def _name_taken(form: GatewayClientForm) -> None:
    form.add_error("name", _("这个名称已被使用（可能是已归档的），请换一个。"))


def _page(
    request: HttpRequest, row: GatewayClient, form: GatewayClientForm | None = None, secret: str = ""
) -> HttpResponse:
    latest = list(gateway_log.calls(request.user).filter(client=row).order_by("-pk")[:_LATEST])
    context: dict[str, Any] = {
        "client": row,
        "form": form or GatewayClientForm.of(row),
        "health": gateway_log.health_of([row], timezone.now())[0],
        "secret": secret,
        "mark": gateway_clients.mark_of(row),
        "paste": _paste(request, row, secret or _SECRET),
        "can_send": _can_send(),
        "calls": gateway_log.told(latest, request.user),
    }
    return render(request, "wechat/gateway_client.html", context, status=422 if form and form.errors else 200)


def _can_send() -> bool:
    app = active_app()
    return app is not None and app.can_call


def _paste(request: HttpRequest, row: GatewayClient | None = None, secret: str = "") -> Paste:
    base = absolute(reverse("wechat:gateway-token").removesuffix("gettoken"))
    if "://" not in base:
        base = request.build_absolute_uri(base)
    root = base.removesuffix("/cgi-bin/")
    return Paste(base, root, _alertmanager(base, row, secret) if row else "")


def _alertmanager(base: str, row: GatewayClient, secret: str) -> str:
    """Return a receiver of Alertmanager; JSON's strings are YAML's too, whatever is in the ids."""
    corp_id, agent_id, api_secret = (
        json.dumps(str(value), ensure_ascii=False) for value in (row.corp_id, row.agent_id, secret)
    )
    return (
        "receivers:\n"
        "  - name: wecom\n"
        "    wechat_configs:\n"
        f"      - api_url: {base}\n"
        f"        corp_id: {corp_id}\n"
        f"        agent_id: {agent_id}\n"
        f"        api_secret: {api_secret}\n"
        '        to_user: "<USERID>"\n'
        "        send_resolved: true\n"
    )
