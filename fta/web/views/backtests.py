"""A backtest: its progress, then what would be different."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from fta.models import BacktestRun
from fta.web.backtest_page import context_of


@login_required
@require_safe
def backtest(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one of the user's backtests; htmx gets the panel alone, without script the page is loaded again."""
    run = get_object_or_404(BacktestRun.objects.visible_to(request.user), pk=pk)
    part = "HX-Request" in request.headers
    return render(request, "fta/_backtest.html" if part else "fta/backtest.html", context_of(run))
