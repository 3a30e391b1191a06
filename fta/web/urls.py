"""Addresses of the desktop pages."""

from django.urls import path

from fta.web.views import (
    alerts,
    audit,
    dashboard,
    executions,
    health,
    incidents,
    inventory,
    search,
    sources,
    switch,
)

app_name = "web"

urlpatterns = [
    path("", dashboard.dashboard, name="dashboard"),
    path("now/", dashboard.now, name="dashboard-now"),
    path("alerts/", alerts.alerts, name="alerts"),
    path("alerts/newer/", alerts.newer, name="alerts-newer"),
    path("alerts/<int:pk>/", alerts.alert, name="alert"),
    path("incidents/", incidents.incidents, name="incidents"),
    path("incidents/<int:pk>/", incidents.incident, name="incident"),
    path("incidents/<int:pk>/close/", incidents.close, name="incident-close"),
    path("executions/", executions.executions, name="executions"),
    path("executions/<int:pk>/", executions.execution, name="execution"),
    path("executions/<int:pk>/live/", executions.live, name="execution-live"),
    path("executions/<int:pk>/stop/", executions.stop, name="execution-stop"),
    path("executions/<int:pk>/retry/", executions.retry, name="execution-retry"),
    path("executions/<int:pk>/steps/<int:step>/output/", executions.output, name="execution-output"),
    path("executions/<int:pk>/steps/<int:step>/resolve/", executions.resolve, name="execution-resolve"),
    path("inventory/", inventory.hosts, name="inventory"),
    path("inventory/businesses/", inventory.businesses, name="inventory-businesses"),
    path("inventory/people/", inventory.people, name="inventory-people"),
    path("inventory/hosts/<int:pk>/", inventory.host, name="host"),
    path("sources/", sources.sources, name="sources"),
    path("sources/<int:pk>/", sources.source, name="source"),
    path("sources/inbox/", sources.inbox, name="source-inbox"),
    path("sources/inbox/<int:pk>/", sources.letter, name="source-letter"),
    path("sources/inbox/<int:pk>/replay/", sources.replay, name="source-replay"),
    path("audit/", audit.audit, name="audit"),
    path("audit/verify/", audit.verify, name="audit-verify"),
    path("health/", health.page, name="health"),
    path("switch/", switch.switch, name="switch"),
    path("switch/<int:pk>/resume/", switch.resume, name="switch-resume"),
    path("search/", search.search, name="search"),
]
