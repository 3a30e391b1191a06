"""The client: one token for all, exactly one repeat, errors that say what to do."""

import json
import logging
import threading
from datetime import timedelta
from functools import partial

import pytest
from django.db import DatabaseError, connection
from django.test import Client as WebClient
from django.utils import timezone

from fta.lib import http
from tests.wechat.conftest import Corp
from tests.wechat.entry_stub import SECRET
from wechat import client as client_module
from wechat.client import Client, NotConfigured, default_app
from wechat.errors import WecomError
from wechat.models import AccessToken, ApiCallCount, WecomApp


def text(content: str = "你好") -> dict[str, object]:
    return {"touser": "lisi", "agentid": 1000002, "msgtype": "text", "text": {"content": content}, "safe": 0}


def test_it_sends_with_one_token_for_many_calls(corp: Corp) -> None:
    for number in range(3):
        Client(corp.app).send(text(f"第 {number} 条"))
    assert corp.texts("lisi") == ["第 0 条", "第 1 条", "第 2 条"]
    assert corp.calls("gettoken") == 1


def test_it_keeps_the_token_sealed(corp: Corp) -> None:
    token = Client(corp.app).token()
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM wechat_accesstoken")
        assert token not in cursor.fetchone()[0]


def test_it_refreshes_five_minutes_early(corp: Corp) -> None:
    Client(corp.app).token()
    AccessToken.objects.update(expires_at=timezone.now() + timedelta(minutes=4))
    Client(corp.app).token()
    assert corp.calls("gettoken") == 2


@pytest.mark.parametrize("fault", ["next_token_expired", "next_token_invalid"])
def test_it_replaces_a_dead_token_and_repeats_once(corp: Corp, fault: str) -> None:
    Client(corp.app).token()
    corp.world.faults.set({fault: True})
    assert Client(corp.app).send(text())["errcode"] == 0
    assert (corp.calls("gettoken"), corp.calls("message/send")) == (2, 2)


def test_it_does_not_repeat_a_second_time(corp: Corp) -> None:
    corp.world.faults.set({"next_errcodes": [42001, 42001]})
    with pytest.raises(WecomError) as raised:
        Client(corp.app).send(text())
    assert raised.value.errcode == 42001
    assert corp.calls("message/send") == 2


def test_it_does_not_drop_a_token_that_somebody_else_renewed(corp: Corp) -> None:
    client = Client(corp.app)
    client.forget("an-older-token")
    token = client.token()
    client.forget("an-older-token")
    assert client.token() == token
    assert corp.calls("gettoken") == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fault", ["next_token_expired", "next_token_invalid"])
def test_a_hundred_workers_replace_a_dead_token_once(corp: Corp, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Tokens are counted here, not seconds: a hundred threads share one process, and that with the corp.
    monkeypatch.setattr(http, "request", partial(http.request, timeout=(30.0, 60.0)))
    monkeypatch.setattr(client_module, "WAIT_SECONDS", 60.0)
    monkeypatch.setattr(client_module, "FETCH_SECONDS", 75)
    # PostgreSQL takes 100 connections of all who use it, and other tests run beside this one.
    workers = 100 if connection.vendor == "sqlite" else 30
    Client(corp.app).send(text())
    together, failures = threading.Barrier(workers), []
    with corp.world.lock:  # every token that was given out is dead by now
        for token in corp.world.tokens.values():
            token.expires_at, token.invalid = (
                (0.0, False) if fault == "next_token_expired" else (token.expires_at, True)
            )

    def work(number: int) -> None:
        try:
            together.wait(60)
            Client(corp.app).send(text(f"第 {number} 条"))
        except (WecomError, http.HttpError, DatabaseError, threading.BrokenBarrierError) as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert failures == []
    assert corp.calls("gettoken") == 2  # the first, and one for all of them


def test_it_asks_only_once_a_minute_with_a_refused_secret(corp: Corp) -> None:
    WecomApp.objects.update(secret="wrong-secret")
    for _ in range(3):
        with pytest.raises(WecomError) as raised:
            Client(default_app()).token()
        assert raised.value.errcode == 40001
    assert corp.calls("gettoken") == 1
    WecomApp.objects.update(secret=SECRET)
    assert Client(default_app()).token()


def test_it_drops_the_token_of_another_secret(corp: Corp) -> None:
    first = Client(corp.app).token()
    corp.app.corp_id = "wwother"
    with pytest.raises(WecomError) as raised:
        Client(corp.app).token()
    assert raised.value.errcode == 40013
    assert first not in AccessToken.objects.values_list("value", flat=True)


def test_it_says_that_the_outcome_is_unknown_without_a_usable_answer(corp: Corp) -> None:
    corp.world.faults.set({"next_http_statuses": [500]})
    with pytest.raises(http.OutcomeUnknown):
        Client(corp.app).send(text())


def test_it_says_that_nothing_was_sent_without_a_server(app: WecomApp) -> None:
    app.api_url = "http://127.0.0.1:9/cgi-bin/"
    with pytest.raises(http.NotSent):
        Client(app).token()
    assert AccessToken.objects.get().refreshing_until is None


def test_it_never_logs_credentials(corp: Corp, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    corp.world.faults.set({"next_errcodes": [45009]})
    with pytest.raises(WecomError):
        Client(corp.app).send(text())
    token = Client(corp.app).token()
    assert "45009" in caplog.text
    assert token not in caplog.text
    assert SECRET not in caplog.text


def test_it_sends_chinese_unescaped(corp: Corp, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies: list[bytes] = []
    real = http.request

    def spy(method: str, url: str, **kwargs: object) -> http.Response:
        bodies.append(kwargs.get("data") or b"")  # type: ignore[arg-type]
        return real(method, url, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("wechat.client.http.request", spy)
    Client(corp.app).send(text("告警 <b>"))
    assert "告警 <b>".encode() in bodies[-1]
    assert json.loads(bodies[-1])["text"]["content"] == "告警 <b>"


def test_it_exchanges_a_login_code_once(corp: Corp) -> None:
    code = corp.world.issue_login_code(1000002, "lisi")
    assert Client(corp.app).user_by_code(code) == "lisi"
    with pytest.raises(WecomError) as raised:
        Client(corp.app).user_by_code(code)
    assert raised.value.errcode == 40029


def test_it_knows_when_nothing_is_configured(db: None) -> None:
    with pytest.raises(NotConfigured):
        default_app()


def test_it_counts_every_call_by_the_code_of_its_answer(corp: Corp) -> None:
    Client(corp.app).token()
    corp.world.faults.set({"next_errcodes": [42001, 0]})
    Client(corp.app).send(text())
    corp.world.faults.set({"next_http_statuses": [500]})
    with pytest.raises(http.OutcomeUnknown):
        Client(corp.app).send(text())
    counted = {(row.api, row.code): row.calls for row in ApiCallCount.objects.all()}
    told = WebClient().get("/metrics").content.decode()
    assert counted == {
        ("gettoken", "0"): 2,
        ("message/send", "42001"): 1,
        ("message/send", "0"): 1,
        ("message/send", "none"): 1,
    }
    assert 'fta_wecom_calls_total{api="message/send",code="42001"} 1.0' in told
