"""Addresses of the notification pages."""

from django.urls import path

from notify.views import channels, deliveries, rules, templates

app_name = "notify"

urlpatterns = [
    path("channels/", channels.channels, name="channels"),
    path("channels/new/<str:kind>/", channels.create, name="channel-new"),
    path("channels/<int:pk>/", channels.change, name="channel"),
    path("channels/<int:pk>/test/", channels.test, name="channel-test"),
    path("channels/<int:pk>/act/<slug:action>/", channels.act, name="channel-act"),
    path("channels/<int:pk>/archive/", channels.archive, name="channel-archive"),
    path("rules/", rules.rules, name="rules"),
    path("rules/hearing/", rules.hearing, name="rule-hearing"),
    path("rules/new/", rules.create, name="rule-new"),
    path("rules/<int:pk>/", rules.change, name="rule"),
    path("rules/<int:pk>/archive/", rules.archive, name="rule-archive"),
    path("templates/", templates.templates, name="templates"),
    path("templates/new/", templates.create, name="template-new"),
    path("templates/preview/", templates.preview, name="template-preview"),
    path("templates/<int:pk>/", templates.change, name="template"),
    path("templates/<int:pk>/archive/", templates.archive, name="template-archive"),
    path("deliveries/", deliveries.deliveries, name="deliveries"),
    path("deliveries/<int:pk>/", deliveries.delivery, name="delivery"),
    path("deliveries/<int:pk>/resend/", deliveries.resend, name="delivery-resend"),
]
