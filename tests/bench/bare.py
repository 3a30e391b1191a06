"""A Django view that does one raw insert and nothing else: what a durable intake costs at least on this server."""

from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.urls import path


def insert(request: HttpRequest) -> JsonResponse:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO bench_bare (raw) VALUES (%s) RETURNING id", [request.body])
        row = cursor.fetchone()
    return JsonResponse({"accepted": 1, "inbox": row[0]}, status=202)


urlpatterns = [path("bare/", insert)]
application = get_wsgi_application()
