"""The guide for TIME_WAIT: on its lab, on labs where it is harmless, on another limit's, and each branch."""

from __future__ import annotations

from functools import partial

from msgspec.structs import replace

from sockmon.guides.facts import Place
from sockmon.guides.time_wait import ENTERED, GUIDE
from sockmon.guides.walk import Walk
from sockmon.model.snapshot import Netns, Owner, Sockstat
from tests.guides.lab_walks import named, path, walk_on_lab
from tests.guides.walks import branches, ends_of_change, follow, taken, transaction, walk_on
from tests.snapshots import SYSCTLS, group, netns, ports, process

NAME = GUIDE.name
CLIENT = Owner(1044, 7, "nginx", 28232)
LIMIT, OVERFLOW = "net.ipv4.tcp_max_tw_buckets", "TcpExt.TCPTimeWaitOverflow"
HIDDEN = netns(ports=None, sockstat=None)


def test_on_its_lab_more_ports_are_verified() -> None:
    walk = walk_on_lab(NAME, GUIDE.lab, "--yes")
    assert path(walk) == ["many", "ports", "remedy", "widen", "freed", "verified"]


def test_many_of_them_are_left_alone() -> None:
    walk = walk_on_lab(NAME, "short-lived-churn", "--yes")
    assert path(walk) == ["many", "ports", "buckets", "others", "harmless", "leave"]
    assert walk.outcome == "do-not-tune"
    assert walk.changes == ()


def test_more_than_the_kernel_keeps_get_room_for_all() -> None:
    walk = walk_on_lab(NAME, "time-wait-buckets", "--yes")
    assert path(walk) == ["many", "ports", "buckets", "keep-more", "kept", "verified"]
    # 200 per second for 60 s do not fit into twice the maximum of 100.
    assert [int(each.new or 0) > 12_000 for each in walk.changes[0].settings] == [True]


def test_on_the_lab_of_another_limit_that_one_is_named() -> None:
    walk = walk_on_lab(NAME, "ephemeral-ports", "--yes")
    assert path(walk) == ["many", "others", "other-limit"]
    assert named(walk) == {"ephemeral-ports"}


def test_on_a_healthy_host_the_symptom_is_not_there() -> None:
    assert walk_on_lab(NAME, "idle-box", "--yes").outcome == "not-here"


def _waiting(time_wait: int, used: int = 28232, reuse: str = "2", entered: int = 0, overflow: int = 0) -> Netns:
    return netns(
        ports=ports(group(used, time_wait=min(time_wait, used))),
        sockstat=Sockstat(10, 5, 0, time_wait, 1, 0, 0, 0, 12),
        sysctls=SYSCTLS | {"net.ipv4.tcp_tw_reuse": reuse},
        counters={ENTERED: entered, OVERFLOW: overflow},
    )


FULL = _waiting(28000, reuse="1")
OVERFLOWING = _waiting(131_072, used=100)


_walk = partial(walk_on, GUIDE)


def _kept(*after: Netns) -> Walk:
    """Walk to the change of the maximum, make it, and go on with the samples after it."""
    walk, stream = _walk(OVERFLOWING, OVERFLOWING)
    walk.changed(transaction())
    list(follow(walk))
    for part in after:
        walk.add(stream.next(part, 5))
        list(follow(walk))
    return walk


def test_a_rate_proves_many_before_they_are_there() -> None:
    walk, _ = _walk(_waiting(5, 100), _waiting(300, 100, entered=2000))
    assert walk.step.id == "leave"


def test_ports_in_time_wait_are_reused_if_the_sysctl_is_off() -> None:
    assert _walk(_waiting(28000, reuse="0"))[0].step.id == "reuse"


def test_ports_of_open_connections_are_not_the_fault_of_time_wait() -> None:
    walk, _ = _walk(_waiting(2000), _waiting(2000))
    assert [passed.step for passed in walk.progress.path] == ["many", "ports", "buckets", "others"]
    assert walk.outcome == "other-limit"


def test_without_a_rate_the_advised_maximum_is_proposed() -> None:
    walk, _ = _walk(*[netns(sockstat=OVERFLOWING.sockstat, counters={})] * 2)
    assert [each.key for each in walk.wanted] == [LIMIT]


def test_every_branch_is_taken() -> None:
    group_ = replace(group(28232, time_wait=14116), owners=(CLIENT,))
    leak = process(fds=28300, soft=1 << 20, sockets=28232, close_wait=14200)
    walks = [
        _walk(HIDDEN)[0],
        _walk(replace(FULL, ports=None))[0],
        _walk(replace(_waiting(2000, 100), sysctls={}), replace(_waiting(2000, 100), sysctls={}))[0],
        _walk(replace(FULL, ports=ports(group_)), rows=(leak,))[0],
        _walk(_waiting(2000), _waiting(2000))[0],
        _walk(_waiting(2000, 100), _waiting(2000, 100))[0],
        _walk(_waiting(2, 100), _waiting(2, 100))[0],
        _walk(OVERFLOWING, OVERFLOWING, place=Place(cannot_change="it is a container"))[0],
        _kept(*[OVERFLOWING] * 20),
        _kept(*[_waiting(9000, 100)] * 9),
        _kept(*[HIDDEN] * 9),
        *ends_of_change(GUIDE, FULL, _waiting(100, 100), netns(ports=None)),
        *ends_of_change(GUIDE, _waiting(28000, reuse="0"), _waiting(100, 100), netns(ports=None)),
    ]
    # Whether another limit has an alarm is always known, as far as it was read; and how many there are was known.
    unreachable = {("others", "cannot-be-known"), ("harmless", "cannot-be-known")}
    assert branches(GUIDE) - taken(*walks) == unreachable
