"""What a simulated corp consists of when it starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Member:
    """One person of the corp; `status` is 1 for active, 2 disabled, 4 not activated, 5 left."""

    userid: str
    name: str
    department: int = 1
    status: int = 1


@dataclass(frozen=True)
class Department:
    """One department; the root has the id 1 and the parent 0."""

    id: int
    name: str
    parent: int = 1


@dataclass(frozen=True)
class App:
    """One self-built application. Without a callback URL it can send no card that calls back."""

    agent_id: int = 1000002
    secret: str = ""
    token: str = ""
    aes_key: str = ""
    callback_url: str = ""
    name: str = "故障自愈"
    root_visible: bool = True


@dataclass(frozen=True)
class GroupChat:
    """A group chat that exists from the start, as if the application had made it earlier."""

    chat_id: str
    name: str
    owner: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class DemoAlert:
    """An alert that the page offers to post: its button, and the request behind it."""

    label: str
    url: str
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)


MEMBERS = (
    Member("lisi", "李四"),
    Member("wangwu", "王五"),
    Member("zhaoliu", "赵六", 2),
    Member("admin_wx", "审批管理员"),
)


@dataclass(frozen=True)
class Config:
    """The corp. `trusted_ips` empty trusts every caller; times are seconds."""

    apps: tuple[App, ...]
    corp_id: str = "wwdemo0123456789ab"
    members: tuple[Member, ...] = MEMBERS
    departments: tuple[Department, ...] = (Department(1, "演示公司", 0), Department(2, "运维部"))
    tags: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    robots: Mapping[str, str] = field(default_factory=lambda: {"demo1": "值班一群", "demo2": "值班二群"})
    chats: tuple[GroupChat, ...] = ()
    menu: tuple[Mapping[str, object], ...] = ()
    demo_alerts: tuple[DemoAlert, ...] = ()
    trusted_ips: tuple[str, ...] = ()
    token_seconds: int = 7200
    reuse_tokens: bool = True
    wrong_secret_limit: int = 20
    callback_seconds: float = 5.0
    check_seconds: float = 1.0
    retry_refused_callbacks: bool = True
