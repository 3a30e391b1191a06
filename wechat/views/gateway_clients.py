"""The clients of the gateway: what to enter into each tool, and what came of its calls; for administrators only."""

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
from wechat.forms import GatewayClientForm, generate
from wechat.models import GatewayCall, GatewayClient
from wechat.services import gateway_clients
from wechat.views.config import admins_only

SECRET = "gateway_secret"  # noqa: S105 - the name of a field


@admins_only
@require_safe
def clients(request: HttpRequest) -> HttpResponse:
    """List the clients, and the latest calls of all of them or of one (?client=<id>)."""
    calls = GatewayCall.objects.select_related("client")
    if wanted := request.GET.get("client", ""):
        calls = calls.filter(client=int(wanted)) if wanted.isdecimal() and len(wanted) < 18 else calls.none()
    page = page_of(calls, request)
    rows = gateway_clients.with_calls(timezone.now())
    context = {"rows": rows, "page": page, "chosen": wanted, "base": _base()}
    return render(request, "wechat/gateway_clients.html", context)


@admins_only
@never_cache
@require_http_methods(["GET", "POST"])
def client(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Show a client, a new one without `pk`, change it, or fill in a generated secret."""
    row = get_object_or_404(GatewayClient, pk=pk, archived=False) if pk else GatewayClient()
    if request.method != "POST":
        return _page(request, GatewayClientForm(client=row), row)
    if request.POST.get("generate") == SECRET:
        data = request.POST.copy()
        data[SECRET] = generate(SECRET)
        initial = data.dict() | {"enabled": "enabled" in data}
        return _page(request, GatewayClientForm(initial=initial, client=row), row)
    form = GatewayClientForm(request.POST, client=row)
    if not form.is_valid():
        return _page(request, form, row, status=422)
    actor, secret = request.user.get_username(), form.cleaned_data[SECRET]
    gateway_clients.save(row, form.values(), secret, actor, timezone.now())
    messages.success(
        request, _("已保存“%(name)s”。把接口地址、企业 ID、AgentId 和密钥填到这个工具里。") % {"name": row}
    )
    return redirect("wechat:gateway-client", row.pk)


@admins_only
@require_POST
def archive(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a client out of use."""
    row = get_object_or_404(GatewayClient, pk=pk, archived=False)
    gateway_clients.archive(row, request.user.get_username(), timezone.now())
    messages.success(request, _("已归档“%(name)s”，它的令牌随即失效。") % {"name": row})
    return redirect("wechat:gateway-clients")


def _page(request: HttpRequest, form: GatewayClientForm, row: GatewayClient, status: int = 200) -> HttpResponse:
    context = {"form": form, "row": row, "base": _base()}
    return render(request, "wechat/gateway_client.html", context, status=status)


def _base() -> str:
    """Return what a tool is given instead of https://qyapi.weixin.qq.com/cgi-bin/."""
    return absolute(reverse("wechat:gateway-token")).removesuffix("/").removesuffix("gettoken")
