"""Pages of a list of the API: `limit` and `offset`."""

from rest_framework.pagination import LimitOffsetPagination
from rest_framework.request import Request

FURTHEST = 10**9  # no list is longer; what a database cannot count is no page of it either


class Pages(LimitOffsetPagination):
    """At most 1,000 rows at once, 50 unless asked otherwise."""

    max_limit = 1000

    def get_offset(self, request: Request) -> int:
        return min(super().get_offset(request), FURTHEST)
