"""Which template cards are accepted, and what is refused with which code.

Source: the vendor's page on template cards (document path 90236) and its page of error codes.
"""

import re
from collections.abc import Sequence

from wechat.simulator.state import Json, Refused

INTERACTIVE = ("button_interaction", "vote_interaction", "multiple_interaction")
NOTICES = ("text_notice", "news_notice")
_TASK_ID = re.compile(r"[0-9A-Za-z_\-@]{1,128}")
_COUNTS = {  # list: longest, the code when it is longer
    "horizontal_content_list": (6, 42035),
    "vertical_content_list": (4, 42036),
    "jump_list": (3, 42042),
    "select_list": (3, 42047),
    "button_list": (6, 40058),
}
_TYPED = {1: ("url", 42028), 2: ("media_id", 42029), 3: ("userid", 42050)}


def calls_back(card: Json) -> bool:
    """Return whether a press on the card makes a callback, so that sending it yields a response code."""
    return card.get("card_type") in INTERACTIVE or bool(card.get("action_menu"))


def check(card: object, *, robot: bool = False) -> Json:
    """Return a well formed card. Raises Refused(4202x to 4205x) with the vendor's code for the first fault."""
    if not isinstance(card, dict):
        raise Refused(40063, "template_card is empty")
    if card.get("card_type") not in (NOTICES if robot else NOTICES + INTERACTIVE):
        raise Refused(42031, "invalid card_type")
    _check_lists(card)
    _check_titles(card)
    _check_actions(card)
    _check_controls(card)
    if calls_back(card) and not _TASK_ID.fullmatch(str(card.get("task_id", ""))):
        raise Refused(42014, "taskid has existed or empty or exceed max len")
    return card


def _need(items: Sequence[Json], name: str, code: int) -> None:
    if any(not item.get(name) for item in items):
        raise Refused(code, f"{name} is missing")


def _check_lists(card: Json) -> None:
    for name, (longest, code) in _COUNTS.items():
        if len(card.get(name) or []) > longest:
            raise Refused(code, f"{name} is too long")
    rows = card.get("horizontal_content_list") or []
    _need(rows, "keyname", 42027)
    for row in rows:
        field, code = _TYPED.get(row.get("type", 0), ("keyname", 42027))
        _need([row], field, code)


def _check_titles(card: Json) -> None:
    title = (card.get("main_title") or {}).get("title")
    if title or (card["card_type"] == "text_notice" and card.get("sub_title_text")):
        return
    raise Refused(42033, "main_title is missing")


def _check_actions(card: Json) -> None:
    action = card.get("card_action") or {}
    if card["card_type"] in NOTICES and not action.get("type"):
        raise Refused(42045, "card_action is missing")
    if action.get("type") == 1:
        _need([action], "url", 42028)
    _need([jump for jump in card.get("jump_list") or [] if jump.get("type") == 1], "url", 42028)
    actions = (card.get("action_menu") or {}).get("action_list") or []
    if len({item.get("key") for item in actions}) < len(actions):
        raise Refused(42051, "duplicate action_menu key")


def _check_controls(card: Json) -> None:
    kind = card["card_type"]
    if kind == "button_interaction":
        buttons = card.get("button_list") or []
        _need(buttons or [{}], "text", 42038)
        _need([button for button in buttons if button.get("type", 0) == 0], "key", 42039)
        _need([button for button in buttons if button.get("type", 0) == 1], "url", 42028)
    if kind in ("vote_interaction", "multiple_interaction"):
        submit = card.get("submit_button") or {}
        _need([submit], "key", 42046)
        _need([submit], "text", 42049)
    for choice in choices(card):
        options = choice.get("option_list") or []
        _need([choice], "question_key", 42043)
        if not 1 <= len(options) <= (20 if kind == "vote_interaction" else 10):
            raise Refused(42037, "option_list is empty or too long")
        _need(options, "id", 42040)
        _need(options, "text", 42041)


def choices(card: Json) -> list[Json]:
    """Return the questions of a card."""
    single = [card.get("button_selection"), card.get("checkbox")]
    return [choice for choice in (*single, *(card.get("select_list") or [])) if choice]


def keys(card: Json) -> list[str]:
    """Return the keys that a press on the card may carry."""
    buttons = [b for b in card.get("button_list") or [] if b.get("type", 0) == 0]
    actions = (card.get("action_menu") or {}).get("action_list") or []
    submit = [card["submit_button"]] if card.get("submit_button") else []
    return [str(item["key"]) for item in (*buttons, *submit, *actions)]
