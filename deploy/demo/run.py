"""Run the whole portal on one machine: web, engine and the WeCom simulator, on SQLite, with the demo configuration.

`make run` calls this. Everything it keeps is under var/demo/: the database, and demo.env with secrets made at the first start.
Ctrl-C ends every child.
"""

import base64
import http.server
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / "var" / "demo"
MADE = (
    "SECRET_KEY",
    "FTA_SECRET_KEYS",
    "FTA_API_KEY",
    "FTA_SOURCE_SECRET",
    "WECOM_SECRET",
    "WECOM_API_TOKEN",
    "ADMIN_PASSWORD",
)
# Bring the database, the demo configuration and the administrator up to date, in one process: each start of Django costs a second.
PREPARE = """
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("apply_config", "deploy/demo/portal.yaml")
call_command("ensure_admin", "--username", "admin")
"""
START_SECONDS = 60
STOP_SECONDS = 15


def made_secrets() -> dict[str, str]:
    """Return the secrets of this demo, making them at the first start (readable by the owner only)."""
    path = STATE / "demo.env"
    if path.exists():
        return dict(line.split("=", 1) for line in path.read_text(encoding="utf-8").splitlines() if "=" in line)
    found = {name: secrets.token_urlsafe(24) for name in MADE}
    found["ADMIN_PASSWORD"] = secrets.token_urlsafe(9)
    found["WECOM_TOKEN"] = secrets.token_hex(12)
    # 43 characters that decode to 32 bytes and hold nothing but letters and digits, as WeCom makes them
    while True:
        key = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        if key.isalnum() and len(key) == 43:
            break
    found["WECOM_AES_KEY"] = key
    STATE.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in found.items()), encoding="utf-8")
    return found


def environment(port: int) -> dict[str, str]:
    """Return the children's environment; what the caller has set already wins, but for the database and the brokers."""
    wecom = f"http://127.0.0.1:{port + 1}"
    ours = {
        **made_secrets(),
        "DEBUG": "0",
        "HTTPS_ONLY": "0",
        "ALLOWED_HOSTS": "localhost,127.0.0.1,[::1]",
        "DATABASE_URL": f"sqlite:///{STATE / 'portal.sqlite3'}",
        "WECOM_SIMULATOR": "1",
        "WECOM_API_URL": f"{wecom}/cgi-bin/",
        "ROBOT_URL_1": f"{wecom}/cgi-bin/webhook/send?key=demo1",
        "ROBOT_URL_2": f"{wecom}/cgi-bin/webhook/send?key=demo2",
        "FTA_DEMO_HOOK": f"http://127.0.0.1:{port + 2}/restart",
        "FTA_HTTP_ALLOW": "127.0.0.0/8",
        "FTA_PORTAL_URL": f"http://127.0.0.1:{port}",
        "WEB_CONCURRENCY": "1",
        "BIND": f"127.0.0.1:{port}",
        "LOG_LEVEL": "WARNING",  # what is printed here is for somebody new
        "PYTHONUNBUFFERED": "1",
    }
    # The demo's configuration never goes into a database that the caller's shell happens to name.
    embedded = {"DATABASE_URL": ours["DATABASE_URL"], "CELERY_BROKER_URL": "", "REDIS_URL": ""}
    shell = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in embedded}
    return {**ours, **shell, **embedded}


class Hook(http.server.BaseHTTPRequestHandler):
    """The "restart" interface of the demo: it only tells that it was called, and how often."""

    calls = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("utf-8", "replace")
        Hook.calls += 1
        print(f"  演示重启接口被调用，第 {Hook.calls} 次：{body[:200]}", flush=True)
        answer = json.dumps({"ok": True, "calls": Hook.calls}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Supervisor:
    """Start the children, start one again that dies, and end them all."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.env = environment(port)
        self.python = sys.executable
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.stopping = threading.Event()

    def prepare(self) -> None:
        """Bring the database up to date; this may run again at every start."""
        env = {**self.env, "DJANGO_SETTINGS_MODULE": "fta.settings"}
        subprocess.run([self.python, "-c", PREPARE], cwd=ROOT, env=env, stdout=subprocess.DEVNULL, check=True)

    def commands(self) -> dict[str, list[str]]:
        gunicorn = [self.python, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "fta.wsgi"]
        portal = f"http://127.0.0.1:{self.port}"
        simulator = [
            *(self.python, "manage.py", "wecom_simulator", "--port", str(self.port + 1)),
            *("--callback-url", f"{portal}/wechat/entry/", "--menu-url", f"{portal}/wechat/todo/"),
            *("--chat", "FTAALERTS:告警群:lisi,wangwu"),
        ]
        return {"simulator": simulator, "web": gunicorn, "engine": [self.python, "manage.py", "engine"]}

    def start(self, name: str) -> None:
        """Start one child in a process group of its own: Ctrl-C reaches it through us, in order."""
        self.children[name] = subprocess.Popen(
            self.commands()[name], cwd=ROOT, env=self.env, start_new_session=True, stdin=subprocess.DEVNULL
        )

    def wait_until_served(self) -> None:
        """Return once the web process answers, or fail after a minute."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz/", timeout=2):
                    return
            except OSError:
                time.sleep(0.2)
        raise SystemExit("The web process did not answer; see its messages above.")

    def watch(self) -> None:
        """Keep the children alive until told to stop."""
        while not self.stopping.wait(1.0):
            for name, child in list(self.children.items()):
                if child.poll() is not None and not self.stopping.is_set():
                    print(f"  {name} 退出（{child.returncode}），重新启动", flush=True)
                    self.start(name)

    def end(self) -> None:
        """End every child, and what it started."""
        for child in self.children.values():
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for child in self.children.values():
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)

    def run(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: self.stopping.set())
        signal.signal(signal.SIGINT, lambda *_: self.stopping.set())
        refuse_taken_ports(self.port)
        hook = http.server.ThreadingHTTPServer(("127.0.0.1", self.port + 2), Hook)
        threading.Thread(target=hook.serve_forever, daemon=True).start()
        self.prepare()
        try:
            for name in self.commands():
                self.start(name)
            self.wait_until_served()
            print(welcome(self.port, self.env), flush=True)
            self.watch()
        finally:
            self.end()
            hook.shutdown()


def refuse_taken_ports(first: int) -> None:
    """Say so before anything is started when one of the three ports is in use."""
    for port in range(first, first + 3):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise SystemExit(f"端口 {port} 已被占用。换一个：PORT={first + 1000} make run") from None


def alert_command(port: int, secret: str, source_id: str, alert_type: str, ip: str, content: str) -> str:
    """Return a line for the shell that posts one alert."""
    body = json.dumps(
        {"source_id": source_id, "alert_type": alert_type, "ip": ip, "content": content, "level": "critical"},
        ensure_ascii=False,
    )
    return (
        f"curl -s 'http://127.0.0.1:{port}/intake/rest/?wait=1' -H 'X-Secret: {secret}' "
        f"-H 'Content-Type: application/json' -w '\\n' -d '{body}'"
    )


def welcome(port: int, env: dict[str, str]) -> str:
    """Return what to open and what to send first."""
    stamp = time.strftime("%H%M%S")
    secret = env["FTA_SOURCE_SECRET"]
    disk = alert_command(port, secret, f"demo-disk-{stamp}", "disk_full", "127.0.0.10", "/data 使用率 98%")
    down = alert_command(port, secret, f"demo-down-{stamp}", "host_down", "127.0.0.11", "连续 3 次 Ping 不通")
    return f"""
故障自愈审批门户已启动（Ctrl-C 结束）

  门户      http://127.0.0.1:{port}/           用户 admin，密码 {env["ADMIN_PASSWORD"]}
  手机模拟  http://127.0.0.1:{port + 1}/           李四、王五等人的企业微信，消息不出本机

1. 第一条告警：磁盘写满，由脚本自动处理
   {disk}
   看经过和输出：http://127.0.0.1:{port}/executions/

2. 第二条告警：主机不可达，先问李四
   {down}
   在手机模拟页回复 TY <编号> 或点“同意”，重启接口就被调用一次，这里会显示
"""


def main() -> None:
    os.chdir(ROOT)
    Supervisor(int(os.environ.get("PORT", "8000"))).run()


if __name__ == "__main__":
    main()
