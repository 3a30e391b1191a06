"""The pages of approvals. A link never decides: GET reads, POST with its CSRF token changes."""

from collections.abc import Iterable

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from approvals import freshness, selectors, services
from approvals.forms import DecideForm, DecideManyForm, FilterForm, LeaveForm
from approvals.models import Approval, Decision
from fta.lib.types import User
from fta.models import Person

TABS = {
    "mine": gettext_lazy("待我审批"),
    "pending": gettext_lazy("全部待审批"),
    "decided": gettext_lazy("我已决定"),
    "ended": gettext_lazy("已结束"),
}
COUNTED = ("mine", "pending")
PAGE = 50


class SignedIn(HttpRequest):
    """A request that has passed login_required."""

    user: User


@login_required
@never_cache
@require_safe
def approvals(request: SignedIn) -> HttpResponse:
    """List approvals: what waits for the reader first, the soonest to expire on top."""
    form = FilterForm(request.GET, user=request.user)
    chosen = form.chosen
    name = chosen.get("tab", "mine") if chosen.get("tab") in TABS else "mine"
    rows = selectors.filtered(selectors.tab(request.user, name), chosen)
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    decidable = Approval.objects.decidable_by(request.user)
    context = {
        "form": form,
        "tab": name,
        "tabs": [(key, word, _count(request, key)) for key, word in TABS.items()],
        "page": page,
        "decidable": set(decidable.filter(pk__in=[row.pk for row in page]).values_list("pk", flat=True)),
        "last": None if page.object_list else selectors.last_decided(request.user),
    }
    return render(request, "approvals/list.html", context)


@login_required
@never_cache
@require_safe
def detail(request: SignedIn, pk: int) -> HttpResponse:
    """Show one approval with its evidence; htmx gets the drawer alone."""
    approval = get_object_or_404(selectors.with_related(Approval.objects.visible_to(request.user)), pk=pk)
    context = {
        "approval": approval,
        "evidence": selectors.evidence(approval),
        "rounds": Approval.objects.visible_to(request.user).rounds_of(approval.shared_code).exclude(pk=pk),
        "may_decide": Approval.objects.decidable_by(request.user).filter(pk=pk).exists(),
        "form": DecideForm(initial={"seen": approval.plan_sha256}),
    }
    part = "HX-Request" in request.headers
    return render(request, "approvals/_evidence.html" if part else "approvals/detail.html", context)


@login_required
@require_POST
def decide(request: SignedIn, pk: int) -> HttpResponse:
    """Take one answer."""
    form = DecideForm(request.POST)
    if not Approval.objects.visible_to(request.user).filter(pk=pk).exists():
        services.turn_away(pk, request.user, form.data.get("answer", "")[:10], "web", timezone.now())
        raise Http404
    if not form.is_valid():
        messages.error(request, _("没有决定：%(why)s") % {"why": _first_error(form.errors.values())})
        return redirect("approvals:detail", pk)
    data = form.cleaned_data
    if freshness.must_sign_in(request, [pk], data["answer"], timezone.now()):
        return freshness.sign_in_again(request, reverse("approvals:detail", args=[pk]))
    _say(request, _decided(request, [(pk, data["seen"])], data), data["answer"])
    return redirect("approvals:detail", pk)


@login_required
@require_POST
def decide_many(request: SignedIn) -> HttpResponse:
    """Take one answer for each of the approvals that the page listed and the reader ticked."""
    form = DecideManyForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("没有决定：%(why)s") % {"why": _first_error(form.errors.values())})
        return _back(request)
    data = form.cleaned_data
    ids = [pk for pk, _seen in form.chosen]
    if freshness.must_sign_in(request, ids, data["answer"], timezone.now()):
        return freshness.sign_in_again(request, _back(request).url)
    _say(request, _decided(request, form.chosen, data), data["answer"])
    _say_what_is_left(request)
    return _back(request)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def leave(request: SignedIn) -> HttpResponse:
    """Name who answers for the reader while away."""
    person = get_object_or_404(Person.objects.active(), user_id=request.user.pk)
    initial = {"deputy": person.deputy_id, "until": person.deputy_until}
    form = LeaveForm(request.POST or None, person=person, initial=initial)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        services.lend(person, data["deputy"], data["until"], timezone.now())
        messages.success(request, _("已保存代理"))
        return redirect("approvals:list")
    return render(request, "approvals/leave.html", {"form": form})


def _decided(request: SignedIn, listed: list[tuple[int, str]], said: dict[str, str]) -> list[str]:
    return services.decide_each(listed, request.user, said["answer"], said["comment"], "web", timezone.now())


def _say(request: SignedIn, refusals: list[str], answer: str) -> None:
    word = Decision.Answer(answer).label
    if done := refusals.count(""):
        messages.success(request, _("已%(word)s %(n)d 个") % {"word": word, "n": done})
    for reason in filter(None, refusals):
        messages.error(request, _("没有决定成功。%(reason)s。") % {"reason": reason})


def _say_what_is_left(request: SignedIn) -> None:
    """Tell how many of the storm came after the page was opened, or were not ticked: those were not decided along."""
    incident = request.POST.get("incident", "")
    if not incident.isdecimal():
        return
    left = Approval.objects.decidable_by(request.user).filter(incident_id=int(incident)).count()
    if left:
        messages.info(request, _("还有 %(n)d 个没有决定：打开页面之后才拦下的，或没有选的。") % {"n": left})


def _first_error(errors: Iterable[Iterable[object]]) -> str:
    return str(next(iter(next(iter(errors), ())), ""))


def _count(request: SignedIn, name: str) -> int | str:
    return selectors.tab(request.user, name).count() if name in COUNTED else ""


def _back(request: SignedIn) -> HttpResponseRedirect:
    incident = request.POST.get("incident", "")
    return redirect("web:incident", int(incident)) if incident.isdecimal() else redirect("approvals:list")
