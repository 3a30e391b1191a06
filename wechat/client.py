"""The calls to WeCom's server API, with one access token for all processes.

Facts: the vendor's pages on tokens (document path 91039), messages (90236), card updates (94945), group chats (90245),
robots (91770), web login (96442) and error codes (90313).
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.db import DatabaseError
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from fta.lib import http
from fta.lib.secrets import digest, remember
from fta.models.engine import DbNow, lease
from wechat.errors import WecomError
from wechat.models import AccessToken, ApiCallCount, WecomApp

logger = logging.getLogger(__name__)

Answer = dict[str, Any]

EARLY = timedelta(minutes=5)
FETCH_SECONDS = 15  # a fetch that takes longer has died with its process
REFUSED_SECONDS = 60
WAIT_SECONDS = 12.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5  # between looks at a token that somebody else fetches
_BODY = {"Content-Type": "application/json; charset=utf-8"}


class NotConfigured(Exception):
    """There is no usable WeCom application."""


def default_app() -> WecomApp:
    """Return the application that the portal speaks through; raises NotConfigured when there is none."""
    app = WecomApp.objects.filter(archived=False).order_by("-is_default", "id").first()
    if app is None:
        raise NotConfigured
    return app


class Client:
    """The API as one application.

    Calls raise WecomError for an error code, fta.lib.http.NotSent when nothing was sent and fta.lib.http.OutcomeUnknown when no
    usable answer came.
    """

    def __init__(self, app: WecomApp) -> None:
        self.app = app
        self.ahead: float | None = None  # seconds that our clock is ahead of WeCom's, by its latest answer
        self._credential = digest("\n".join((app.api_base, app.corp_id, app.secret)))

    # --- messages ---

    def send(self, payload: Mapping[str, Any]) -> Answer:
        """Send an application message; partly bad receivers are listed in the answer."""
        return self.call("message/send", payload)

    def update_card(self, payload: Mapping[str, Any]) -> Answer:
        """Replace a template card that was sent; its response code is then used up."""
        return self.call("message/update_template_card", payload)

    def chat_create(self, payload: Mapping[str, Any]) -> Answer:
        """Create a group chat of this application."""
        return self.call("appchat/create", payload)

    def chat_update(self, payload: Mapping[str, Any]) -> Answer:
        """Rename a group chat or change its members."""
        return self.call("appchat/update", payload)

    def chat_get(self, chat_id: str) -> Answer:
        """Return a group chat's name, owner and members."""
        return self.call("appchat/get", chatid=chat_id)

    def chat_send(self, payload: Mapping[str, Any]) -> Answer:
        """Send a message to a group chat."""
        return self.call("appchat/send", payload)

    def robot_send(self, url: str, payload: Mapping[str, Any]) -> Answer:
        """Send a message to a group through its robot; the address itself is the credential."""
        remember(*(value for name, value in parse_qsl(urlsplit(url).query) if name == "key"))
        same_origin = urlsplit(url)[:2] == urlsplit(self.app.api_base)[:2]
        with _counted("webhook/send"):
            return _answer(
                "webhook/send", http.request("POST", url, data=_encode(payload), headers=_BODY, trusted=same_origin)
            )

    def robot_upload(self, url: str, name: str, content: bytes) -> str:
        """Upload a file of 5 bytes to 20 MB for a robot, and return its media id: for this robot alone, for three days."""
        parts = urlsplit(url)
        address = parts._replace(path=parts.path.replace("webhook/send", "webhook/upload_media")).geturl()
        same_origin = parts[:2] == urlsplit(self.app.api_base)[:2]
        files = {"media": (name, content, "application/octet-stream")}
        with nothing_sent_yet(), _counted("webhook/upload_media"):
            response = http.request("POST", address, params={"type": "file"}, files=files, trusted=same_origin)
            return str(_answer("webhook/upload_media", response).get("media_id") or "")

    # --- people, the application, its menu ---

    def user_by_code(self, code: str) -> str | None:
        """Exchange a login code, which works once; None for somebody who is no member of the corp."""
        return self.call("auth/getuserinfo", code=code).get("userid") or None

    def user_get(self, userid: str) -> Answer:
        """Return a member; raises WecomError(60111) for one that the application cannot see."""
        return self.call("user/get", userid=userid)

    def departments(self) -> list[int]:
        """Return the ids of the departments that the application sees."""
        return [int(row["id"]) for row in self.call("department/simplelist").get("department_id") or []]

    def members(self, department: int) -> list[tuple[str, str]]:
        """Return the members of a department, not of those below it, as (userid, name)."""
        rows = self.call("user/simplelist", department_id=str(department)).get("userlist") or []
        return [(str(row["userid"]), str(row.get("name") or row["userid"])) for row in rows]

    def agent_get(self) -> Answer:
        """Return the application's own settings and visible range."""
        return self.call("agent/get", agentid=str(self.app.agent_id or ""))

    def menu_get(self) -> Answer:
        """Return the menu; raises WecomError(46003) while there is none."""
        return self.call("menu/get", agentid=str(self.app.agent_id or ""))

    def menu_create(self, menu: Mapping[str, Any]) -> Answer:
        """Replace the menu."""
        return self.call("menu/create", menu, agentid=str(self.app.agent_id or ""))

    # --- calling ---

    def call(self, name: str, payload: Mapping[str, Any] | None = None, **query: str) -> Answer:
        """Make one call; a token that WeCom no longer takes is replaced and the call repeated exactly once."""
        token = self.token()
        try:
            return self._once(name, payload, query, token)
        except WecomError as error:
            if error.info.kind != "token":
                raise
        self.forget(token)
        return self._once(name, payload, query, self.token())

    def _once(self, name: str, payload: Mapping[str, Any] | None, query: Mapping[str, str], token: str) -> Answer:
        method, body = ("GET", None) if payload is None else ("POST", _encode(payload))
        with _counted(name):
            response = http.request(
                method,
                self.app.api_base + name,
                params={"access_token": token, **query},
                data=body,
                headers=_BODY if body else None,
                trusted=True,
            )
            self.ahead = _ahead(response)
            return _answer(name, response)

    # --- the token ---

    def token(self) -> str:
        """Return the access token, fetching it once for all processes when it is about to expire."""
        give_up_at, pause = time.monotonic() + WAIT_SECONDS, _FIRST_PAUSE
        while time.monotonic() < give_up_at:
            now = timezone.now()
            row = AccessToken.objects.filter(app=self.app).first()
            if row is None:
                row, _made = AccessToken.objects.get_or_create(app=self.app)
            ours = row.credential == self._credential
            if ours and _lasts(row, now + EARLY):
                return str(row.value)
            if ours and row.refused_until and row.refused_until > now:
                raise WecomError(int(row.refusal["errcode"]), str(row.refusal["errmsg"]))
            if self._take_lease(now):
                return self._fetch(now)
            if ours and _lasts(row, now):
                return str(row.value)  # somebody refreshes it early; it still works
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        raise http.NotSent(_("另一个进程正在获取 access_token，还没有结果"))

    def _take_lease(self, now: datetime) -> bool:
        free = Q(refreshing_until=None) | Q(refreshing_until__lte=DbNow())
        done = Q(credential=self._credential, expires_at__gt=now + EARLY)
        return AccessToken.objects.filter(free, ~done, app=self.app).update(refreshing_until=lease(FETCH_SECONDS)) == 1

    def _fetch(self, now: datetime) -> str:
        row = AccessToken.objects.filter(app=self.app)
        try:
            secret = {"corpid": self.app.corp_id, "corpsecret": self.app.secret}
            remember(self.app.secret)
            with nothing_sent_yet(), _counted("gettoken"):
                response = http.request("GET", self.app.api_base + "gettoken", params=secret, trusted=True)
                answer = _answer("gettoken", response)
        except http.HttpError:
            row.update(refreshing_until=None)
            raise
        except WecomError as error:
            self._note_refusal(error, now)
            raise
        value = str(answer["access_token"])
        remember(value)
        row.update(
            value=value,
            value_digest=digest(value),
            credential=self._credential,
            fetched_at=now,
            expires_at=now + timedelta(seconds=int(answer.get("expires_in") or 7200)),
            refreshing_until=None,
            refusal={},
            refused_until=None,
        )
        return value

    def _note_refusal(self, error: WecomError, now: datetime) -> None:
        lasting = error.info.kind in ("admin", "wait")
        AccessToken.objects.filter(app=self.app).update(
            refreshing_until=None,
            value="",
            value_digest="",
            expires_at=None,
            credential=self._credential,
            refusal={"errcode": error.errcode, "errmsg": error.errmsg},
            refused_until=now + timedelta(seconds=REFUSED_SECONDS) if lasting else None,
        )

    def forget(self, token: str) -> None:
        """Drop this token for everybody, but not the newer one that somebody else may have fetched meanwhile."""
        rows = AccessToken.objects.filter(app=self.app, value_digest=digest(token))
        rows.update(value="", value_digest="", expires_at=None)


@contextmanager
def nothing_sent_yet() -> Iterator[None]:
    """Let no answer to a call that only prepares a message mean that the message was not sent, which is then safe to try again."""
    try:
        yield
    except http.OutcomeUnknown as error:
        raise http.NotSent(str(error)) from error


@contextmanager
def _counted(name: str) -> Iterator[None]:
    """Count a call by the code of its answer."""
    code = "0"
    try:
        yield
    except WecomError as error:
        code = str(error.errcode)
        logger.warning("WeCom answered %s with %s", name, code)
        raise
    except http.HttpError:
        code = "none"
        raise
    finally:
        _count(name, code)


def _count(name: str, code: str) -> None:
    row = ApiCallCount.objects.filter(api=name, code=code)
    try:
        if not row.update(calls=F("calls") + 1):
            ApiCallCount.objects.get_or_create(api=name, code=code)
            row.update(calls=F("calls") + 1)
    except DatabaseError:  # a figure is worth less than the answer
        logger.exception("Unable to count the call of %s", name)


def _lasts(row: AccessToken, until: datetime) -> bool:
    return bool(row.value and row.expires_at and row.expires_at > until)


def _ahead(response: http.Response) -> float | None:
    try:
        said = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError):
        return None
    return (timezone.now() - (said if said.tzinfo else said.replace(tzinfo=UTC))).total_seconds()


def _encode(payload: Mapping[str, Any]) -> bytes:
    """Encode without \\u escapes, which WeCom lists as an error (40033), and the same way each time: it compares repeats."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _answer(api: str, response: http.Response) -> Answer:
    try:
        body = response.json() if response.status == 200 else None
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise http.OutcomeUnknown(_("状态码 %(status)s，内容不是约定的 JSON") % {"status": response.status})
    if body.get("errcode"):  # some calls leave it out when all is well
        raise WecomError(int(body["errcode"]), str(body.get("errmsg", "")), api)
    return body
