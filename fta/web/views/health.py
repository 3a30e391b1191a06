"""Health: a page for people, probes for the platform, figures for Prometheus."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from fta.models import Heartbeat
from fta.operations.due import due_work
from fta.web import metrics
from fta.web.parts import is_ready, parts
from fta.web.words import work_word

# Parts whose words are figures of ours. What is said of others quotes their errors, with addresses, which are not for strangers.
_OWN = ("database", "broker", "engine", "work")


@login_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show every part with its remedy, the engines, and what is due."""
    now = timezone.now()
    found = parts(now)
    due = [(work_word(each.kind), each.kind, each.count, each.age(now)) for each in due_work(now)]
    beats = Heartbeat.objects.order_by("-beat_at")[:20]
    return render(
        request, "fta/health.html", {"parts": found, "due": due, "beats": beats, "ready": is_ready(found), "now": now}
    )


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer while the process serves; asks nobody."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 or 503 with one line a part; the health page tells signed-in people more."""
    found = parts(timezone.now())
    ready = is_ready(found)
    lines = {
        part.key: {"state": part.state} | ({"text": part.text, "remedy": part.remedy} if part.key in _OWN else {})
        for part in found
    }
    return JsonResponse(
        {"status": "ok" if ready else "error", "parts": lines},
        status=200 if ready else 503,
        json_dumps_params={"ensure_ascii": False},
    )


@never_cache
@require_safe
def prometheus(request: HttpRequest) -> HttpResponse:
    """Answer the figures in Prometheus' text format."""
    return HttpResponse(metrics.text(), content_type=CONTENT_TYPE_LATEST)
