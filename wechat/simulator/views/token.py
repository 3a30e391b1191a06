"""gettoken, and the address lists."""

import hmac

from wechat.simulator.state import Json, Refused
from wechat.simulator.views.endpoint import ApiCall, endpoint


@endpoint("gettoken", token=False)
def gettoken(call: ApiCall) -> Json:
    """Issue a token. POST is accepted too, since Grafana posts."""
    world, secret = call.world, call.query("corpsecret")
    if not secret:
        raise Refused(41004, "corpsecret missing")
    if not call.query("corpid"):
        raise Refused(41002, "corpid missing")
    if call.query("corpid") != world.config.corp_id:
        raise Refused(40013, "invalid corpid")
    if world.wrong_secrets >= world.config.wrong_secret_limit:
        raise Refused(45009, "api freq out of limit")
    for app in world.config.apps:
        if app.secret and hmac.compare_digest(app.secret.encode(), secret.encode()):
            token = world.issue_token(app)
            left = round(token.expires_at - world.clock())
            # Grafana reads the misspelt name.
            return {"access_token": token.value, "expires_in": left, "expire_in": left}
    world.wrong_secrets += 1
    raise Refused(40001, "invalid credential")


@endpoint("getcallbackip")
def callback_ips(call: ApiCall) -> Json:
    """Tell where callbacks come from."""
    return {"ip_list": ["127.0.0.1"]}


@endpoint("get_api_domain_ip")
def api_ips(call: ApiCall) -> Json:
    """Tell where the API lives."""
    return {"ip_list": ["127.0.0.1"]}
