"""Wiring of every address; apps are included by name."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from fta.api.unknown import unknown
from fta.web.views import health

# Machines first: what comes most often is found soonest.
urlpatterns = [
    path("", include("fta.intake.urls")),
    path("healthz/", health.healthz, name="healthz"),
    path("readyz/", health.readyz, name="readyz"),
    path("metrics", health.prometheus, name="metrics"),
    path("login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
    path("favicon.ico", RedirectView.as_view(url=settings.STATIC_URL + "img/favicon.svg")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("fta.api.urls")),
    path("api/v1/", include("approvals.api.urls")),
    path("api/v1/", include("notify.api.urls")),
    re_path("^api/v1/", unknown),
    path("notify/", include("notify.urls")),
    path("", include("approvals.urls")),
    path("", include("wechat.urls")),
    path("", include("fta.web.urls")),
]
