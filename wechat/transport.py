"""How messages travel to WeCom: as an application, through a group's robot, into an application's own group chat."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fta.lib import http
from fta.lib.secrets import redact
from notify.message import Message
from notify.models import Delivery
from notify.transports import base
from notify.transports.fields import Field
from wechat.client import Answer, Client, NotConfigured, default_app, nothing_sent_yet
from wechat.errors import WecomError, seen_ip
from wechat.models import WecomApp
from wechat.services import cards, chats, media, reach
from wechat.services.payloads import Payload, bodies, on_page, shown

WINDOW_SECONDS = 60.0  # the shortest window of a frequency limit
BUSY_TRIES = 3  # the vendor asks for no more than three tries when its system is busy or gives no answer
_CHAT_ID = re.compile(r"[0-9A-Za-z]{1,32}")
_LEAST_MEMBERS, _MOST_MEMBERS = 2, 2000
_NO_SUCH_CHAT = (86001, 86003, 40050)
_ALREADY_THERE = 42014

_TEXT, _MARKDOWN = ("text", gettext_lazy("文本")), ("markdown", gettext_lazy("Markdown"))
_CARDS = (("textcard", gettext_lazy("文本卡片")), ("news", gettext_lazy("图文")))
_FORM = gettext_lazy("消息格式")
_APP = Field("app", gettext_lazy("应用"), help=gettext_lazy("有多个应用时填它的名称；留空用默认应用。"))


@contextmanager
def translated(request: str) -> Iterator[None]:
    """Turn what the client raises into what the outbox understands, with the remedy for people."""
    try:
        yield
    except WecomError as error:
        raise _refusal(error, request) from error
    except (http.DestinationRefused, http.InvalidRequest) as error:
        raise base.Refused(
            str(error), remedy=_("核对地址；内网地址要写进 FTA_HTTP_ALLOW。"), request=request
        ) from error
    except http.NotSent as error:
        remedy = _("检查网络与企业微信配置里的接口地址，然后重发。")
        text = _("没有连上企业微信：%(why)s") % {"why": error}
        raise base.NotSent(text, remedy=remedy, request=request) from error
    except http.HttpError as error:
        text = _("企业微信没有给出可用的应答，不知道是否已送达：%(why)s") % {"why": error}
        remedy = _("向收件人确认是否收到，没有收到则重发；反复出现时检查到企业微信的网络。")
        raise base.OutcomeUnknown(text, remedy=remedy, max_tries=BUSY_TRIES, request=request) from error
    except NotConfigured as error:
        remedy = _("在企业微信配置页填写企业 ID、AgentId 与 Secret。")
        raise base.Refused(_("还没有配置企业微信应用。"), remedy=remedy, request=request) from error


def _refusal(error: WecomError, request: str) -> base.TransportError:
    info, code = error.info, str(error.errcode)
    remedy, address = str(info.remedy), seen_ip(error.errmsg)
    if error.errcode == 60020 and address:
        remedy = _("企业微信看到的地址是 %(ip)s。%(remedy)s") % {"ip": address, "remedy": remedy}
    text = _("企业微信拒绝：%(code)s，%(meaning)s。") % {"code": code, "meaning": info.meaning}
    answer = redact(error.errmsg)
    if info.kind == "wait":
        return base.NotSent(text, code=code, remedy=remedy, retry_after=WINDOW_SECONDS, request=request, answer=answer)
    if info.kind in ("retry", "token"):
        return base.NotSent(text, code=code, remedy=remedy, max_tries=BUSY_TRIES, request=request, answer=answer)
    nobody = error.errcode == reach.NOBODY
    return base.Refused(text, code=code, remedy=remedy, request=request, answer=answer, nobody=nobody)


def _app(delivery: Delivery, message: Message) -> WecomApp:
    return _app_named(message.data.get("app") or _config(delivery).get("app"))


def _app_named(name: object) -> WecomApp:
    if not name:
        return default_app()
    app = WecomApp.objects.filter(name=name, archived=False).first()
    if app is None:
        raise base.Refused(
            _("没有名为 %(name)s 的企业微信应用。") % {"name": name}, remedy=_("在通知服务里选择已有的应用。")
        )
    return app


def _config(delivery: Delivery) -> Mapping[str, Any]:
    return delivery.channel.config if delivery.channel else {}


def _joined(values: object) -> str:
    items = values.split(",") if isinstance(values, str) else values if isinstance(values, Sequence) else ()
    return "|".join(str(item).strip() for item in items if str(item).strip())


class AppTransport:
    """Messages of the application to members, departments and tags; also its approval cards."""

    label = gettext_lazy("企业微信应用")
    fields = (
        Field("to_user", gettext_lazy("账号"), "lines", gettext_lazy("企业微信账号，每行一个；全员写 @all。")),
        Field("to_party", gettext_lazy("部门 ID"), "lines"),
        Field("to_tag", gettext_lazy("标签 ID"), "lines"),
        Field(
            "message",
            _FORM,
            "choice",
            choices=(_TEXT, _MARKDOWN, *_CARDS, ("template_card", gettext_lazy("模板卡片"))),
        ),
        _APP,
    )
    # WeCom drops a second copy of the same request itself: every send asks for that.
    idempotent = True

    def send(self, delivery: Delivery, message: Message) -> base.Receipt:
        """Send; a card is kept so that it can be updated when its approval ends."""
        message = on_page(delivery, message)
        with translated(shown(message.text)):
            client = Client(_app(delivery, message))
            if message.form == "card_update":
                return cards.update_all(client, delivery, message)
            if message.form == "approval_card":
                return self._send_card(client, delivery, message)
            return self._send_bodies(client, delivery, message)

    def parts(self, delivery: Delivery, message: Message) -> int:
        """Return how many requests the message is; a card is one."""
        return 1 if message.form in ("card_update", "approval_card") else len(self._bodies(delivery, message))

    def _bodies(self, delivery: Delivery, message: Message) -> list[Payload]:
        return bodies(message, str(_config(delivery).get("message") or "text"), "app")

    def _send_bodies(self, client: Client, delivery: Delivery, message: Message) -> base.Receipt:
        parts = [body | repeat_check(delivery) for body in self._bodies(delivery, message)]
        answers = reach.send_all(client, self._addressed(client, delivery, message), parts)
        return _receipt(delivery, message, answers)

    def _send_card(self, client: Client, delivery: Delivery, message: Message) -> base.Receipt:
        # Written before the call: a click may come in before the answer does.
        cards.remember_card(client.app, delivery, message)
        payload = self._addressed(client, delivery, message) | cards.approval_card(message) | repeat_check(delivery)
        try:
            answer = client.send(payload)
        except WecomError as error:
            if error.errcode != _ALREADY_THERE or not _may_have_arrived(delivery):
                raise
            return base.Receipt(request=shown(message.text), note=_("同一张卡片先前已经送达。"))
        cards.keep_code(delivery, str(answer.get("response_code") or ""))
        return _receipt(delivery, message, [answer])

    def _addressed(self, client: Client, delivery: Delivery, message: Message) -> Payload:
        config = _config(delivery)
        own = not delivery.recipients
        to = {
            "touser": _joined(delivery.recipients or config.get("to_user")),
            "toparty": _joined(config.get("to_party")) if own else "",
            "totag": _joined(config.get("to_tag")) if own else "",
            **message.data.get("to", {}),  # what came through the gateway names departments and tags itself
        }
        if not any(to.values()):
            raise WecomError(82001, "no receiver")
        return {**{name: ids for name, ids in to.items() if ids}, "agentid": client.app.agent_id or 0, "safe": 0}

    def validate(self, config: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        """Check that somebody receives."""
        if any(_joined(config.get(name)) for name in ("to_user", "to_party", "to_tag")):
            return []
        return [("to_user", _("至少填写一个账号、部门或标签。"))]


def _may_have_arrived(delivery: Delivery) -> bool:
    """Tell whether an earlier try of this very delivery may have reached WeCom: else somebody else used the card's id."""
    return delivery.tries.filter(outcome=base.UNKNOWN).exists()


def repeat_check(delivery: Delivery) -> Payload:
    """Ask WeCom to drop a second copy of this very delivery.

    It compares the whole request, so two deliveries that read the same ("审批成功" twice) must differ: the interval does.
    """
    return {"enable_duplicate_check": 1, "duplicate_check_interval": 1800 + delivery.pk % 7200}


def _receipt(delivery: Delivery, message: Message, answers: Sequence[Answer]) -> base.Receipt:
    missed = reach.missed(answers)
    note, remedy = reach.lacking(missed)
    provider = {"msgid": [str(answer.get("msgid") or "") for answer in answers]}
    people = f"{missed['invaliduser']}|{missed['unlicenseduser']}"
    gone = [userid.casefold() for userid in people.split("|") if userid] if delivery.kind == "wecom_app" else None
    answer = redact(str(answers[0].get("errmsg", "")))
    return base.Receipt(
        provider, shown(message.text), answer, note, gone, remedy=remedy, fault=reach.lacking_groups(missed)
    )


def _in_turn(parts: Sequence[Payload], send: Callable[[Payload], Answer]) -> list[Answer]:
    """Send the parts of a message where WeCom drops no repeats: once one is out, the whole is not tried again by itself."""
    answers: list[Answer] = []
    for part in parts:
        try:
            answers.append(send(part))
        except (WecomError, http.HttpError) as error:
            if not answers:
                raise
            text = _("共 %(all)d 段，前 %(n)d 段已送达，其余没有：%(why)s")
            remedy = _("重发会把已送达的几段再发一遍；可到投递记录里复制其余的内容补发。")
            said = text % {"all": len(parts), "n": len(answers), "why": error}
            raise base.OutcomeUnknown(said, remedy=remedy) from error
    return answers


class RobotTransport:
    """Messages through a group's robot; each group of a channel is a delivery of its own."""

    label = gettext_lazy("企业微信群机器人")
    fields = (
        Field(
            "groups",
            gettext_lazy("群"),
            "groups",
            gettext_lazy(
                "每行一个群：名称 | Webhook 地址 | 要提醒的账号或手机号（逗号分隔，可省；手机号只在文本里有效）。"
                "几个群可写在一行：名称用 & 连接，地址用空格隔开。地址保存后只显示圆点；不改就留着圆点。"
            ),
            required=True,
        ),
        Field(
            "to_user",
            gettext_lazy("同时发给账号"),
            "lines",
            gettext_lazy("经企业微信应用发给这些人，每行一个账号。"),
        ),
        Field(
            "message",
            _FORM,
            "choice",
            choices=(
                _MARKDOWN,
                _TEXT,
                ("markdown_v2", gettext_lazy("Markdown v2（表格、代码；不能提醒人）")),
                *_CARDS,
                ("template_card", gettext_lazy("模板卡片")),
                ("image", gettext_lazy("文字与图片")),
                ("file", gettext_lazy("文字，过长时附全文文件")),
            ),
        ),
    )
    idempotent = False

    def send(self, delivery: Delivery, message: Message) -> base.Receipt:
        """Send to the group that the delivery names."""
        message = on_page(delivery, message)
        with translated(shown(message.text)):
            group = self._group(delivery)
            client, form, url = Client(self._any_app()), self._form(delivery), str(group["webhook"])
            whole = media.whole(message) if form == "file" else None
            parts = self._bodies(delivery, whole.head if whole else message)
            if form == "image" and (picture := media.picture(message)):
                parts.append(picture)
            elif whole:
                parts.append({"msgtype": "file", "file": {"media_id": client.robot_upload(url, whole.name, whole.raw)}})
            return _receipt(delivery, message, _in_turn(parts, lambda body: client.robot_send(url, body)))

    def parts(self, delivery: Delivery, message: Message) -> int:
        """Return how many requests the message is, with its picture or its file."""
        form = self._form(delivery)
        whole = media.whole(message) if form == "file" else None
        beside = 1 if whole or (form == "image" and message.picture) else 0
        return len(self._bodies(delivery, whole.head if whole else message)) + beside

    def _form(self, delivery: Delivery) -> str:
        return str(_config(delivery).get("message") or "markdown")

    def _bodies(self, delivery: Delivery, message: Message) -> list[Payload]:
        mentions = [*message.mentions, *(self._group(delivery).get("mentions") or [])]
        return bodies(message, self._form(delivery), "robot", mentions)

    def _group(self, delivery: Delivery) -> Mapping[str, Any]:
        name = delivery.recipients[0] if delivery.recipients else None
        groups: Sequence[Mapping[str, Any]] = _config(delivery).get("groups") or []
        for group in groups:
            if name is None or group.get("name") == name:
                return group
        raise base.Refused(
            _("通知服务里没有名为 %(name)s 的群。") % {"name": name or ""},
            remedy=_("在通知服务里补上这个群的 Webhook 地址。"),
        )

    def _any_app(self) -> WecomApp:
        """Return the configured application, whose API base a robot may share; a robot needs no application itself."""
        try:
            return default_app()
        except NotConfigured:
            return WecomApp()

    def validate(self, config: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        """Check that the webhook of every group is an address."""
        wrong = []
        for group in config["groups"]:
            url = urlsplit(str(group.get("webhook") or ""))
            if url.scheme not in ("http", "https") or not url.netloc:
                wrong.append(("groups", _("群“%(name)s”的 Webhook 地址不是网址。") % {"name": group.get("name", "")}))
        return wrong


class ChatTransport:
    """Messages into a group chat of the application, named after its channel; made when it is missing and has members."""

    label = gettext_lazy("企业微信群聊")
    fields = (
        Field(
            "chat_id",
            gettext_lazy("群聊 ID"),
            help=gettext_lazy("1 至 32 位字母或数字；填已有的群聊 ID 就沿用它，留空则建群后由企业微信给出。"),
        ),
        Field("owner", gettext_lazy("群主账号"), help=gettext_lazy("要在成员里；留空为第一个成员。")),
        Field(
            "members",
            gettext_lazy("成员账号"),
            "lines",
            gettext_lazy("每行一个，2 至 2000 个。群名就是这个通知服务的名称。"),
        ),
        Field("message", _FORM, "choice", choices=(_TEXT, _MARKDOWN, *_CARDS)),
        _APP,
    )
    actions = (
        base.Action(
            "push",
            gettext_lazy("建群或更新群"),
            gettext_lazy("按已保存的名称、群主和成员，在企业微信里建这个群；已经有了就改成这样。"),
        ),
        base.Action(
            "pull",
            gettext_lazy("读取群的现状"),
            gettext_lazy("沿用已有的群：用企业微信里的群主和成员填写这里。"),
        ),
    )
    idempotent = False

    def send(self, delivery: Delivery, message: Message) -> base.Receipt:
        """Send to the chat."""
        message = on_page(delivery, message)
        with translated(shown(message.text)):
            config, client = _config(delivery), Client(_app(delivery, message))
            if not config.get("chat_id"):
                remedy = _("在通知服务里点“建群或更新群”，或填上已有的群聊 ID。")
                raise base.Refused(_("这个通知服务还没有群。"), remedy=remedy)
            parts = bodies(message, str(config.get("message") or "text"), "chat", message.mentions)
            head = {"chatid": config["chat_id"], "safe": 0}
            name = delivery.channel.name if delivery.channel else ""
            return _receipt(
                delivery, message, _in_turn(parts, lambda body: self._send_one(client, name, config, head | body))
            )

    def _send_one(self, client: Client, name: str, config: Mapping[str, Any], payload: Payload) -> Answer:
        try:
            return client.chat_send(payload)
        except WecomError as error:
            if error.errcode not in _NO_SUCH_CHAT or len(config.get("members") or []) < _LEAST_MEMBERS:
                raise
        with nothing_sent_yet():
            client.chat_create(chats.made(name, config))
        return client.chat_send(payload)

    def act(self, name: str, action: str, config: Mapping[str, Any]) -> base.Acted:
        """Make the chat what the channel says (push), or the channel what the chat is (pull)."""
        with translated(""):
            client = Client(_app_named(config.get("app")))
            if action == "pull":
                return chats.pull(client, config)
            return chats.push(client, name, config)

    def validate(self, config: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        """Check the chat's id and its members."""
        wrong, members = [], config.get("members") or []
        if config.get("chat_id") and not _CHAT_ID.fullmatch(str(config["chat_id"])):
            wrong.append(("chat_id", _("群聊 ID 是 1 至 32 位字母或数字。")))
        if not config.get("chat_id") and not members:
            wrong.append(("members", _("填写成员来建群，或填写已有的群聊 ID。")))
        if members and not _LEAST_MEMBERS <= len(members) <= _MOST_MEMBERS:
            wrong.append(("members", _("群聊要有 2 至 2000 个成员。")))
        known = {str(userid).casefold() for userid in members}
        if members and config.get("owner") and str(config["owner"]).casefold() not in known:
            wrong.append(("owner", _("群主要在成员里。")))
        return wrong
