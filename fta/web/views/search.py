"""Search: an address, an execution's number, a package. One hit is shown at once."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from fta.web.finding import find


@login_required
@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """Find what the text names among what the user may see."""
    text = request.GET.get("q", "").strip()[:200]
    found = find(request.user, text)
    if len(found.urls) == 1:
        return redirect(found.urls[0])
    return render(request, "fta/search.html", {"q": text, "found": found})
