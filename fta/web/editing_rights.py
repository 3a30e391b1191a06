"""Who may make new configuration at all; what exists is found through the user's own QuerySets."""

from collections.abc import Callable
from functools import wraps

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from fta.web.territory import may_edit

View = Callable[..., HttpResponse]


def editors_only(view: View) -> View:
    """Refuse whoever is neither an operator nor an admin."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if not may_edit(request.user):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded
