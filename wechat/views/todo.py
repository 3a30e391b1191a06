"""The todo pages, for the phone: what waits for me, the evidence, yes or no. Everything works without script."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from approvals import freshness, selectors, services
from approvals.forms import DecideForm, DecideManyForm, FilterForm
from approvals.models import Approval
from fta.models import Person
from wechat import oauth
from wechat.forms import HandOverForm
from wechat.selectors import LISTED, active_app, grouped, todo

TABS = ("mine", "decided", "ended")

View = Callable[..., HttpResponse]


def signed_in(view: View) -> View:
    """Let people in who are signed in; send others through WeCom where that works, else to the portal's own door."""

    @wraps(view)
    @never_cache
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        return _door(request)

    return guarded


def _door(request: HttpRequest) -> HttpResponse:
    target = request.get_full_path() if request.method == "GET" else request.path
    if oauth.offered(active_app(), request):
        return HttpResponseRedirect(f"{reverse('wechat:oauth')}?{urlencode({'next': target})}")
    return redirect_to_login(target)


def _sign_in_again(request: HttpRequest) -> HttpResponse:
    """Let WeCom confirm who holds the phone, else the portal's own door; the answer is given once more after that."""
    if not oauth.offered(active_app(), request):
        return freshness.sign_in_again(request, request.path)
    freshness.explain(request)
    return _door(request)


@signed_in
@require_http_methods(["GET", "POST"])
def todo_list(request: HttpRequest) -> HttpResponse:
    """Show what waits, what I decided or what has ended; decide what was ticked."""
    user = cast(User, request.user)
    if request.method == "POST":
        return _decide_many(request, user)
    filters = FilterForm(request.GET, user=user)
    chosen = filters.chosen
    tab = chosen.pop("tab", "mine")
    tab = tab if tab in TABS else "mine"
    mine = tab == "mine"
    rows = todo(user, chosen) if mine else list(selectors.filtered(selectors.tab(user, tab), chosen)[:LISTED])
    waiting = selectors.pending_for(user).count()
    context = {
        "tab": tab,
        "filters": filters,
        "chosen": len(chosen),
        "groups": grouped(rows, user) if mine else [],
        "rows": rows,
        "waiting": waiting,
        "unlisted": waiting - len(rows) if mine and not chosen else 0,
    }
    return render(request, "wechat/todo.html", context)


@signed_in
@require_http_methods(["GET", "POST"])
def todo_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one approval with its evidence; take the answer."""
    user = cast(User, request.user)
    approval = _visible(user, pk, request.POST.get("answer", ""))
    form = DecideForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        if freshness.must_sign_in(request, [approval.pk], said["answer"], timezone.now()):
            return _sign_in_again(request)
        (reason,) = _decided(user, [(approval.pk, said["seen"])], said)
        if reason:
            messages.error(request, reason)
        else:
            messages.success(request, _("已同意。") if said["answer"] == "approve" else _("已驳回。"))
        return redirect("wechat:todo-detail", pk=pk)
    if request.method == "POST":
        messages.error(request, _("没有决定：%(why)s") % {"why": next(iter(form.errors.values()))[0]})
    mine = Approval.objects.decidable_by(user).filter(pk=pk).exists()
    context = {"approval": approval, "evidence": selectors.evidence(approval), "mine": mine, "user": user, "form": form}
    return render(request, "wechat/todo_detail.html", context)


@signed_in
@require_POST
def hand_over(request: HttpRequest, pk: int) -> HttpResponse:
    """Give one's turn to somebody else."""
    user = cast(User, request.user)
    approval, form = _visible(user, pk), HandOverForm(request.POST)
    other = Person.objects.by_wecom(form.cleaned_data["to"]).first() if form.is_valid() else None
    if other is None:
        messages.error(request, _("没有使用这个企业微信账号的人员。"))
        return redirect("wechat:todo-detail", pk=pk)
    try:
        services.hand_over(approval.pk, user, other, timezone.now())
    except services.Refusal as refusal:
        messages.error(request, refusal.reason)
        return redirect("wechat:todo-detail", pk=pk)
    messages.success(request, _("已转交给 %(name)s。") % {"name": other.name})
    return redirect("wechat:todo")


def _visible(user: User, pk: int, answer: str = "") -> Approval:
    approval = selectors.with_related(Approval.objects.visible_to(user)).filter(pk=pk).first()
    if approval is None:
        if answer:
            services.turn_away(pk, user, answer[:10], "todo", timezone.now())
        raise Http404
    return approval


def _decided(user: User, listed: list[tuple[int, str]], said: dict[str, Any]) -> list[str]:
    return services.decide_each(listed, user, said["answer"], said["comment"], "todo", timezone.now())


def _decide_many(request: HttpRequest, user: User) -> HttpResponse:
    """Take one answer for each of the approvals that were ticked, and come back to the list with its filters."""
    back = HttpResponseRedirect(request.get_full_path())
    form = DecideManyForm(request.POST)
    if not form.is_valid():
        messages.warning(request, str(next(iter(form.errors.values()))[0]))
        return back
    said = form.cleaned_data
    if freshness.must_sign_in(request, [pk for pk, _plan in form.chosen], said["answer"], timezone.now()):
        return _sign_in_again(request)
    reasons = _decided(user, form.chosen, said)
    for reason in filter(None, reasons):
        messages.error(request, reason)
    if done := reasons.count(""):
        words = _("已同意 %(n)d 个。") if said["answer"] == "approve" else _("已驳回 %(n)d 个。")
        messages.success(request, words % {"n": done})
        if left := selectors.pending_for(user).count():
            words = _("还有 %(n)d 个没有决定：打开页面之后才来的，或没有选的。")
            messages.info(request, words % {"n": left})
    return back
