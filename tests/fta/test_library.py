"""The ready packages: sound, careful by default, and run here by a real shell with stand-ins for what this machine lacks."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fta.config.library import ready_packages
from fta.healing.parameters import resolve
from fta.healing.plan import validate
from fta.healing.variables import text_of
from fta.models import AuditEntry, Business, Package, Person
from tests import factories
from tests.fta.web.conftest import Open, browser

__all__ = ["browser"]

NAMES = {
    "disk-cleanup",
    "dns-repair",
    "docker-restart",
    "k8s-rollout-restart",
    "log-rotate",
    "ntp-sync",
    "process-restart",
    "readonly-disk",
    "systemd-restart",
    "top10",
}
# Each prints its call and does what its file says; a call that nobody foresaw fails.
STUBS = {
    "sleep": "exit 0",
    "systemctl": """
case "$1" in
  cat) [ "$3" = nginx.service ] ;;
  is-active) cat "$STAND/active"; [ "$(cat "$STAND/active")" = active ] ;;
  is-enabled) [ "$2" = nscd ] && echo enabled ;;
  restart) cp "$STAND/then" "$STAND/active" 2>/dev/null; rm -f "$STAND/dns-down" ;;
  reset-failed) exit 0 ;;
  *) exit 9 ;;
esac""",
    "journalctl": "echo 'bind: address in use'",
    "docker": """
case "$1" in
  inspect) [ "$4" = web ] && cat "$STAND/active" ;;
  restart) cp "$STAND/then" "$STAND/active" ;;
  logs) echo 'panic: no config' >&2 ;;
  *) exit 9 ;;
esac""",
    "chronyc": """
case "$1" in
  -c) echo "A29FC801,162.159.200.1,3,1.0,$(cat "$STAND/active"),0,0,0,0,0,0,0,0,Normal" ;;
  burst) exit 0 ;;
  makestep) cp "$STAND/then" "$STAND/active" ;;
  *) exit 9 ;;
esac""",
    "findmnt": 'cat "$STAND/active"',
    "dmesg": "echo 'EXT4-fs error (device sdb1): I/O error'",
    "getent": '[ ! -e "$STAND/dns-down" ] && echo "192.0.2.7 $2"',
    "resolvectl": "exit 0",
    "logrotate": '[ "$1" = -d ] || [ "$2" = -f ] || exit 9; [ "$(cat "$STAND/active")" = good ]',
}
SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]


class Stand:
    """A PATH of stand-ins, and the files by which they know how things are."""

    def __init__(self, home: Path, shell: str) -> None:
        self.home, self.shell = home, shell
        self.bin = home / "bin"
        self.bin.mkdir()
        for name, body in STUBS.items():
            self.put(name, f'echo "{name} $*" >> "$STAND/calls"\n{body}')

    def put(self, name: str, body: str) -> Path:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    def is_now(self, active: str, then: str = "") -> None:
        (self.home / "active").write_text(f"{active}\n")
        (self.home / "then").write_text(f"{then}\n")

    def calls(self) -> str:
        path = self.home / "calls"
        return path.read_text() if path.exists() else ""

    def run(self, key: str, **given: Any) -> tuple[int, str]:
        """Run the script of a ready package with these parameters as the portal would; return exit code and output."""
        ready = ready_packages()[key]
        values, problems = resolve(ready.parameters, given)
        assert problems == []
        environment = {f"FTA_PARAM_{name.upper()}": text_of(value) for name, value in values.items()}
        script = self.home / "script"
        script.write_text(ready.scripts[0])
        done = subprocess.run(
            [self.shell, str(script)],
            env={**_plain(), **environment, "STAND": str(self.home), "PATH": f"{self.bin}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


def _plain() -> Mapping[str, str]:
    return {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


@pytest.fixture(params=SHELLS)
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Stand:
    return Stand(tmp_path, request.param)


# --- what they are ---------------------------------------------------------------------------------------------------


def test_there_are_ten_and_each_is_sound_and_asks_first() -> None:
    assert set(ready_packages()) == NAMES
    for key, ready in ready_packages().items():
        assert validate(ready.nodes, ready.parameters) == [], key
        assert ready.values["mode"] == "approval", key
        assert ready.values["description"], key
        for script in ready.scripts:
            assert script.startswith("#!/bin/sh\n"), key
            assert "set -eu" in script, key
            assert "${params" not in script, key
        if any(each["name"] == "apply" for each in ready.parameters):
            assert next(each for each in ready.parameters if each["name"] == "apply")["default"] is False
        elif ready.scripts:
            assert "只读" in ready.values["description"], f"{key} has no apply, so it must only read"
        assert ready.values["budget"] or "只读" in ready.values["description"], key


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("disk-cleanup", {"path": "/"}),
        ("disk-cleanup", {"path": "/var/log;reboot"}),
        ("disk-cleanup", {"files": "$(reboot)"}),
        ("systemd-restart", {"unit": "nginx;reboot"}),
        ("systemd-restart", {"unit": "-H evil"}),
        ("docker-restart", {"container": "web --privileged"}),
        ("log-rotate", {"config": "/etc/shadow"}),
        ("process-restart", {"process": "a b", "start": "/bin/x"}),
        ("dns-repair", {"domain": "a;reboot"}),
        ("k8s-rollout-restart", {"api": "https://k8s/../", "deployment": "web"}),
        ("k8s-rollout-restart", {"api": "https://k8s", "deployment": "web/scale"}),
    ],
)
def test_a_value_that_does_not_fit_is_refused_before_any_shell(key: str, given: dict[str, Any]) -> None:
    assert resolve(ready_packages()[key].parameters, given)[1]


# --- what they do ----------------------------------------------------------------------------------------------------


def test_disk_cleanup_lists_and_only_then_deletes(stand: Stand) -> None:
    place = Path(f"/tmp/fta-library-{os.getpid()}-{stand.shell}")
    place.mkdir()
    try:
        old, new, other = place / "a.log.1", place / "b.log.1", place / "keep me.txt"
        outside = stand.home / "away.log.1"
        for path in (old, new, other, outside):
            path.write_text("x")
        for path in (old, other, outside):
            os.utime(path, (0, 0))
        (place / "link.log.1").symlink_to(outside)
        code, output = stand.run("disk-cleanup", path=str(place))
        assert (code, str(old) in output, "没有删除" in output, old.exists()) == (0, True, True, True)
        code, output = stand.run("disk-cleanup", path=str(place), apply=True)
        assert (code, old.exists(), new.exists(), other.exists(), outside.exists()) == (0, False, True, True, True)
        assert "使用率" in output
    finally:
        shutil.rmtree(place)


@pytest.mark.parametrize("path", ["/etc", "/usr/lib", "/data", "/home/x", "/opt/app", "/var", "/var/log/../../etc"])
def test_disk_cleanup_refuses_a_dangerous_path(stand: Stand, path: str, tmp_path: Path) -> None:
    code, output = stand.run("disk-cleanup", path=path, apply=True)
    assert code == 2
    assert "不清理" in output or "没有这个目录" in output or "不是目录" in output


def test_disk_cleanup_refuses_a_link_out_of_its_places(stand: Stand) -> None:
    link = Path(f"/tmp/fta-library-link-{os.getpid()}-{stand.shell}")
    link.symlink_to("/etc")
    try:
        assert stand.run("disk-cleanup", path=str(link), apply=True) == (2, "不清理这个目录：/etc\n")
    finally:
        link.unlink()


def test_log_rotate_checks_rotates_and_fails(stand: Stand) -> None:
    stand.is_now("good")
    assert stand.run("log-rotate")[0] == 0
    assert stand.calls() == "logrotate -d /etc/logrotate.conf\n"
    assert stand.run("log-rotate", config="/etc/logrotate.d/nginx", apply=True)[0] == 0
    assert stand.calls().endswith("logrotate -v -f /etc/logrotate.d/nginx\n")
    stand.is_now("bad")
    assert stand.run("log-rotate", apply=True)[0] != 0


def test_process_restart_ends_and_starts_a_process(stand: Stand, tmp_path: Path) -> None:
    name = f"ftalib{os.getpid() % 100000}{stand.shell[0]}"
    program = tmp_path / name
    shutil.copy("/bin/sleep", program)
    start = stand.put("start-it", f'exec "{program}" 300')
    (stand.bin / "sleep").unlink()
    running = subprocess.Popen([str(program), "300"])
    threading.Thread(target=running.wait, daemon=True).start()  # as init would: nobody waits for a zombie
    try:
        code, output = stand.run("process-restart", process=name, start=str(start))
        assert (code, str(running.pid) in output, running.poll()) == (0, True, None)
        code, output = stand.run("process-restart", process=name, start=str(start), apply=True)
        assert (code, "已重启" in output) == (0, True), output
        assert running.wait(5) != 0
    finally:
        running.kill()
        subprocess.run(["pkill", "-x", name], check=False)
    deadline = time.monotonic() + 5
    while subprocess.run(["pgrep", "-x", name], check=False, capture_output=True).returncode == 0:
        assert time.monotonic() < deadline
    dud = stand.put("dud", "exit 1")
    stand.put("sleep", "exit 0")
    code, output = stand.run("process-restart", process=name, start=str(dud), apply=True)
    assert (code, "没有拉起来" in output) == (1, True)


def test_process_restart_refuses_what_it_must_not_touch(stand: Stand) -> None:
    start = stand.put("start-it", "exit 0")
    assert stand.run("process-restart", process="sshd", start=str(start), apply=True)[0] == 2
    assert stand.run("process-restart", process="nginx", start="/etc/passwd", apply=True)[0] == 2
    start.chmod(0o777)
    code, output = stand.run("process-restart", process="nginx", start=str(start), apply=True)
    assert (code, "谁都能改" in output) == (2, True)


def test_systemd_restart_waits_for_active_and_says_why_not(stand: Stand) -> None:
    stand.is_now("failed", then="active")
    code, output = stand.run("systemd-restart", unit="nginx.service")
    assert (code, "没有重启" in output, "restart" in stand.calls()) == (0, True, False)
    code, output = stand.run("systemd-restart", unit="nginx.service", apply=True)
    assert (code, "已重启" in output) == (0, True)
    stand.is_now("failed", then="failed")
    code, output = stand.run("systemd-restart", unit="nginx.service", apply=True)
    assert (code, "address in use" in output) == (1, True)
    assert stand.run("systemd-restart", unit="nothing", apply=True)[0] == 2
    for unit in ("sshd", "systemd-journald", "dbus.service", "multi-user.target"):
        assert stand.run("systemd-restart", unit=unit, apply=True)[0] == 2


def test_top10_shows_processes_without_their_arguments(stand: Stand) -> None:
    secret = subprocess.Popen(["sleep", "30.123456"])
    try:
        code, output = stand.run("top10")
    finally:
        secret.kill()
        secret.wait()
    assert code == 0
    assert output.count("TOP10") == 2
    assert "MemAvailable" in output
    assert "30.123456" not in output
    stand.put("ps", "exit 1")
    assert stand.run("top10")[0] != 0


def test_readonly_disk_fails_for_a_disk_that_went_read_only(stand: Stand) -> None:
    stand.is_now("/ /dev/sda1 ext4 rw,relatime\n/data /dev/sdb1 xfs rw,noatime,errors=remount-ro")
    assert stand.run("readonly-disk") == (0, "/ 可写\n/data 可写\n")
    stand.is_now("/ /dev/sda1 ext4 rw,relatime\n/data /dev/sdb1 ext4 ro,noatime")
    code, output = stand.run("readonly-disk")
    assert code == 1
    assert "只读：/data /dev/sdb1 ext4" in output
    assert "I/O error" in output


def test_ntp_sync_steps_the_clock_only_when_told(stand: Stand) -> None:
    stand.is_now("-0.003")
    assert stand.run("ntp-sync")[0] == 0
    stand.is_now("-7.5", then="0.001")
    code, output = stand.run("ntp-sync")
    assert (code, "没有校正" in output, "makestep" in stand.calls()) == (1, True, False)
    code, output = stand.run("ntp-sync", apply=True)
    assert (code, "校正后偏差 0.001 秒" in output) == (0, True)
    stand.is_now("9", then="8")
    assert stand.run("ntp-sync", apply=True)[0] == 1


def test_dns_repair_restarts_the_local_resolver(stand: Stand) -> None:
    assert stand.run("dns-repair", domain="db.internal")[0] == 0
    (stand.home / "dns-down").touch()
    code, _output = stand.run("dns-repair", domain="db.internal")
    assert (code, "restart" in stand.calls()) == (1, False)
    code, output = stand.run("dns-repair", domain="db.internal", apply=True)
    assert (code, "已恢复" in output, "systemctl restart nscd" in stand.calls()) == (0, True, True)
    stand.put("getent", "exit 2")
    code, output = stand.run("dns-repair", domain="db.internal", apply=True)
    assert (code, "上游" in output) == (1, True)


def test_docker_restart_waits_for_health_and_shows_the_log(stand: Stand) -> None:
    stand.is_now("exited", then="running healthy")
    assert stand.run("docker-restart", container="web")[0] == 0
    assert "restart" not in stand.calls()
    code, output = stand.run("docker-restart", container="web", apply=True)
    assert (code, "running healthy" in output) == (0, True)
    stand.is_now("exited", then="running unhealthy")
    code, output = stand.run("docker-restart", container="web", apply=True)
    assert (code, "no config" in output) == (1, True)
    assert stand.run("docker-restart", container="other", apply=True)[0] == 2


def test_it_says_what_the_machine_lacks(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sh", "cat", "readlink", "awk"):
        (stand.bin / name).symlink_to(shutil.which(name) or "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    shell = shutil.which(stand.shell, path="/usr/bin:/bin")
    assert shell
    stand.shell = shell
    for key, name, given in [
        ("docker-restart", "docker", {"container": "web"}),
        ("ntp-sync", "chronyc", {}),
        ("log-rotate", "logrotate", {}),
        ("readonly-disk", "findmnt", {}),
        ("systemd-restart", "systemctl", {"unit": "nginx.service"}),
    ]:
        (stand.bin / name).unlink()
        assert stand.run(key, **given)[0] == 3, key


# --- Kubernetes ------------------------------------------------------------------------------------------------------


# --- how one is taken ------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_package_is_made_of_one_for_an_own_business(
    operator: Person, viewer: Person, game: Business, pay: Business, browser: Open
) -> None:
    mine = browser(operator)
    assert "从模板新建" in mine.get("/packages/").content.decode()
    page = mine.get("/package-library/").content.decode()
    assert page.count("新建并编辑") == len(NAMES)
    assert browser(viewer).get("/package-library/").status_code == 403
    url = "/package-library/disk-cleanup/"
    for business in ("", str(pay.pk)):
        assert mine.post(url, {"key": "mine", "business": business}).status_code == 200
    assert mine.post("/package-library/nothing/", {"key": "mine", "business": str(game.pk)}).status_code == 404
    assert not Package.objects.exists()
    answer = mine.post(url, {"key": "mine", "business": str(game.pk)})
    assert answer["Location"] == "/packages/mine/edit/"
    made = Package.objects.get()
    assert (made.key, made.business, made.mode, made.risk) == ("mine", game, "approval", "medium")
    assert made.current is not None
    assert made.current.parameters == ready_packages()["disk-cleanup"].parameters
    assert mine.get(answer["Location"]).status_code == 200
    assert {"package.add", "package.save"} <= set(AuditEntry.objects.values_list("verb", flat=True))
    again = mine.post(url, {"key": "mine", "business": str(game.pk)})
    assert "已经有套餐在用" in again.content.decode()


@pytest.mark.django_db
def test_an_admin_may_make_one_for_all(admin: Person, browser: Open) -> None:
    factories.business()
    browser(admin).post("/package-library/top10/", {"key": "top10", "business": ""})
    assert Package.objects.get().business is None
