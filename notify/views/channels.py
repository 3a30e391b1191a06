"""通知服务: the list, a form for each kind, the test."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from fta.models.scope import is_admin
from notify import outbox, selectors, services, transports
from notify.forms import ChannelForm
from notify.models import Channel
from notify.transports.base import TransportError


@login_required
@require_safe
def channels(request: HttpRequest) -> HttpResponse:
    """List the channels with their health."""
    rows = selectors.readable(request.user, selectors.live_channels())
    context = {
        "rows": [(row, transports.label(row.kind), selectors.receivers_of(row)) for row in rows],
        "may_edit": is_admin(request.user),
        "may_test": selectors.testable(request.user, rows).exists(),
        "kinds": transports.choices(),
    }
    return render(request, "notify/channels.html", context)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest, kind: str) -> HttpResponse:
    """Make a channel of a kind."""
    if kind not in transports.kinds() or not is_admin(request.user):
        raise Http404
    form = ChannelForm(kind, request.POST if request.method == "POST" else None)
    return _edit(request, form, None)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a channel; secrets are replaced or kept, never shown."""
    channel = get_object_or_404(selectors.editable(request.user, selectors.live_channels()), pk=pk)
    form = ChannelForm(channel.kind, request.POST if request.method == "POST" else None, channel=channel)
    return _edit(request, form, channel)


def _edit(request: HttpRequest, form: ChannelForm, channel: Channel | None) -> HttpResponse:
    if form.is_bound and form.is_valid():
        try:
            saved = services.save_channel(channel, form.values, request.user, timezone.now())
        except services.NameTaken:
            form.add_error("name", _("这个名称已被使用（可能是已归档的）。"))
        except services.InUse as error:
            form.add_error("name", error.reason)
        else:
            messages.success(request, _("已保存“%(name)s”。") % {"name": saved})
            return redirect("notify:channels")
    actions = transports.actions(form.kind) if channel else ()
    context = {"form": form, "channel": channel, "kind": transports.label(form.kind), "actions": actions}
    return render(request, "notify/channel.html", context, status=400 if form.errors else 200)


@login_required
@require_POST
def test(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a test message and go to where its outcome shows."""
    channel = get_object_or_404(selectors.testable(request.user, selectors.live_channels()), pk=pk)
    rows = outbox.post_test(channel, request.user.get_username(), timezone.now())
    messages.info(request, _("测试消息已放入发件箱，共 %(count)d 条，结果见下。") % {"count": len(rows)})
    return redirect(f"{reverse('notify:deliveries')}?channel={channel.pk}")


@login_required
@require_POST
def act(request: HttpRequest, pk: int, action: str) -> HttpResponse:
    """Do what the channel's kind can do besides sending, and keep what it changed."""
    channel = get_object_or_404(selectors.editable(request.user, selectors.live_channels()), pk=pk)
    try:
        acted = transports.act(channel.kind, channel.name, action, channel.config)
    except KeyError as error:
        raise Http404 from error
    except TransportError as error:
        messages.error(request, f"{error.text}{error.remedy}")
    else:
        services.acted(channel, action, acted.config, request.user, timezone.now())
        messages.success(request, acted.said)
    return redirect("notify:channel", pk)


@login_required
@require_POST
def archive(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a channel out of use."""
    channel = get_object_or_404(selectors.editable(request.user, selectors.live_channels()), pk=pk)
    try:
        services.archive(channel, request.user, timezone.now())
    except services.InUse as error:
        messages.error(request, error.reason)
        return redirect("notify:channel", pk)
    messages.success(request, _("已归档“%(name)s”。") % {"name": channel})
    return redirect("notify:channels")
