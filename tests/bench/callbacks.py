"""Goal 5: callbacks answered, idle and under load; the todo page; the cipher."""

import importlib.util
import re
import secrets
import time
from collections.abc import Callable
from urllib.parse import urlencode

import requests

from tests.bench.client import Running, percentile, send
from tests.bench.load import Outcome, Spec
from tests.bench.portal import HEADERS, BenchStage, alert
from tests.bench.report import Figure, at_least, at_most
from tests.database import AES_KEY, SECRETS
from tests.stage import CORP
from wechat.crypto import Crypto
from wechat.xml import parse_envelope, parse_message

PART = "5  Callbacks, todo page, cipher"
PENDING = 500
A_SECOND = 10  # callbacks; each is answered with a message, so that more would load the engine by themselves


def measure(stage: BenchStage, seconds: float, pending: int = PENDING) -> list[Figure]:
    """Measure the todo page, then callbacks idle, then callbacks while intake is saturated, which leaves a backlog."""
    found = [*_cipher(), _todo(stage, pending)]
    idle = send(_callbacks(stage, seconds))
    load = Running(
        Spec(
            stage.port, "/intake/rest/", HEADERS, alert("bench_alert"), tag="sat", connections=32, seconds=seconds + 1.5
        )
    )
    time.sleep(1.0)
    busy = send(_callbacks(stage, seconds))
    taken = load.result()
    return found + _figures(idle, busy, taken)


def _callbacks(stage: BenchStage, seconds: float) -> Spec:
    made = [_callback(stage) for _ in range(int(seconds * A_SECOND) + 1)]
    headers = {"Content-Type": "text/xml"}
    return Spec(stage.port, "", headers, requests=made, rate=A_SECOND, seconds=seconds, connections=8)


def _callback(stage: BenchStage) -> str:
    """Return path and body of one member's message, sealed as WeCom does."""
    app = stage.world.config.apps[0]
    timestamp, nonce = str(int(time.time())), secrets.token_hex(8)
    sealed, signature = Crypto(app.token, app.aes_key, CORP).encrypt(_message(), timestamp, nonce)
    query = urlencode({"msg_signature": signature, "timestamp": timestamp, "nonce": nonce})
    return f"/wechat/entry/?{query}\n{_envelope(sealed)}"


def _message() -> str:
    return (
        f"<xml><ToUserName><![CDATA[{CORP}]]></ToUserName><FromUserName><![CDATA[lisi]]></FromUserName>"
        f"<CreateTime>{int(time.time())}</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[TY 999999_0]]></Content>"
        f"<MsgId>{secrets.randbits(62)}</MsgId><AgentID>1000002</AgentID></xml>"
    )


def _envelope(sealed: str) -> str:
    return (
        f"<xml><ToUserName><![CDATA[{CORP}]]></ToUserName><AgentID><![CDATA[1000002]]></AgentID>"
        f"<Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
    )


def _figures(idle: Outcome, busy: Outcome, taken: Outcome) -> list[Figure]:
    quiet, loud = (percentile(outcome.milliseconds, 0.99) for outcome in (idle, busy))
    ratio = loud / quiet
    return [
        Figure(PART, "callback answered, idle", _text(idle), (at_most("gate", quiet, 50, " ms"),)),
        Figure(
            PART,
            f"callback answered while {taken.good / taken.seconds:,.0f} alerts/s come in",
            _text(busy),
            (at_most("gate", ratio, 5), at_most("goal", ratio, 2), at_most("goal", loud, 100, " ms")),
        ),
    ]


def _text(outcome: Outcome) -> str:
    times = outcome.milliseconds
    bad = sum(outcome.statuses.values()) - outcome.good + outcome.broken
    note = f", {bad} not answered 200" if bad else ""
    return f"p50 {percentile(times, 0.5):.1f} ms, p99 {percentile(times, 0.99):.1f} ms{note}"


def _todo(stage: BenchStage, pending: int) -> Figure:
    """Have approvals asked of the administrator and read the todo page as that person."""
    ask = Spec(
        stage.port, "/intake/rest/", HEADERS, alert("bench_ask"), 50, True, tag="ask", at_most=pending // 50, seconds=20
    )
    send(ask)
    query = "SELECT count(*) FROM approvals_approval WHERE state = 'pending'"
    stage.wait(lambda: stage.count(query) >= pending, f"{pending} approvals to be asked", 90)
    person = _signed_in(stage)
    times = []
    for number in range(33):
        began = time.perf_counter()
        answer = person.get(f"{stage.base}/wechat/todo/", timeout=20)
        if number >= 3:
            times.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.status_code
    p95 = percentile(times, 0.95)
    value = f"p50 {percentile(times, 0.5):.0f} ms, p95 {p95:.0f} ms"
    return Figure(PART, f"todo page with {pending} pending", value, (at_most("gate", p95, 150, " ms"),))


def _signed_in(stage: BenchStage) -> requests.Session:
    person = requests.Session()
    form = person.get(f"{stage.base}/login/", timeout=20).text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    assert token is not None
    data = {"csrfmiddlewaretoken": token[1], "username": "admin", "password": SECRETS["ADMIN_PASSWORD"]}
    answer = person.post(f"{stage.base}/login/", data=data, allow_redirects=False, timeout=20)
    assert answer.status_code == 302, "the administrator could not sign in"
    return person


def _cipher(times: int = 3000) -> list[Figure]:
    """Verify, decrypt and parse one callback again and again; the fastest of five goes, here and for the peer."""
    crypto = Crypto(SECRETS["WECOM_TOKEN"], AES_KEY, CORP)
    sealed, signature = crypto.encrypt(_message(), "1700000000", "nonce")
    body = _envelope(sealed).encode()

    def ours() -> None:
        parse_message(crypto.decrypt(signature, "1700000000", "nonce", parse_envelope(body).encrypt))

    mine = min(_microseconds(ours, times) for _ in range(5))
    name = "verify + decrypt + parse one callback"
    if importlib.util.find_spec("wechatpy") is None:
        return [Figure(PART, name, f"{mine:.0f} µs; wechatpy is not installed: no ratio")]
    theirs = min(_microseconds(_peer(body, signature), times) for _ in range(5))
    limits = (at_least("gate", theirs / mine, 1.5), at_least("goal", theirs / mine, 2.3))
    return [Figure(PART, name, f"{mine:.0f} µs, wechatpy {theirs:.0f} µs: {theirs / mine:.1f}×", limits)]


def _peer(body: bytes, signature: str) -> Callable[[], object]:
    work = importlib.import_module("wechatpy.work")
    crypto = importlib.import_module("wechatpy.work.crypto").WeChatCrypto(SECRETS["WECOM_TOKEN"], AES_KEY, CORP)
    return lambda: work.parse_message(crypto.decrypt_message(body, signature, "1700000000", "nonce"))


def _microseconds(call: Callable[[], object], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - began) / times * 1_000_000
