"""Addresses of the REST API, version 1. The floors above add theirs in fta.urls, by name."""

from django.urls import path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.routers import SimpleRouter

from fta.api import views

app_name = "api"

router = SimpleRouter()
router.register("alerts", views.AlertViewSet, basename="alert")
router.register("executions", views.ExecutionViewSet, basename="execution")
router.register("incidents", views.IncidentViewSet, basename="incident")
router.register("packages", views.PackageViewSet, basename="package")
router.register("hosts", views.HostViewSet, basename="host")
router.register("businesses", views.BusinessViewSet, basename="business")
router.register("audit", views.AuditViewSet, basename="audit")

urlpatterns = [
    *router.urls,
    path("switch/", views.SwitchView.as_view(), name="switch"),
    path("stats/", views.StatsView.as_view(), name="stats"),
    path("schema/", SpectacularAPIView.as_view(permission_classes=[]), name="schema"),
    path("docs/", SpectacularSwaggerView.as_view(url_name="api:schema", permission_classes=[]), name="docs"),
]
