"""The file by which WeCom verifies that the domain is ours."""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from wechat.models import WecomApp


@require_safe
def verify_file(request: HttpRequest, token: str) -> HttpResponse:
    """Serve WW_verify_<token>.txt from the configuration: its content alone, without a redirect."""
    name = f"WW_verify_{token}.txt"
    for files in WecomApp.objects.filter(archived=False).values_list("verify_files", flat=True):
        for file in files:
            if file.get("name") == name:
                return HttpResponse(file.get("content", ""), content_type="text/plain; charset=utf-8")
    raise Http404
