"""A step in hand, as its caller would give it to a runner."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from fta.healing.runners import RUNNERS
from fta.healing.runners.base import Outcome, StepContext
from fta.models import Credential, Execution, StepRun
from tests.conftest import skip_or_fail
from tests.fta.runners.sink import Sink, serving
from tests.fta.runners.sshd import SSHD, Server

STEP_KEY = uuid.UUID("0f0e0d0c-0b0a-4908-8706-050403020100")

LOCAL = {"id": 1, "ip": "127.0.0.10", "name": "local-1", "connection": "local"}
Run = Callable[..., Outcome]


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int) -> bool:
    """Tell whether a process ends within three seconds."""
    until = time.monotonic() + 3
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(pid)


@pytest.fixture
def var_dir(settings: Any, tmp_path: Path) -> Path:
    settings.VAR_DIR = tmp_path
    settings.FTA_LOCAL_SCRIPTS = True
    return tmp_path


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """OpenSSH's server."""
    if SSHD is None:
        skip_or_fail("sshd", "openssh-server is not installed")
    made = Server.start(tmp_path_factory.mktemp("sshd"))
    yield made
    made.stop()


@pytest.fixture
def host(server: Server, settings: Any, tmp_path: Path, db: None) -> dict[str, Any]:
    """The server as a host of a plan, with its journal in a folder of the test's own."""
    settings.FTA_SSH_JOURNAL = str(tmp_path / "journal")
    row = Credential.objects.create(name="ops", kind="ssh_key", secret=server.key("user"))
    return server.host(credential=row.pk)


@pytest.fixture
def sink(settings: Any) -> Iterator[Sink]:
    """A server that answers as it is told."""
    with serving() as server:
        settings.FTA_HTTP_ALLOW = [f"127.0.0.1:{server.port}"]
        yield server


def context(kind: str, params: dict[str, Any], values: Mapping[str, str] | None = None, **given: Any) -> StepContext:
    """Build the context of an unsaved step; `values` are the variables."""
    execution = given.pop("execution", None) or Execution(pk=7)
    step = given.pop("step", None) or StepRun(
        execution=execution,
        node=1,
        type=kind,
        policy=given.pop("policy", RUNNERS[kind].default_policy),
        idem_key=STEP_KEY,
        fence=given.pop("fence", 3),
    )
    defaults: dict[str, Any] = {
        "raw_secrets": {},
        "timeout": 10.0,
        "lost": threading.Event(),
        "cancelled": lambda: False,
        "begun": lambda journal: True,
        "show": lambda output: None,
        "host": LOCAL,
        "now": timezone.now(),
    }
    rendered = RUNNERS[kind].render(params, values or {})
    return StepContext(step=step, execution=execution, params=rendered, **{**defaults, **given})


def run(kind: str, params: dict[str, Any], values: Mapping[str, str] | None = None, **given: Any) -> Outcome:
    """Run a node of this type, whose parameters must be valid."""
    assert RUNNERS[kind].validate(params) == []
    return RUNNERS[kind].run(context(kind, params, values, **given))
