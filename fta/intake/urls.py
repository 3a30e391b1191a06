"""Addresses of the intake; senders do not follow redirects, so the final slash is optional."""

from django.urls import re_path

from fta.intake import views

app_name = "intake"

urlpatterns = [
    re_path(r"^intake/(?P<kind>[a-z0-9_-]{1,32})/?$", views.intake, name="intake"),
    re_path(r"^intake/(?P<kind>[a-z0-9_-]{1,32})/(?P<secret>[^/]{1,255})/?$", views.intake, name="intake-secret"),
    re_path(r"^api/model/send_sms/?$", views.relay, name="relay"),
    re_path(r"^event/api/(?P<app_id>[^/]{1,64})/?$", views.original_push, name="original-push"),
]
