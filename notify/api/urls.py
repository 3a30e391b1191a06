"""Addresses of notification in the REST API, to be included under /api/v1/."""

from rest_framework.routers import SimpleRouter

from notify.api.views import ChannelViewSet, DeliveryViewSet, NotificationRuleViewSet

app_name = "notify-api"

router = SimpleRouter()
router.register("channels", ChannelViewSet, basename="channel")
router.register("notification-rules", NotificationRuleViewSet, basename="notification-rule")
router.register("deliveries", DeliveryViewSet, basename="delivery")

urlpatterns = router.urls
