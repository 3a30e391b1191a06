"""Messages of applications and robots."""

import secrets

from wechat.simulator import sending
from wechat.simulator.state import Json, Refused
from wechat.simulator.views.endpoint import ApiCall, endpoint


@endpoint("message/send", post=True, sends=True)
def send(call: ApiCall) -> Json:
    """Send a message of an application to members."""
    return sending.send(call.world, call.app, call.body)


@endpoint("message/update_template_card", post=True, sends=True)
def update_card(call: ApiCall) -> Json:
    """Change a card that was sent."""
    return {"invaliduser": sending.update_card(call.world, call.app, call.body)}


@endpoint("message/recall", post=True)
def recall(call: ApiCall) -> Json:
    """Take a message back."""
    sending.recall(call.world, call.app, str(call.body.get("msgid", "")))
    return {}


@endpoint("webhook/send", post=True, token=False, sends=True)
def robot(call: ApiCall) -> Json:
    """Send a robot's message; the key in the address is the credential."""
    sending.send_to_robot(call.world, call.query("key"), call.body)
    return {}


def _stored(call: ApiCall) -> Json:
    upload = call.request.FILES.get("media")
    if upload is None or not upload.size:
        raise Refused(44001, "empty media data")
    media_id = f"sim-{secrets.token_urlsafe(24)}"
    call.world.media[media_id] = str(upload.name)
    return {"type": call.query("type"), "media_id": media_id, "created_at": str(int(call.world.clock()))}


@endpoint("media/upload", post=True, reads_body=False)
def upload(call: ApiCall) -> Json:
    """Take a file; only its name is kept."""
    if call.query("type") not in ("image", "voice", "video", "file"):
        raise Refused(40004, "invalid media type")
    return _stored(call)


@endpoint("webhook/upload_media", post=True, reads_body=False, token=False)
def robot_upload(call: ApiCall) -> Json:
    """Take a robot's file. That it is empty is noticed before the key is looked at."""
    answer = _stored(call)
    if call.query("key") not in call.world.robots:
        raise Refused(93000, "invalid webhook url")
    return answer
