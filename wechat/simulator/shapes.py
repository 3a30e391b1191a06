"""Which fields of a request are objects, lists or plain values. A field that the API does not know is not looked at.

The server answers a value of another type with 40058 (invalid Request Parameter).
"""

from wechat.simulator.state import Json, Refused

_OBJECT = frozenset({
    "markdown", "markdown_v2", "textcard", "news", "mpnews", "image", "voice", "video", "file", "template_card",
    "main_title", "source", "quote_area", "emphasis_content", "card_image", "image_text_area", "card_action",
    "action_menu", "submit_button", "button_selection", "checkbox"
})  # fmt: skip
_OBJECTS = frozenset({
    "articles", "horizontal_content_list", "vertical_content_list", "jump_list", "select_list", "button_list",
    "option_list", "action_list", "sub_button"
})  # fmt: skip
_TEXTS = frozenset({"userlist", "add_user_list", "del_user_list", "userids"})
_PLAIN = frozenset({
    "msgtype", "touser", "toparty", "totag", "agentid", "chatid", "owner", "content", "title", "description",
    "url", "key", "keyname", "value", "type", "id", "text", "name", "base64", "md5", "task_id", "question_key",
    "card_type", "sub_title_text", "appid", "media_id", "userid", "response_code", "replace_name",
    "enable_duplicate_check", "atall", "msgid"
})  # fmt: skip
_WHOLE = frozenset({"duplicate_check_interval"})


def check(body: Json) -> None:
    """Look at every field, at any depth. Raises Refused(40058) that names the first one of a wrong type."""
    for name, value in body.items():
        if value is not None and not _fits(name, value, body):
            raise Refused(40058, f"{name} has a wrong type. invalid Request Parameter")
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                check(inner)


def _fits(name: str, value: object, around: Json) -> bool:
    if name == "button":  # of a menu: a list; of a card's update: one
        return isinstance(value, dict) or _all(value, dict)
    if name in _OBJECTS:
        return _all(value, dict)
    if name in _TEXTS:
        return _all(value, str)
    if name in _WHOLE:
        return isinstance(value, int)
    if name in _OBJECT or (name == "text" and "msgtype" in around):  # else the words on a button
        return isinstance(value, dict)
    return name not in _PLAIN or not isinstance(value, (dict, list))


def _all(value: object, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)
