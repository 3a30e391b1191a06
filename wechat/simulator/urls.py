"""The addresses of the simulated server and of its page."""

from django.urls import path
from django.urls.resolvers import URLPattern

from wechat.simulator.views import chats, contacts, hooks, messages, oauth, page, token

API = {
    "gettoken": token.gettoken,
    "getcallbackip": token.callback_ips,
    "get_api_domain_ip": token.api_ips,
    "message/send": messages.send,
    "message/update_template_card": messages.update_card,
    "message/recall": messages.recall,
    "webhook/send": messages.robot,
    "webhook/upload_media": messages.robot_upload,
    "media/upload": messages.upload,
    "appchat/create": chats.create,
    "appchat/update": chats.update,
    "appchat/get": chats.get,
    "appchat/send": chats.send,
    "user/get": contacts.user,
    "user/simplelist": contacts.simple_users,
    "user/list": contacts.users,
    "department/simplelist": contacts.simple_departments,
    "department/list": contacts.departments,
    "agent/get": contacts.agent,
    "menu/create": contacts.create_menu,
    "menu/get": contacts.get_menu,
    "menu/delete": contacts.delete_menu,
    "auth/getuserinfo": oauth.user_info,
    "user/getuserinfo": oauth.legacy_user_info,
}
HOOKS = {
    "state": hooks.state,
    "say": hooks.say,
    "tap": hooks.tap,
    "menu-click": hooks.menu_click,
    "enter": hooks.enter,
    "fault": hooks.fault,
    "reset": hooks.reset,
    "check": hooks.check,
}

urlpatterns: list[URLPattern] = [
    *(path(f"cgi-bin/{name}", view) for name, view in API.items()),
    *(path(f"sim/{name}", view) for name, view in HOOKS.items()),
    path("connect/oauth2/authorize", oauth.authorize, name="authorize"),
    path("wwlogin/sso/login", oauth.authorize),
    path("", page.show, name="page"),
    path("page/live/<slug:part>/", page.live, name="live"),
    path("page/say/", page.say, name="say"),
    path("page/tap/", page.tap, name="tap"),
    path("page/menu/", page.menu, name="menu"),
    path("page/fault/", page.fault, name="fault"),
    path("page/clear/", page.clear, name="clear"),
    path("page/check/", page.check, name="check"),
    path("page/alert/", page.alert, name="alert"),
    path("static/<path:path>", page.static, name="static"),
]
