"""Import of hosts from a CSV file: upload, look, confirm."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from fta.config import host_table
from fta.config.hosts import Keeper
from fta.lib.tables import BadFile
from fta.web.editing_rights import editors_only
from fta.web.forms.hosts import HostsForm

_SALT = "fta.hosts"
_VALID = 3600  # seconds between the look and the confirmation


@login_required
@editors_only
@require_http_methods(["GET", "HEAD", "POST"])
def look(request: HttpRequest) -> HttpResponse:
    """Take a file, and show what importing it would do to each host."""
    form = HostsForm(request.POST or None, request.FILES or None)
    context: dict[str, Any] = {"form": form}
    if request.method == "POST" and form.is_valid():
        try:
            lines, unused = host_table.read(form.cleaned_data["file"].read(host_table.MAX_BYTES + 1))
        except BadFile as error:
            form.add_error("file", str(error))
        else:
            rows = list(host_table.judged(lines, Keeper.of(request.user)))
            counts = {state: sum(row.state == state for row in rows) for state in ("new", "changed", "same", "wrong")}
            wanted = [[row.line, row.said] for row in rows if row.state in ("new", "changed")]
            signed = signing.dumps(wanted, salt=_SALT, compress=True)
            context |= {"rows": rows, "unused": unused, "counts": counts, "signed": signed, "wanted": len(wanted)}
    return render(request, "fta/host_import.html", context, status=422 if form.errors else 200)


@login_required
@editors_only
@require_POST
def take_over(request: HttpRequest) -> HttpResponse:
    """Import what was looked at, as far as the user may still do so."""
    try:
        lines = signing.loads(request.POST.get("rows", ""), salt=_SALT, max_age=_VALID)
    except signing.BadSignature:
        messages.error(request, _("预览已过期，请重新上传。"))
        return redirect("web:hosts-import")
    counts = host_table.take_over([(line, said) for line, said in lines], Keeper.of(request.user), timezone.now())
    said = _("已导入：新增 %(new)d 台，更新 %(changed)d 台。") % counts
    if counts["wrong"]:
        said += _("另有 %(wrong)d 台在预览之后有变，没有导入，请重新上传查看原因。") % counts
    messages.success(request, said)
    return redirect("web:inventory")
