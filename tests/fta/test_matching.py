"""Conditions, the index of rules, shields."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fta import matching
from fta.matching import Subject, compile_match, current_rules, index, shield_for, shields, validate_match
from fta.models import ConfigVersion, Rule, Shield
from tests import factories

NOON_MONDAY = datetime(2024, 11, 25, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai


@pytest.fixture(autouse=True)
def _nothing_compiled() -> Iterator[None]:
    yield
    index._compiled.cache_clear()
    shields._compiled.cache_clear()


def subject(at: datetime = NOON_MONDAY, labels: dict[str, str] | None = None, **fields: str) -> Subject:
    words = {"alert_type": "disk_full", "source": "rest", "ip": "10.1.2.3", "content": "/data 98%"} | fields
    return Subject({name: (word,) for name, word in words.items() if word}, at, labels or {})


@pytest.mark.parametrize(
    ("match", "holds"),
    [
        ({}, True),
        ({"alert_type": "disk_full"}, True),
        ({"alert_type": "disk"}, False),
        ({"alert_type": ["cpu", "disk_full"]}, True),
        ({"alert_type": ["cpu", "mem"]}, False),
        ({"alert_type": {"exact": "disk_full"}}, True),
        ({"alert_type": {"glob": "disk*"}}, True),
        ({"alert_type": {"glob": "*full"}}, True),
        ({"alert_type": {"glob": "disk?full"}}, True),
        ({"alert_type": {"glob": "disk[_-]full"}}, True),
        ({"alert_type": {"glob": "disk[!_]full"}}, False),
        ({"alert_type": {"glob": "isk*"}}, False),
        ({"alert_type": {"glob": ["cpu*", "disk*"]}}, True),
        ({"alert_type": {"glob": "disk*", "not": "disk_full"}}, False),
        ({"alert_type": {"regex": "^disk_(full|slow)$"}}, True),
        ({"alert_type": {"regex": "^full"}}, False),
        ({"alert_type": {"prefix": "disk_"}}, True),
        ({"alert_type": {"prefix": "mem"}}, False),
        ({"alert_type": {"not": ["cpu", "mem"]}}, True),
        ({"alert_type": {"not": {"glob": "disk*"}}}, False),
        ({"content": {"regex": "9[0-9]%"}}, True),
        ({"ip": "10.1.2.3"}, True),
        ({"ip": ["10.9.9.9", "10.1.0.0/16"]}, True),
        ({"ip": ["10.2.0.0/16"]}, False),
        ({"ip": {"cidr": "10.0.0.0/8"}}, True),
        ({"ip": {"cidr": ["192.168.0.0/16", "fd00::/8"]}}, False),
        ({"severity": "critical"}, False),
        ({"severity": {"not": "critical"}}, True),
        ({"severity": {"exists": False}}, True),
        ({"source": "rest", "alert_type": "cpu"}, False),
    ],
)
def test_it_judges_text_conditions(match: dict[str, Any], holds: bool) -> None:
    assert validate_match(match) == []
    assert compile_match(match).holds(subject()) is holds


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("prod", True),
        (["test", "prod"], True),
        ({"not": "prod"}, False),
        ({"not": "test"}, True),
        ({"regex": "^pr"}, True),
        ({"exists": True}, True),
        ({"exists": False}, False),
    ],
)
def test_it_judges_labels(condition: Any, holds: bool) -> None:
    found = compile_match({"labels": {"env": condition}})
    assert found.holds(subject(labels={"env": "prod"})) is holds


def test_it_takes_a_missing_label_for_none_of_the_values() -> None:
    bare = subject()
    assert not compile_match({"labels": {"env": "prod"}}).holds(bare)
    assert not compile_match({"labels": {"env": {"exists": True}}}).holds(bare)
    assert compile_match({"labels": {"env": {"not": "prod"}}}).holds(bare)


@pytest.mark.parametrize(
    ("hours", "at", "holds"),
    [
        ({"from": "09:00", "to": "18:00"}, NOON_MONDAY, True),
        ({"from": "09:00", "to": "12:00"}, NOON_MONDAY, False),
        ({"from": "09:00", "to": "18:00", "days": [6, 7]}, NOON_MONDAY, False),
        ({"days": [1]}, NOON_MONDAY, True),
        ({"from": "22:00", "to": "06:00"}, NOON_MONDAY + timedelta(hours=11), True),
        ({"from": "22:00", "to": "06:00", "days": [1]}, NOON_MONDAY + timedelta(hours=17), True),  # 05:00 on Tuesday
        ({"from": "22:00", "to": "06:00", "days": [2]}, NOON_MONDAY + timedelta(hours=17), False),
        ([{"from": "00:00", "to": "01:00"}, {"from": "12:00", "to": "24:00"}], NOON_MONDAY, True),
    ],
)
def test_it_judges_hours_in_the_zone_of_the_portal(hours: Any, at: datetime, holds: bool) -> None:
    assert compile_match({"hours": hours}).holds(subject(at)) is holds


@pytest.mark.parametrize(
    ("match", "path", "words"),
    [
        ({"alert_type": {"regex": "("}}, "alert_type.regex", "正则无法编译"),
        ({"content": {"not": {"regex": r"(a)\1"}}}, "content.not.regex", "反向引用"),
        ({"labels": {"env": {"like": "x"}}}, "labels.env.like", "未知的条件写法"),
        ({"alert_typ": "x"}, "alert_typ", "未知的条件"),
        ({"labels": ["env"]}, "labels", "未知的条件"),
        ({"ip": {"cidr": "10.0.0.300/8"}}, "ip.cidr", "不是网段"),
        ({"ip": ["10.0.0.300/8"]}, "ip", "不是网段"),
        ({"alert_type": ""}, "alert_type", "空值"),
        ({"business": {"exact": [""]}}, "business", "空值"),
        ({"content": {"regex": r"a(?=b)"}}, "content.regex", "环视"),
        ({"alert_type": []}, "alert_type", "个值"),
        ({"alert_type": {}}, "alert_type", "条件为空"),
        ({"alert_type": [["x"]]}, "alert_type", "文本"),
        ({"alert_type": {"exists": "yes"}}, "alert_type.exists", "true"),
        ({"alert_type": {"regex": "a" * 1001}}, "alert_type.regex", "1000"),
        ({"hours": {"from": "9点"}}, "hours.from", "时刻"),
        ({"hours": {"days": [0]}}, "hours.days", "1 到 7"),
        ({"hours": "09:00"}, "hours", "from"),
        (["alert_type"], "", "键值"),
    ],
)
def test_it_names_the_path_of_a_bad_condition(match: Any, path: str, words: str) -> None:
    [(where, message)] = validate_match(match)
    assert where == path
    assert words in message
    with pytest.raises(matching.InvalidMatch):
        compile_match(match)


BAD_PATTERNS = [
    "(a+)+$", "(a|a)*$", "(a|aa)+$", "(.*a){20}$", "([a-zA-Z]+)*$", "(a*)*$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(x+x+)+y",
    "(a+){10}$", "((a+)+)+$", "(\\w+\\s?)*$", "^(\\d+)*$", "(.+)+=", "(a|b|ab)*c", "(([^/]*)/)*$", "(?:a?){30}a{30}",
    "^(a?){50}$", "(ab|a)*b$", "(\\s*\\S*)*$", "(0|[1-9]+)*x",
]  # fmt: skip


def test_it_never_stalls_on_a_hostile_pattern() -> None:
    text = subject(content="a" * 20_000 + "!")
    for pattern in BAD_PATTERNS:
        found = compile_match({"content": {"regex": pattern}})
        started = time.perf_counter()
        found.holds(text)
        assert time.perf_counter() - started < 0.5, pattern


def test_it_reads_an_alert(game: Any) -> None:
    found_host = factories.host(ip="127.0.0.10", name="web-10", set_name="sh-1", module="web")
    found = Subject.of(factories.alert(labels={"env": "prod"}, severity_raw="P1"))
    assert compile_match({"business": "game", "set": "sh-1", "module": "web", "host": "web-10"}).holds(found)
    assert compile_match({"severity": "P1", "source": "rest", "labels": {"env": "prod"}}).holds(found)
    assert not compile_match({"business": "pay"}).holds(found)
    named = Subject.of(factories.alert(target="web-10", host=found_host, labels={"env": ""}))
    for match in ({"ip": "127.0.0.0/24"}, {"ip": {"cidr": "127.0.0.0/24"}}, {"host": ["web-9", "web-10"]}):
        assert compile_match(match).holds(named)  # the inventory knows the address of what the alert names
    assert compile_match({"labels": {"env": ""}}).holds(named)  # a label may be empty


def make(name: str, match: dict[str, Any], **fields: Any) -> Rule:
    made = factories.rule(name, match, **fields)
    ConfigVersion.bump("rules")
    return made


def test_it_lets_the_first_rule_by_priority_and_id_win(db: None) -> None:
    make("宽", {}, priority=50)
    narrow = make("窄", {"alert_type": "disk_full"}, priority=10)
    same = make("同级", {"alert_type": {"glob": "disk*"}}, priority=10)
    make("停用", {"alert_type": "disk_full"}, priority=1, enabled=False)
    make("归档", {"alert_type": "disk_full"}, priority=1, archived=True)
    assert matching.match(subject(), current_rules()) == narrow.pk
    assert matching.match(subject(alert_type="disk_slow"), current_rules()) == same.pk


@pytest.mark.parametrize(
    "match",
    [
        {"alert_type": ["x", "disk_full"]},
        {"alert_type": {"prefix": "disk"}},
        {"alert_type": {"glob": ["x*", "dis*"]}},
        {"alert_type": {"glob": "*_full"}},
        {"alert_type": {"regex": "full"}},
        {"labels": {"env": ["test", "prod"]}},
        {"ip": "10.1.2.3"},
        {"ip": ["10.1.0.0/16"]},
        {"host": "10.1.0.0/16"},
        {"host": ["ns/web-0", "10.1.2.3"]},
        {"source": "rest"},
        {"business": {"not": "pay"}},
    ],
)
def test_it_finds_a_rule_under_whatever_it_is_filed(db: None, match: dict[str, Any]) -> None:
    rule = make("规则", match)
    make("另一条", {"alert_type": "cpu"}, priority=1)
    assert matching.match(subject(labels={"env": "prod"}, host="10.1.2.3"), current_rules()) == rule.pk


def test_it_finds_no_rule_for_a_stranger(db: None) -> None:
    make("规则", {"alert_type": {"glob": "disk*"}})
    assert matching.match(subject(alert_type="cpu"), current_rules()) is None


def test_it_acts_on_an_edit_at_once_and_asks_for_versions_only(db: None) -> None:
    rule = make("规则", {"alert_type": "disk_full"})
    current_rules()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert matching.match(subject(), current_rules()) == rule.pk
    assert len(queries) == 1
    Rule.objects.filter(pk=rule.pk).update(enabled=False)
    ConfigVersion.bump("rules")
    assert matching.match(subject(), current_rules()) is None


def test_it_leaves_a_broken_rule_out_and_keeps_the_others(db: None, caplog: pytest.LogCaptureFixture) -> None:
    make("坏", {"alert_type": {"regex": "("}}, priority=1)
    good = make("好", {"alert_type": "disk_full"}, priority=2)
    assert matching.match(subject(), current_rules()) == good.pk
    assert "Unable to compile rule" in caplog.text


def test_it_costs_little_with_a_thousand_rules(db: None) -> None:
    Rule.objects.bulk_create(
        Rule(name=f"r{n}", match={"alert_type": {"glob": f"type_{n}_*"}, "source": "rest"}) for n in range(1000)
    )
    ConfigVersion.bump("rules")
    rules = current_rules()
    wanted = subject(alert_type="type_998_x")
    started = time.perf_counter()
    for _ in range(200):
        assert rules.first(wanted) is not None
    assert (time.perf_counter() - started) / 200 < 0.002


def shield(match: dict[str, Any], **fields: Any) -> Shield:
    fields.setdefault("starts_at", NOON_MONDAY - timedelta(hours=1))
    fields.setdefault("ends_at", NOON_MONDAY + timedelta(hours=1))
    made = Shield.objects.create(name=f"屏蔽{Shield.objects.count()}", match=match, reason="发布", **fields)
    ConfigVersion.bump("shields")
    return made


def test_it_finds_the_shield_in_force(db: None) -> None:
    shield({"alert_type": "cpu"})
    made = shield({"alert_type": "disk_full"})
    assert shield_for(subject(), NOON_MONDAY) == made.pk
    assert shield_for(subject(), NOON_MONDAY + timedelta(hours=1)) is None
    assert shield_for(subject(), NOON_MONDAY + timedelta(days=1)) is None


@pytest.mark.parametrize(
    ("repeat", "later", "holds"),
    [
        ("daily", timedelta(days=3), True),
        ("daily", timedelta(days=3, hours=2), False),
        ("daily", timedelta(days=-1), False),
        ("weekly", timedelta(days=7), True),
        ("weekly", timedelta(days=3), False),
    ],
)
def test_it_repeats_a_shield(db: None, repeat: str, later: timedelta, holds: bool) -> None:
    made = shield({}, repeat=repeat)
    assert shield_for(subject(), NOON_MONDAY + later) == (made.pk if holds else None)


@pytest.mark.parametrize(
    ("hours", "days", "holds"),
    [
        (-1, 0, False),
        (0, 0, True),
        (7.9, 0, True),
        (8, 0, False),
        (2.5, 5, True),
        (7.9, 5, True),
        (8, 5, False),
        (-0.1, 5, False),
    ],
)
def test_it_repeats_a_shield_over_midnight(db: None, hours: float, days: int, holds: bool) -> None:
    evening = NOON_MONDAY + timedelta(hours=10)  # until six in the morning
    made = shield({}, repeat="daily", starts_at=evening, ends_at=evening + timedelta(hours=8))
    assert shield_for(subject(), evening + timedelta(days=days, hours=hours)) == (made.pk if holds else None)
