"""What goes to one member or by one robot stays within WeCom's limits, whenever it comes and in however many parts."""

from datetime import UTC, datetime, timedelta

import pytest

from notify.delivery import limits
from notify.models import Allowance, Channel, Delivery

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
APPROVAL, NORMAL = Delivery.Lane.APPROVAL, Delivery.Lane.NORMAL


def takes(at: float, lane: int = NORMAL, parts: int = 1, kind: str = "wecom_app") -> float:
    """Take room at a second after noon; return for how long there is none, 0 when it was taken."""
    try:
        limits.take(Delivery(kind=kind, recipients=["lisi"], lane=lane), parts, NOON + timedelta(seconds=at))
    except limits.LimitReached as reached:
        return reached.seconds
    return 0


@pytest.mark.parametrize(("lane", "most"), [(APPROVAL, 30), (NORMAL, 20)])
@pytest.mark.parametrize("burst", [0, 31, 58.5])
def test_no_sixty_seconds_hold_more_than_the_limit(burst: float, lane: int, most: int) -> None:
    sent = [burst for _ in range(20) if not takes(burst, lane)]
    sent += [burst + at for at in range(1, 80) if not takes(burst + at, lane)]
    assert max(sum(begin <= at < begin + 60 for at in sent) for begin in sent) == most
    assert len([at for at in sent if at > burst + 70]) > 5  # and it goes on after that


def test_a_message_in_parts_is_as_many_messages() -> None:
    assert [takes(5, parts=4) for _ in range(5)] == [0] * 5
    assert takes(29, parts=4) == 41  # until those of 0 to 10 are all of 60 seconds old
    assert (takes(29, APPROVAL, parts=4), takes(70, parts=4)) == (0, 0)


@pytest.mark.parametrize(
    ("used", "ago", "lane", "held"),
    [
        (799, 30, NORMAL, False),
        (800, 30, NORMAL, True),
        (800, 60, NORMAL, True),
        (800, 61, NORMAL, False),
        (800, 30, APPROVAL, False),
        (999, 30, APPROVAL, False),
        (1000, 30, APPROVAL, True),
    ],
)
def test_approvals_keep_a_share_of_the_hour(used: int, ago: int, lane: int, held: bool) -> None:
    minute = int(NOON.timestamp() // 60)
    Allowance.objects.create(key="member:lisi", minute=minute - ago, second=50, used=used)
    Allowance.objects.create(key="member:wangwu", minute=minute - 1, used=1000)
    assert bool(takes(0, lane)) is held


def test_a_robot_has_its_own_limits(robots: Channel) -> None:
    assert [bool(takes(1, kind="wecom_robot")) for _ in range(17)] == [False] * 15 + [True] * 2
    assert [bool(takes(1, APPROVAL, kind="wecom_robot")) for _ in range(6)] == [False] * 5 + [True]
