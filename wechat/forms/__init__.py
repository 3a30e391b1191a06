"""Forms of the WeCom pages, and the checks that the configuration file shares with them."""

from wechat.forms.external import ExternalForm
from wechat.forms.pages import ConfigForm, GatewayClientForm, HandOverForm, MembersForm, TestMessageForm
from wechat.forms.values import (
    api_url,
    app_url,
    check_aes_key,
    check_api_token,
    check_token,
    check_verify_file,
    generate,
    secret_leaves,
    static_url,
    verify_content,
)

__all__ = [
    "ConfigForm",
    "ExternalForm",
    "GatewayClientForm",
    "HandOverForm",
    "MembersForm",
    "TestMessageForm",
    "api_url",
    "app_url",
    "check_aes_key",
    "check_api_token",
    "check_token",
    "check_verify_file",
    "generate",
    "secret_leaves",
    "static_url",
    "verify_content",
]
