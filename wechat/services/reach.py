"""Reach everybody with a message of an application, also those who are more than WeCom takes in one request (page 90236)."""

from collections.abc import Sequence

from wechat.client import Answer, Client
from wechat.errors import WecomError
from wechat.services.payloads import Payload

MOST_ACCOUNTS = 1000
NOBODY = 81013
_MISSED = ("invaliduser", "invalidparty", "invalidtag", "unlicenseduser")


def send_all(client: Client, address: Payload, parts: Sequence[Payload]) -> list[Answer]:
    """Send every part to every thousand of the accounts; departments and tags stand with the first.

    A thousand of whom WeCom knows none are missed as one who is unknown among others is. What was sent before another error is
    dropped by WeCom as a repeat when the whole is tried again.
    """
    addresses = _by_thousand(address)
    return [_send(client, to | part, len(addresses) > 1) for to in addresses for part in parts]


def missed(answers: Sequence[Answer]) -> dict[str, str]:
    """Return whom the answers name as not reached, each once: the parts of one text are answered alike."""
    found = {name: "|".join(str(answer.get(name) or "") for answer in answers) for name in _MISSED}
    return {name: "|".join(dict.fromkeys(filter(None, ids.split("|")))) for name, ids in found.items()}


def _by_thousand(address: Payload) -> list[Payload]:
    users = str(address.get("touser", "")).split("|")
    if len(users) <= MOST_ACCOUNTS:
        return [address]
    shared = {name: value for name, value in address.items() if name not in ("toparty", "totag")}
    starts = range(0, len(users), MOST_ACCOUNTS)
    return [
        (shared if start else address) | {"touser": "|".join(users[start : start + MOST_ACCOUNTS])} for start in starts
    ]


def _send(client: Client, payload: Payload, one_of_several: bool) -> Answer:
    try:
        return client.send(payload)
    except WecomError as error:
        if error.errcode != NOBODY or not one_of_several:
            raise
        return {"invaliduser": payload["touser"]}
