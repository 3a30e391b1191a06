"""Sixty values that try to become something else than data, in every place of an alert that a script can be given."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from fta.healing import variables
from fta.healing.runners import RUNNERS
from fta.models import Alert, Execution, Host
from tests.fta.runners.conftest import LOCAL, run
from tests.fta.runners.payloads import HOSTILE

FIELDS = (
    "content",
    "alert_type",
    "severity",
    "labels.a",
    "alert_context|k",
    "host.name",
    "set",
    "module",
    "operator",
    "operators",
    "params.p",
)
# Says to the letter what came on standard input and in the environment.
ECHO = """#!/usr/bin/env python3
import json, os, sys
mine = {key: value for key, value in os.environ.items() if key.startswith("FTA_PARAM_")}
print(json.dumps([json.load(sys.stdin), mine, sys.argv[1:]]))
"""
# A careless script: unquoted, as words of commands and of tests.
CARELESS = "#!/bin/sh\nset -f\n" + "\n".join(
    f'echo $FTA_PARAM_A{n} >/dev/null; test "$FTA_PARAM_A{n}" = x; printf %s "$FTA_PARAM_A{n}" >/dev/null'
    for n in range(60)
)


def values_with(text: str) -> dict[str, str]:
    """Return the variables of an alert, host and people that all bear this text."""
    alert = Alert(
        alert_type=text,
        severity=text,
        content=text,
        labels={"a": text},
        context={"k": text},
        received_at=timezone.now(),
    )
    host = Host(ip="10.9.9.9", name=text, set_name=text, module=text)
    return variables.values_of(alert, host, Execution(pk=7, alert_type=text), {"p": text}, [text])


@pytest.mark.django_db
def test_every_field_reaches_the_arguments_to_the_letter() -> None:
    arguments: dict[str, Any] = {name: f"${{{name}}}" for name in FIELDS}
    arguments |= {f"within {name}": f"x ${{{name}}} y" for name in FIELDS}
    for text in HOSTILE:
        rendered = RUNNERS["script"].render({"script": "echo ${content}", "arguments": arguments}, values_with(text))
        whole = dict.fromkeys(FIELDS, text) | {f"within {name}": f"x {text} y" for name in FIELDS}
        assert rendered == {"script": "echo ${content}", "arguments": whole}


def arrive(host: dict[str, Any], tmp_path: Path) -> None:
    """Let all of them arrive there, and see that they run nothing."""
    canary = tmp_path / "canary"
    texts = [text.replace("{canary}", str(canary)) for text in HOSTILE]
    whole = {f"a{n}": text for n, text in enumerate(texts) if "\0" not in text}
    assert (len(texts), len(whole)) == (60, 59)
    params = {"arguments": {name: f"${{labels.{name}}}" for name in whole}}
    values = {f"labels.{name}": text for name, text in whole.items()} | {"ip": "10.9.9.9", "params.path": "rendered"}

    outcome = run("script", {"script": ECHO, **params}, values, host=host, fence=1)
    given, environment, words = json.loads(outcome.output)
    assert given == whole
    assert environment == {f"FTA_PARAM_{name.upper()}": text for name, text in whole.items()}
    assert words == []
    assert run("script", {"script": CARELESS, **params}, values, host=host, fence=2).state == "succeeded"
    (cut,) = (text for text in texts if "\0" in text)
    refused = run("script", {"script": ECHO, "arguments": {"a": "${content}"}}, {"content": cut}, host=host, fence=3)
    assert (refused.state, refused.outcome) == ("failed", "not_sent")
    assert not canary.exists()
    assert not list(tmp_path.rglob("*canary*"))


@pytest.mark.usefixtures("var_dir")
def test_they_arrive_on_this_machine_and_run_nothing(tmp_path: Path) -> None:
    arrive(LOCAL, tmp_path)


@pytest.mark.sshd
def test_they_arrive_over_ssh_and_run_nothing(host: dict[str, Any], tmp_path: Path) -> None:
    arrive(host, tmp_path)
