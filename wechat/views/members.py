"""Import of members from the address-book export: upload, look, confirm."""

from typing import Any

from django.contrib import messages
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from fta.lib.tables import BadFile
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
    if request.method == "POST" and form.is_valid():
        upload = form.cleaned_data["file"]
        try:
            rows = members.read(upload.name or "", upload.read(members.MAX_BYTES + 1))
        except BadFile as error:
            form.add_error("file", str(error))
        else:
            counts = {state: sum(row.state == state for row in rows) for state in ("new", "changed", "same", "wrong")}
            wanted = [row.to_json() for row in rows if row.state in ("new", "changed")]
            signed = signing.dumps(wanted, salt=_SALT, compress=True)
            context |= {"rows": rows, "counts": counts, "signed": signed, "wanted": len(wanted)}
    return render(request, "wechat/members.html", context, status=422 if form.errors else 200)


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
