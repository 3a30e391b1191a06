"""Addresses of the API that do not exist."""

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect, JsonResponse
from django.urls import resolve
from django.views.decorators.csrf import csrf_exempt

from fta.api.errors import body


@csrf_exempt
def unknown(request: HttpRequest) -> HttpResponse:
    """Say in the API's form that there is no such address; one that only lacks its last slash is led to where it is.

    Django's own redirect does not come to it: to Django every address below /api/v1/ exists, as it is answered here.
    """
    reads, path = request.method in ("GET", "HEAD"), request.path_info
    if reads and not path.endswith("/") and resolve(f"{path}/").func is not unknown:
        return HttpResponsePermanentRedirect(request.get_full_path(force_append_slash=True))
    return JsonResponse(body("not_found", "There is no such address."), status=404)
