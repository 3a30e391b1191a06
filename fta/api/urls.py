"""Addresses of the REST API, version 1. The floors above add theirs in fta.urls, by name."""

from django.urls import path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.routers import SimpleRouter

from fta.api import backtest, configuration, hosts, packages, switches, views

app_name = "api"

router = SimpleRouter()
router.register("alerts", views.AlertViewSet, basename="alert")
router.register("executions", views.ExecutionViewSet, basename="execution")
router.register("incidents", views.IncidentViewSet, basename="incident")
router.register("packages", packages.PackageViewSet, basename="package")
router.register("rules", configuration.RuleViewSet, basename="rule")
router.register("convergence-rules", configuration.ConvergenceRuleViewSet, basename="convergence-rule")
router.register("shields", configuration.ShieldViewSet, basename="shield")
router.register("hosts", hosts.HostViewSet, basename="host")
router.register("businesses", views.BusinessViewSet, basename="business")
router.register("duties", views.DutyViewSet, basename="duty")
router.register("audit", views.AuditViewSet, basename="audit")

# The page and its script come apart: the content security policy lets no script run inside a page.
_docs = SpectacularSwaggerSplitView.as_view(
    url_name="api:schema", template_name="fta/api_docs.html", permission_classes=[]
)

urlpatterns = [
    path("rules/backtest/", backtest.BacktestsView.as_view(), name="backtests"),
    path("rules/backtest/<int:pk>/", backtest.BacktestView.as_view(), name="backtest"),
    *router.urls,
    path("switch/", switches.SwitchView.as_view(), name="switch"),
    path("stats/", views.StatsView.as_view(), name="stats"),
    path("schema/", SpectacularAPIView.as_view(permission_classes=[]), name="schema"),
    path("docs/", _docs, name="docs"),
]
