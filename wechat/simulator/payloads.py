"""The bodies of messages: what each kind must hold and how much of it is kept.

Source: the vendor's pages on application messages (90236) and robots (91770). Over-long text is cut, over-long markdown
is refused.
"""

import base64
import hashlib

from wechat.simulator import cards
from wechat.simulator.state import Json, Refused

APP_KINDS = (
    "text", "markdown", "textcard", "news", "mpnews", "image", "voice", "video", "file", "template_card"
)  # fmt: skip
CHAT_KINDS = tuple(kind for kind in APP_KINDS if kind != "template_card")
ROBOT_KINDS = ("text", "markdown", "markdown_v2", "image", "news", "file", "voice", "template_card")
TEXT_BYTES = 2048
IMAGE_BYTES = 2 * 1024 * 1024
ARTICLES = 8
URL_BYTES = 2048


def cut(text: str, size: int) -> str:
    """Return as much of a text as fits into so many bytes, without half a character."""
    return text.encode()[:size].decode(errors="ignore")


def check(request: Json, kinds: tuple[str, ...], *, markdown_bytes: int = TEXT_BYTES, robot: bool = False) -> Json:
    """Return the body as it is delivered.

    Only the object named by msgtype is looked at: Alertmanager always sends both `text` and `markdown`.
    """
    kind = request.get("msgtype")
    if kind not in kinds:
        raise Refused(40008, "invalid message type")
    body = request.get(kind)
    if kind == "template_card":
        return cards.check(body, robot=robot)
    if not isinstance(body, dict):
        raise Refused(40063, f"{kind} is empty")
    if kind in ("text", "markdown", "markdown_v2"):
        return _words(kind, body, markdown_bytes)
    if kind == "image" and robot:
        return _image(body)
    if kind == "textcard":
        return _textcard(body)
    if kind == "news":
        return _news(body)
    return body


def _words(kind: str, body: Json, markdown_bytes: int) -> Json:
    content = str(body.get("content") or "")
    if not content.strip():
        raise Refused(44004, "empty content")
    if kind == "text":
        return body | {"content": cut(content, TEXT_BYTES)}
    if len(content.encode()) > markdown_bytes:
        code = 45002 if markdown_bytes == TEXT_BYTES else 40058
        raise Refused(code, f"{kind}.content exceed max length {markdown_bytes}. invalid Request Parameter")
    return body


def _image(body: Json) -> Json:
    """Check a robot's picture, and keep its size only."""
    try:
        raw = base64.b64decode(str(body.get("base64", "")), validate=True)
    except ValueError as error:
        raise Refused(40058, "image.base64 is no base64") from error
    if not raw or len(raw) > IMAGE_BYTES:
        raise Refused(40009, "invalid image size")
    if hashlib.md5(raw, usedforsecurity=False).hexdigest() != body.get("md5"):
        raise Refused(40058, "image.md5 does not match")
    return {"bytes": len(raw)}


def _check_url(url: str) -> None:
    if len(url.encode()) > URL_BYTES:
        raise Refused(40039, "invalid url size")
    if not url.startswith(("http://", "https://")):
        raise Refused(45034, "url without scheme")


def _textcard(body: Json) -> Json:
    if not body.get("description"):
        raise Refused(41033, "description missing")
    if not body.get("title"):
        raise Refused(40058, "textcard.title missing")
    _check_url(str(body.get("url", "")))
    return body | {"title": cut(str(body["title"]), 128), "description": cut(str(body["description"]), 512)}


def _news(body: Json) -> Json:
    articles = body.get("articles") or []
    if not articles:
        raise Refused(44003, "empty news data")
    if len(articles) > ARTICLES:
        raise Refused(45008, "article count exceeds limit")
    kept = []
    for article in articles:
        if not article.get("title"):
            raise Refused(40058, "news.articles.title missing")
        if not article.get("appid"):
            _check_url(str(article.get("url", "")))
        kept.append(article | {"title": cut(str(article["title"]), 128)})
        if article.get("description"):
            kept[-1]["description"] = cut(str(article["description"]), 512)
    return body | {"articles": kept}
