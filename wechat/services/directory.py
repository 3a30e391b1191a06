"""The members that the application sees in WeCom's address book, to pick receivers from. Source: pages 90344, 90336."""

import logging
from dataclasses import dataclass

from django.core.cache import cache

from fta.lib import http
from fta.models import Person
from wechat.client import Client
from wechat.errors import WecomError
from wechat.models import WecomApp

logger = logging.getLogger(__name__)

SHOWN = 20
KEPT_SECONDS = 600
DEPARTMENTS = 100  # read at most: a search must not take a minute, nor use up a quota


@dataclass(frozen=True)
class Found:
    """One member; `known` tells that the portal knows the person too."""

    userid: str
    name: str
    known: bool


def search(app: WecomApp | None, text: str) -> tuple[list[Found], str]:
    """Return members whose account or name holds the text, and what kept WeCom from answering ('' for nothing).

    The portal's own people are searched too, so that something is found while WeCom is away.
    """
    wanted, problem = text.strip().casefold(), ""
    people = Person.objects.active().exclude(wecom_userid="").select_related("user")
    known = {person.wecom_userid: person.name for person in people}
    found = {userid: Found(userid, name, True) for userid, name in known.items()}
    try:
        for userid, name in _members(app):
            found[userid.casefold()] = Found(userid, name, userid.casefold() in known)
    except WecomError as error:
        problem = f"{error.errcode} {error.info.meaning}。{error.info.remedy}"
    except http.HttpError as error:
        problem = str(error)
    hits = [each for each in found.values() if wanted in each.userid.casefold() or wanted in each.name.casefold()]
    return sorted(hits, key=lambda each: (not each.known, each.userid))[:SHOWN], problem


def _members(app: WecomApp | None) -> list[tuple[str, str]]:
    if app is None or not app.can_call:
        return []
    key = f"wecom-directory:{app.pk}"
    kept: list[tuple[str, str]] | None = cache.get(key)
    if kept is None:
        client = Client(app)
        kept = list(
            dict.fromkeys(member for number in client.departments()[:DEPARTMENTS] for member in client.members(number))
        )
        cache.set(key, kept, KEPT_SECONDS)
    return kept
