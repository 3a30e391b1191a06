"""The addresses of this floor, relative to the portal's root."""

from django.urls import path, re_path
from django.urls.resolvers import URLPattern

from wechat.views import config, create_approve, entry, gateway, gateway_clients, members, oauth, todo, verify_file

app_name = "wechat"

urlpatterns: list[URLPattern] = [
    path("wechat/entry/", entry.Entry.as_view(), name="entry"),
    path("wechat/todo/", todo.todo_list, name="todo"),
    path("wechat/todo/<int:pk>/", todo.todo_detail, name="todo-detail"),
    path("wechat/todo/<int:pk>/hand-over/", todo.hand_over, name="todo-hand-over"),
    path("wechat/oauth/", oauth.sign_in, name="oauth"),
    path("wechat/create_approve/", create_approve.create_approve, name="create-approve"),
    re_path(r"^wecom/cgi-bin/gettoken/?$", gateway.gettoken, name="gateway-token"),
    re_path(r"^wecom/cgi-bin/message/send/?$", gateway.send, name="gateway-send"),
    path("wechat/members/", members.look, name="members"),
    path("wechat/members/search/", members.search, name="members-search"),
    path("wechat/members/import/", members.take_over, name="members-import"),
    path("wechat/members/channel/<int:pk>/", members.fill, name="members-channel"),
    path("wechat/members/channel/<str:kind>/", members.fill, name="members-channel-new"),
    path("doc/wechat_config/", config.config, name="config"),
    path("doc/wechat_config/default/", config.make_default, name="config-default"),
    path("doc/wechat_config/archive/", config.archive, name="config-archive"),
    path("doc/wechat_config/export/", config.export, name="config-export"),
    path("doc/wechat_config/menu/", config.publish_menu, name="config-menu"),
    path("doc/wechat_config/test/", config.send_test, name="config-test"),
    path("doc/wechat_config/gateway/", gateway_clients.clients, name="gateway-clients"),
    path("doc/wechat_config/gateway/new/", gateway_clients.create, name="gateway-client-new"),
    path("doc/wechat_config/gateway/<int:pk>/", gateway_clients.client, name="gateway-client"),
    path("doc/wechat_config/gateway/<int:pk>/secret/", gateway_clients.secret, name="gateway-client-secret"),
    path("doc/wechat_config/gateway/<int:pk>/switch/", gateway_clients.switch, name="gateway-client-switch"),
    path("doc/wechat_config/gateway/<int:pk>/archive/", gateway_clients.archive, name="gateway-client-archive"),
    re_path(r"^WW_verify_(?P<token>[A-Za-z0-9]{1,64})\.txt$", verify_file.verify_file, name="verify-file"),
]
