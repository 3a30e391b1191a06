"""One place that turns exceptions into the API's errors: {"error": {"code", "message", "fields"}}."""

import logging
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, DataError
from django.http import Http404
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler

from fta import operations
from fta.config import editing
from fta.healing.versions import InvalidPackage
from fta.models.engine import NotInState

logger = logging.getLogger(__name__)


_CONFLICTS = (NotInState, operations.NotRetryable, operations.PlaceTaken, operations.NotInForce, editing.PackageInUse)
_INVALID = (operations.CannotRun, operations.InvalidSwitch, operations.NotPromotable, operations.ReasonMissing)


# A text with a zero byte, a number too large, brackets without end: JSON can say what no column or parser can hold.
_UNFIT = (DataError, OverflowError, RecursionError)


def body(code: str, message: str, fields: Any = None) -> dict[str, Any]:
    """Return an error in the API's form."""
    return {"error": {"code": code, "message": message, "fields": fields or {}}}


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer an exception of a view in the API's form; None lets Django answer, which is a bug of ours."""
    if isinstance(error, ValidationError):
        detail = error.detail if isinstance(error.detail, dict) else {"non_field_errors": error.detail}
        return Response(body("invalid", "The request is not valid; see fields.", detail), status=400)
    if isinstance(error, (editing.InvalidEdit, InvalidPackage)):
        return Response(body("invalid", "The request is not valid; see fields.", _by_path(error)), status=400)
    if isinstance(error, _UNFIT):
        return Response(body("invalid", "A value of the request is too large, too deep or not text."), status=400)
    if isinstance(error, _CONFLICTS):
        return Response(body("conflict", str(error)), status=409)
    if isinstance(error, _INVALID):
        return Response(body("invalid", str(error)), status=400)
    if isinstance(error, DatabaseError):
        logger.error("Unable to answer an API request", exc_info=error)
        return Response(body("unavailable", "The database does not answer."), status=503, headers={"Retry-After": "5"})
    response = exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, APIException):
        codes = error.get_codes()
        code, message = (codes if isinstance(codes, str) else error.default_code), str(error.detail)
    elif isinstance(error, Http404):
        code, message = "not_found", "There is no such object, or it is not in your scope."
    else:
        code, message = "permission_denied" if isinstance(error, PermissionDenied) else "error", str(error)
    response.data = body(code, message)
    return response


def _by_path(error: editing.InvalidEdit | InvalidPackage) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path, message in _problems(error):
        found.setdefault(path or "non_field_errors", []).append(message)
    return found


def _problems(error: editing.InvalidEdit | InvalidPackage) -> list[tuple[str, str]]:
    if isinstance(error, InvalidPackage):
        return [(problem.path, problem.message) for problem in error.problems]
    return error.problems
