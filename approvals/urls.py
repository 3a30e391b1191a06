"""Addresses of the approval pages."""

from django.urls import path

from approvals import views

app_name = "approvals"

urlpatterns = [
    path("approvals/", views.approvals, name="list"),
    path("approvals/decide/", views.decide_many, name="decide-many"),
    path("approvals/leave/", views.leave, name="leave"),
    path("approvals/<int:pk>/", views.detail, name="detail"),
    path("approvals/<int:pk>/decide/", views.decide, name="decide"),
]
