"""投递记录: what was sent to whom, what the far side answered, and sending again."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from fta.web.paging import page_of
from notify import selectors, transports
from notify.delivery import NotResendable
from notify.delivery import resend as send_again
from notify.forms import DeliveryFilter
from notify.messages import EVENTS
from notify.models import Delivery

OTHERS = {
    "channel.test": gettext_lazy("测试"),
    "gateway.message": gettext_lazy("网关转发"),
    "source.relayed": gettext_lazy("转发"),
    "step.message": gettext_lazy("通知节点"),
    "reply": gettext_lazy("应答"),
}


@login_required
@never_cache
@require_safe
def deliveries(request: HttpRequest) -> HttpResponse:
    """List deliveries, the newest first."""
    form = DeliveryFilter(request)
    page = page_of(selectors.visible_deliveries(request.user).filter(form.condition()), request)
    context = {"form": form, "page": page, "rows": [_row(row) for row in page.rows]}
    return render(request, "notify/deliveries.html", context)


@login_required
@never_cache
@require_safe
def delivery(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one delivery with its tries; htmx gets the drawer alone."""
    row = get_object_or_404(selectors.visible_deliveries(request.user), pk=pk)
    may_resend = selectors.operable_deliveries(request.user).filter(pk=pk).exists()
    context = {
        **_row(row),
        "tries": row.tries.order_by("-id"),
        "may_resend": may_resend and row.state in (Delivery.State.FAILED, Delivery.State.UNKNOWN),
    }
    part = "HX-Request" in request.headers
    return render(request, "notify/_delivery.html" if part else "notify/delivery.html", context)


@login_required
@require_POST
def resend(request: HttpRequest, pk: int) -> HttpResponse:
    """Send one again."""
    row = get_object_or_404(selectors.operable_deliveries(request.user), pk=pk)
    try:
        send_again(row, request.user, timezone.now())
        messages.success(request, _("已放回发件箱，马上重发。"))
    except NotResendable:
        messages.error(request, _("没有重发：这条投递不在失败或结果未知的状态。"))
    return redirect("notify:delivery", pk)


def _row(row: Delivery) -> dict[str, object]:
    message = row.payload.get("message", {})
    return {
        "delivery": row,
        "event": EVENTS.get(row.event) or OTHERS.get(row.event, row.event),
        "title": message.get("title") or str(message.get("text", "")).split("\n", 1)[0] or row.event,
        "text": message.get("text", ""),
        "receivers": selectors.receivers(row),
        "way": str(row.channel or transports.label(row.kind)),
    }
