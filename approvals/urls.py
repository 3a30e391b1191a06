"""Addresses of the approval pages."""

from django.urls import path

from approvals.views import deciding, policies

app_name = "approvals"

urlpatterns = [
    path("approvals/", deciding.approvals, name="list"),
    path("approvals/decide/", deciding.decide_many, name="decide-many"),
    path("approvals/leave/", deciding.leave, name="leave"),
    path("approvals/policies/", policies.listing, name="policies"),
    path("approvals/policies/new/", policies.create, name="policy-new"),
    path("approvals/policies/<int:pk>/", policies.change, name="policy"),
    path("approvals/policies/<int:pk>/archive/", policies.archive, name="policy-archive"),
    path("approvals/<int:pk>/", deciding.detail, name="detail"),
    path("approvals/<int:pk>/decide/", deciding.decide, name="decide"),
]
