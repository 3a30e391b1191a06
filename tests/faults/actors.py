"""Those who act on the portal while it is being killed: the sender, the approvers and the killer."""

import random
import signal
import subprocess
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import psycopg
import requests

from tests.database import POSTGRES, SECRETS
from tests.faults import tampering
from tests.faults.scenario import KEYS, LEASE_SECONDS, FaultStage

STALL_SECONDS = 5.0
PROCESSES = ("web", "engine", "worker", "worker2")
APPROVE, REFUSE = 0.70, 0.15  # the rest is left to expire
OVER_AT_ONCE = 0.1  # share of the alerts that resolve at once: their end must not overtake them
RACES = 0.2  # share of the decided ones that two people answer at once, one with yes and one with no
_NO_ANSWER = (requests.RequestException, ValueError)


class Sender(threading.Thread):
    """Posts every alert until it is acknowledged, as a monitoring tool does that must not lose one; some are over at once."""

    def __init__(self, stage: FaultStage, bodies: list[dict[str, str]], seconds: float, seed: int) -> None:
        super().__init__(name="sender", daemon=True)
        self.stage, self.bodies, self.pause = stage, bodies, seconds / max(1, len(bodies))
        self.chance = random.Random(seed + 3)
        self.acknowledged: list[str] = []
        self.over: list[str] = []  # those whose end was acknowledged too
        self.posts = 0

    def run(self) -> None:
        began = time.monotonic()
        for number, body in enumerate(self.bodies):
            time.sleep(max(0.0, began + number * self.pause - time.monotonic()))
            self._insist(body)
            self.acknowledged.append(body["source_id"])
            if self.chance.random() < OVER_AT_ONCE:
                self._insist({**body, "status": "resolved"})
                self.over.append(body["source_id"])

    def _insist(self, body: dict[str, str]) -> None:
        while not self._post(body):
            time.sleep(0.2)

    def _post(self, body: dict[str, str]) -> bool:
        self.posts += 1
        url, headers = f"{self.stage.base}/intake/rest/", {"X-Secret": SECRETS["FTA_SOURCE_SECRET"]}
        try:
            return requests.post(url, json=body, headers=headers, timeout=5).status_code == 202
        except requests.RequestException:
            return False


class Approvers(threading.Thread):
    """Two operators who answer what is pending over REST; some they leave, some they answer at the same moment."""

    def __init__(self, stage: FaultStage, seed: int) -> None:
        super().__init__(name="approvers", daemon=True)
        self.stage, self.seed = stage, seed
        self.stopping = threading.Event()
        self.answers: Counter[int] = Counter()  # by HTTP status; 0 for none
        self.listed = 0  # status of the last list

    def run(self) -> None:
        while not self.stopping.wait(0.3):
            for approval in self._pending():
                self._answer(int(approval["id"]), str(approval["expires_at"]))

    def _pending(self) -> list[dict[str, Any]]:
        try:
            answer = self._call("GET", "approvals/?state=pending&limit=50", KEYS[0])
            self.listed = answer.status_code
            found: list[dict[str, Any]] = answer.json()["results"] if answer.status_code == 200 else []
        except _NO_ANSWER:
            return []
        return found

    def _answer(self, approval: int, expires_at: str) -> None:
        chance = random.Random(self.seed * 1_000_003 + approval)
        fate = chance.random()
        if self.stopping.is_set():
            return
        if fate >= APPROVE + REFUSE:
            if datetime.fromisoformat(expires_at) < datetime.now(UTC):  # still on the list, and too late
                self._decide(approval, "approve", KEYS[0])
            return
        said = ["approve" if fate < APPROVE else "refuse"]
        if chance.random() < RACES:
            said.append("refuse" if said[0] == "approve" else "approve")
        voices = [
            threading.Thread(target=self._decide, args=(approval, word, key))
            for word, key in zip(said, KEYS, strict=False)
        ]
        for voice in voices:
            voice.start()
        for voice in voices:
            voice.join()

    def _decide(self, approval: int, word: str, key: str) -> None:
        try:
            status = self._call(
                "POST", f"approvals/{approval}/decide/", key, {"decision": word, "comment": "x"}
            ).status_code
        except _NO_ANSWER:
            status = 0
        self.answers[status] += 1

    def _call(self, method: str, path: str, key: str, body: Any = None) -> requests.Response:
        url, headers = f"{self.stage.base}/api/v1/{path}", {"Authorization": f"Bearer {key}"}
        return requests.request(method, url, json=body, headers=headers, timeout=5)


class Killer(threading.Thread):
    """Kills one process group at random moments and starts it again a moment later."""

    def __init__(self, stage: FaultStage, kills: int, seconds: float, seed: int) -> None:
        super().__init__(name="killer", daemon=True)
        self.stage, self.kills = stage, kills
        self.chance = random.Random(seed)
        self.until = time.monotonic() + seconds * 1.5
        self.gap = seconds / max(1, kills)
        self.killed: Counter[str] = Counter()

    def run(self) -> None:
        while self.killed.total() < self.kills and time.monotonic() < self.until:
            time.sleep(self.gap * self.chance.uniform(0.3, 1.7))
            name = self.chance.choice(PROCESSES)
            self.stage.kill(name)
            self.killed[name] += 1
            time.sleep(self.chance.uniform(0, 0.3))
            self.stage.again(name)


class Keeper(threading.Thread):
    """Starts again what a point has killed, as a service manager does."""

    def __init__(self, stage: FaultStage) -> None:
        super().__init__(name="keeper", daemon=True)
        self.stage = stage
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.wait(0.2):
            self.stage.revive()


class Pauser(threading.Thread):
    """Stops a process for longer than its lease, again and again: when it goes on, others hold what it held."""

    def __init__(self, stage: FaultStage, pauses: int, seconds: float, seed: int) -> None:
        super().__init__(name="pauser", daemon=True)
        self.stage, self.pauses = stage, pauses
        self.chance = random.Random(seed + 1)
        self.until = time.monotonic() + seconds * 2
        self.gap = max(0.0, seconds / max(1, pauses) - LEASE_SECONDS - 1.5)
        self.survived = 0  # pauses after which the process went on

    def run(self) -> None:
        while self.survived < self.pauses and time.monotonic() < self.until:
            time.sleep(self.gap * self.chance.uniform(0.3, 1.7))
            self.survived += self.stage.pause(self.chance.choice(PROCESSES[1:]), LEASE_SECONDS + 1.5)


class Cutter(threading.Thread):
    """Takes away what the processes talk to: ends their database connections, empties the broker, lets it stand still."""

    def __init__(self, stage: FaultStage, cuts: int, seconds: float, seed: int) -> None:
        super().__init__(name="cutter", daemon=True)
        self.stage, self.cuts = stage, cuts
        self.chance = random.Random(seed + 4)
        self.gap = seconds * 0.9 / max(1, cuts)
        self.done: Counter[str] = Counter()

    def run(self) -> None:
        ways = {
            "connections ended": self._end_connections,
            "broker emptied": self._empty,
            "broker stalled": self._stall,
        }
        for number in range(self.cuts):
            time.sleep(self.gap * self.chance.uniform(0.3, 1.0))
            name = list(ways)[number % len(ways)]
            ways[name]()
            self.done[name] += 1

    def _end_connections(self) -> None:
        """End every connection, as a restart of the database does: what was just committed may go unanswered."""
        with psycopg.connect(POSTGRES, autocommit=True) as link:
            link.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [self.stage.database.url.rsplit("/", 1)[1]],
            )

    def _empty(self) -> None:
        subprocess.run(["redis-cli", "-p", str(self.stage.broker_port), "flushall"], check=True, capture_output=True)

    def _stall(self) -> None:
        self.stage.broker.send_signal(signal.SIGSTOP)
        time.sleep(STALL_SECONDS)
        self.stage.broker.send_signal(signal.SIGCONT)


class Tamperer(threading.Thread):
    """Changes the plans of a few executions while they wait for a person, for their host, or for a worker."""

    def __init__(self, stage: FaultStage, times: int, seconds: float, seed: int) -> None:
        super().__init__(name="tamperer", daemon=True)
        self.stage, self.times = stage, times
        self.chance = random.Random(seed + 2)
        self.until = time.monotonic() + seconds * 2
        self.gap = seconds * 0.9 / max(1, times)
        self.done = 0

    def run(self) -> None:
        while self.done < self.times and time.monotonic() < self.until:
            time.sleep(self.gap * self.chance.uniform(0.3, 1.0))
            while not self._change(tampering.WAYS[self.done % len(tampering.WAYS)]):
                if time.monotonic() > self.until:
                    return
                time.sleep(0.02)  # most wait for moments only
            self.done += 1

    def _change(self, way: str) -> bool:
        try:
            with psycopg.connect(self.stage.database.url) as link, link.cursor() as cursor:
                known = tampering.changes(self.stage.points)
                waiting = [row[0] for row in cursor.execute(tampering.UNBEGUN).fetchall() if row[0] not in known]
                return bool(waiting) and tampering.change(cursor, self.chance.choice(waiting), way, self.stage.points)
        except psycopg.OperationalError:  # a deadlock that PostgreSQL ended; another one is found
            return False
