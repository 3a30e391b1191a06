"""Import of members from the address-book export, as people or as receivers of a channel: upload, look, confirm."""

from typing import Any

from django.contrib import messages
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from fta.lib.tables import BadFile
from notify import transports
from notify.forms import ChannelForm
from notify.models import Channel
from notify.selectors import live_channels
from wechat.forms import MembersForm
from wechat.selectors import active_app
from wechat.services import directory, members
from wechat.views.config import admins_only

_SALT = "wechat.members"
_VALID = 3600  # seconds between the look and the confirmation


@admins_only
@require_http_methods(["GET", "HEAD", "POST"])
def look(request: HttpRequest) -> HttpResponse:
    """Take a file, and show what importing it would do to each member."""
    form = MembersForm(request.POST or None, request.FILES or None)
    context: dict[str, Any] = {"form": form}
    rows = _read(form, members.as_people()) if request.method == "POST" else []
    if rows:
        wanted = [row.to_json() for row in rows if row.state in ("new", "changed")]
        signed = signing.dumps(wanted, salt=_SALT, compress=True)
        context |= {"rows": rows, "counts": _counts(rows), "signed": signed, "wanted": len(wanted)}
    return render(request, "wechat/members.html", context, status=422 if form.errors else 200)


def _read(form: MembersForm, judge: members.Judge) -> list[members.Row]:
    """Return the members of the uploaded file; what is wrong with it as a whole is said in the form."""
    if not form.is_valid():
        return []
    upload = form.cleaned_data["file"]
    try:
        return members.read(upload.name or "", upload.read(members.MAX_BYTES + 1), judge)
    except BadFile as error:
        form.add_error("file", str(error))
        return []


def _counts(rows: list[members.Row]) -> dict[str, int]:
    return {state: sum(row.state == state for row in rows) for state in ("new", "changed", "same", "wrong")}


@admins_only
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def fill(request: HttpRequest, kind: str = "", pk: int | None = None) -> HttpResponse:
    """Fill the form of a channel with the accounts of a file, beside what is entered there; saving the form adds them."""
    channel = get_object_or_404(live_channels(), pk=pk) if pk else None
    kind = channel.kind if channel else kind
    form = ChannelForm.entered(kind, request.POST, channel) if kind in transports.kinds() else None
    if form is None or not form.picks:
        raise Http404
    if request.method != "POST":  # somebody came back to the address of a preview
        return redirect("notify:channel", channel.pk) if channel else redirect("notify:channel-new", kind)
    return _filled(request, form, channel)


def _filled(request: HttpRequest, form: ChannelForm, channel: Channel | None) -> HttpResponse:
    upload = MembersForm(request.POST, request.FILES)
    rows = _read(upload, members.as_receivers(form.accounts))
    form.add_accounts([row.userid for row in rows if row.state == "new"])
    context: dict[str, Any] = {"form": form, "channel": channel, "kind": transports.label(form.kind), "upload": upload}
    context |= {"rows": rows, "counts": _counts(rows)}
    return render(request, "notify/channel.html", context, status=422 if upload.errors else 200)


@admins_only
@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """List members to pick (?q=), for the field whose id is ?to=."""
    text = request.GET.get("q", "").strip()
    if not text:
        return HttpResponse()
    found, problem = directory.search(active_app(), text)
    context = {"found": found, "problem": problem, "target": request.GET.get("to", "")}
    return render(request, "wechat/_found.html", context)


@admins_only
@require_POST
def take_over(request: HttpRequest) -> HttpResponse:
    """Import what was looked at."""
    try:
        rows = signing.loads(request.POST.get("rows", ""), salt=_SALT, max_age=_VALID)
    except signing.BadSignature:
        messages.error(request, _("预览已过期，请重新上传。"))
        return redirect("wechat:members")
    found = [members.Row(**row) for row in rows]
    made, changed = members.take_over(found, request.user.get_username(), timezone.now())
    said = _("已导入：新增 %(made)d 人，更新 %(changed)d 人。新人还没有角色和业务，请在人员里授权。")
    messages.success(request, said % {"made": made, "changed": changed})
    return redirect("web:inventory-people")
