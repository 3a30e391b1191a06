"""Addresses of approvals in the REST API, to be included under /api/v1/."""

from rest_framework.routers import SimpleRouter

from approvals.api.views import ApprovalViewSet

app_name = "approvals-api"

router = SimpleRouter()
router.register("approvals", ApprovalViewSet, basename="approval")

urlpatterns = router.urls
