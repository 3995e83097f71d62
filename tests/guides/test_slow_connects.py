"""The guide for slow connects: on its lab, on the lab of another limit, on a healthy host, and each branch."""

from __future__ import annotations

from functools import partial

from msgspec.structs import replace

from sockmon.guides.facts import Place
from sockmon.guides.slow_connects import GUIDE, OPENED, SYN_RETRANSMITS
from sockmon.guides.walk import Walk
from sockmon.model.snapshot import Conntrack, Netns, Owner, StateCount, States
from tests.guides.lab_walks import named, path, walk_on_lab
from tests.guides.walks import branches, ends_of_change, follow, taken, walk_on
from tests.snapshots import SYSCTLS, group, listener, netns, ports, process

NAME = GUIDE.name
CLIENT = Owner(1044, 7, "nginx", 28232)


def test_on_its_lab_more_ports_are_verified() -> None:
    walk = walk_on_lab(NAME, GUIDE.lab, "--yes")
    assert path(walk) == ["search", "remedy", "widen", "freed", "verified"]
    # It is a warning: connects are slow, and none fails.
    assert walk.changes[0].state == "kept"


def test_on_the_lab_of_another_limit_that_one_is_named() -> None:
    walk = walk_on_lab(NAME, "accept-queue", "--yes")
    assert path(walk) == ["search", "queues", "other-limit"]
    assert named(walk) == {"accept-queue"}
    assert walk.next_guides[0] == "connections-time-out"


def test_on_a_healthy_host_no_limit_is_the_cause() -> None:
    walk = walk_on_lab(NAME, "idle-box", "--yes")
    assert walk.outcome == "not-here"


def _syns(again: int, opened: int, waiting: int = 3, clashes: int = 0) -> Netns:
    """A namespace with these counters; the rates are those since the sample before."""
    table = Conntrack(100, 262_144, 262_144, {"drop": 0, "insert_failed": clashes, "early_drop": 0})
    return netns(
        counters={SYN_RETRANSMITS: again, OPENED: opened},
        states=States(0.0, {"SYN_SENT": StateCount(waiting, waiting, 0)}),
        conntrack=table,
    )


QUIET = _syns(0, 0, 0)
OFF = replace(QUIET, conntrack=None)
FULL = netns(
    ports=ports(group(28232)), sysctls=SYSCTLS | {"net.ipv4.tcp_tw_reuse": "1"}, counters={"TcpExt.TWRecycled": 0}
)
WAITING = netns(
    ports=ports(group(28232, time_wait=28000)), sysctls=SYSCTLS | {"net.ipv4.tcp_tw_reuse": "0"}
)  # fmt: skip


_walk = partial(walk_on, GUIDE)


def _clash(*after: Netns) -> Walk:
    """Walk to the change of the resolver, and go on with the samples after it."""
    walk, stream = _walk(QUIET, _syns(0, 0, 0, clashes=4))
    walk.take("no-clash")
    for part in after:
        walk.add(stream.next(part, 5))
        list(follow(walk))
    return walk


def test_syns_that_are_sent_again_lead_to_the_destination() -> None:
    walk, _ = _walk(QUIET, _syns(50, 1000))
    assert walk.step.id == "remote"
    assert walk.outcome == "other-limit"


def test_a_few_lost_syns_of_the_internet_are_no_cause() -> None:
    assert _walk(QUIET, _syns(2, 10_000))[0].outcome == "not-here"


def test_answers_that_a_server_sends_again_are_no_syns_of_this_host() -> None:
    assert _walk(QUIET, _syns(50, 1000, waiting=0))[0].outcome == "not-here"


def test_one_sample_of_a_recording_does_not_show_lost_syns() -> None:
    assert _walk(QUIET, place=Place("recording"))[0].outcome == "cannot-be-known"


def test_queries_that_race_lead_to_the_resolver() -> None:
    walk = _clash()
    assert [passed.step for passed in walk.progress.path] == [
        *("search", "queues", "tracking", "lost", "clash", "resolver"),
    ]


def test_every_branch_is_taken() -> None:
    owned = replace(group(28232), owners=(CLIENT,))
    leak = process(fds=28300, soft=1 << 20, sockets=28232, close_wait=28000)
    full_queue = replace(QUIET, listeners=(listener(129, 128),))
    unread = (netns(ports=None), replace(QUIET, listeners=None), replace(QUIET, counters={}))
    walks = [_walk(part, part)[0] for part in (*unread, QUIET, OFF, full_queue)]
    walks += [_walk(QUIET, _syns(50, 1000))[0]]
    full = replace(QUIET, conntrack=Conntrack(262_000, 262_144, 262_144, {"drop": 0}))
    walks += [_walk(full, full)[0]]
    walks += [_walk(QUIET, QUIET, rows=(process(fds=1024, soft=1024),))[0]]
    walks += [_walk(replace(FULL, ports=ports(owned)), rows=(leak,))[0]]
    for before in (FULL, WAITING):
        walks += ends_of_change(GUIDE, before, netns(ports=ports(group(100))), netns(ports=None))
    walks += [_clash(*[_syns(0, 0, 0, clashes=4)] * 5), _clash(*[OFF] * 5)]
    walks += [_clash(*(_syns(0, 0, 0, clashes=number) for number in range(5, 20)))]
    declined, _ = _walk(QUIET, _syns(0, 0, 0, clashes=4))
    declined.take("do-not-tune")
    walks.append(declined)
    # Whether another limit has an alarm is always known, as far as it was read.
    assert branches(GUIDE) - taken(*walks) == {("others", "cannot-be-known")}
