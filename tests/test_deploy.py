"""What is shipped for running the portal elsewhere names commands, files and variables that there are."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.database import ROOT

DEPLOY = ROOT / "deploy"


def processes(manifest: Any) -> dict[str, list[str]]:
    """Return the command of each container of the Kubernetes manifest."""
    pods = [item["spec"]["template"]["spec"] for item in manifest["items"] if item["kind"] == "Deployment"]
    return {each["name"]: each.get("command", []) for pod in pods for each in pod["initContainers"] + pod["containers"]}


def units() -> dict[str, str]:
    found = {
        path.stem.removeprefix("fta-"): path.read_text(encoding="utf-8") for path in DEPLOY.glob("systemd/*.service")
    }
    return {
        name: re.findall(r"^ExecStart=/opt/fta/.venv/bin/(.*)$", text, re.MULTILINE)[0] for name, text in found.items()
    }


def test_all_ways_start_the_same_processes() -> None:
    image = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    web = " ".join(yaml.safe_load(re.findall(r"^CMD (.*)$", image, re.MULTILINE)[0]))
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    pods = processes(yaml.safe_load((DEPLOY / "k8s/fta.yaml").read_text(encoding="utf-8")))
    for name, started in units().items():
        assert " ".join(compose[name].get("command", [])) in (started, ""), name
        assert " ".join(pods[name]) in (started, ""), name
        assert started == web or compose[name]["command"], name
    assert compose["migrate"]["command"] == pods["migrate"] == ["python", "manage.py", "migrate", "--noinput"]


def test_the_image_copies_all_that_a_process_needs_and_nothing_else() -> None:
    image = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copied = {line.split()[1] for line in image.splitlines() if line.startswith("COPY ") and "--from" not in line}
    let_in = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert copied == {line[1:] for line in let_in if line.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)
    assert copied >= {path.parent.name for path in ROOT.glob("*/apps.py")} | {
        "templates",
        "static",
        "requirements.lock",
    }


def test_secrets_come_as_files_under_names_that_are_read() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]["web"]
    manifest = (DEPLOY / "k8s/fta.yaml").read_text(encoding="utf-8")
    read = set(re.findall(r"secret\(\s*\"(\w+)\"", Path(ROOT / "fta/settings.py").read_text(encoding="utf-8")))
    named = {name for name in compose["environment"] if name.endswith("_FILE")} | set(
        re.findall(r"(\w+_FILE),", manifest)
    )
    assert {name.removesuffix("_FILE") for name in named} <= read
    assert compose["read_only"] is True
