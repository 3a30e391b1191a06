"""Messages: their JSON, and splitting by bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify.message import Message, cut, size, split


def test_it_survives_the_database() -> None:
    message = Message(
        "approval_card",
        title="标题",
        facts=(("主机", "web-1"),),
        buttons=(("同意", "approve:1", "1"),),
        mentions=("lisi",),
    )
    assert Message.from_json(json.loads(json.dumps(message.to_json()))) == message
    with pytest.raises(ValueError, match="pigeon"):
        Message.from_json({"form": "pigeon"})


def test_it_splits_at_line_ends_and_says_what_is_missing() -> None:
    text = "\n".join(f"第 {number} 行" for number in range(2000))
    parts = split(text, 2048, "https://portal/x/")
    assert len(parts) == 4
    assert all(size(part) <= 2048 for part in parts)
    assert parts[0].endswith("行")
    assert parts[3].endswith("，全文：https://portal/x/")
    assert "未显示" in parts[3]


def test_it_leaves_a_short_text_whole() -> None:
    assert split("一行\n两行", 2048, "https://x/") == ["一行\n两行"]
    assert split("", 2048) == [""]


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=400), st.integers(min_value=64, max_value=300))
def test_it_loses_nothing_that_fits(text: str, limit: int) -> None:
    parts = split(text, limit)
    assert 1 <= len(parts) <= 4
    assert all(size(part) <= limit for part in parts)
    if size(text) <= limit:
        assert parts == [text.rstrip("\n")]
    assert size(cut(text, limit)) <= limit
