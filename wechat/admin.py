"""The Django admin of this floor: to look, not to change. Secrets are edited on the configuration page only."""

from django.contrib import admin
from django.http import HttpRequest

from wechat.models import ApiCallCount, CardCopy, GatewayCall, GatewayClient, WecomApp, WecomEvent


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that only the portal itself writes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(WecomApp)
class WecomAppAdmin(ReadOnly):
    list_display = ["name", "corp_id", "agent_id", "is_default", "callback_verified_at", "menu_published_at"]
    exclude = ["secret", "token", "encoding_aes_key", "api_token", "previous_token", "previous_aes_key"]


@admin.register(WecomEvent)
class WecomEventAdmin(ReadOnly):
    list_display = ["received_at", "from_user", "kind", "event_key", "outcome"]
    list_filter = ["kind"]
    search_fields = ["from_user"]


@admin.register(CardCopy)
class CardCopyAdmin(ReadOnly):
    list_display = ["task_id", "approval_ref", "issued_at", "used_at"]
    exclude = ["response_code"]


@admin.register(GatewayClient)
class GatewayClientAdmin(ReadOnly):
    list_display = ["name", "corp_id", "agent_id", "per_minute", "enabled", "archived"]
    exclude = ["secret_digest"]


@admin.register(GatewayCall)
class GatewayCallAdmin(ReadOnly):
    list_display = ["at", "client", "msgtype", "receivers", "errcode", "errmsg", "delivery_ref"]
    list_filter = ["client", "errcode"]
    list_select_related = ["client"]


@admin.register(ApiCallCount)
class ApiCallCountAdmin(ReadOnly):
    list_display = ["api", "code", "calls"]
    list_filter = ["code"]
