"""The guide for EAGAIN on unix sockets: on its lab, on labs of other limits, on a healthy host, each branch."""

from __future__ import annotations

from typing import Any

from sockmon.guides.unix_socket_eagain import GUIDE
from sockmon.guides.walk import Walk
from sockmon.model.snapshot import DatagramQueue, Netns, Owner
from tests.guides.lab_walks import end, named, path, walk_on_lab
from tests.guides.walks import begin, branches, ends_of_change, follow, taken
from tests.snapshots import SYSCTLS, listener, netns, process

NAME = GUIDE.name
READER = Owner(7, 3, "logd", 1)


def test_on_its_lab_the_reader_is_named_and_nothing_is_tuned() -> None:
    walk = walk_on_lab(NAME, GUIDE.lab, "--yes")
    assert path(walk) == ["datagram", "reader", "read", "do-not-tune"]
    assert walk.changes == ()
    assert any("logd" in line for line in end(walk).advice)


def test_a_unix_listener_that_fills_in_bursts() -> None:
    walk = walk_on_lab(NAME, "unix-bursts", "--yes")
    assert path(walk) == ["datagram", "listener", "backlog", "accept", "do-not-tune"]
    assert named(walk) == {"accept-queue"}


def test_a_tcp_listener_is_another_limit() -> None:
    walk = walk_on_lab(NAME, "accept-queue", "--yes")
    assert path(walk) == ["datagram", "listener", "others", "other-limit"]


def test_on_a_healthy_host_the_symptom_is_not_there() -> None:
    assert walk_on_lab(NAME, "idle-box", "--yes").outcome == "not-here"


def _datagrams(waiting: int, full: bool | None, at: float = 0.0) -> Netns:
    queue = DatagramQueue("/dev/log", 99, waiting, 3, READER, at=at, full=full)
    return netns(datagrams=(queue,), sysctls=SYSCTLS)


def _stream(waiting: int, backlog: int = 4096, **more: Any) -> Netns:
    unix = listener(waiting, backlog, protocol="unix", address="/run/app", port=0)
    return netns(listeners=(unix,), **more)


STUCK, NEARLY = _datagrams(11, True), _datagrams(10, False)
ROOM, HIDDEN = _datagrams(1, False), netns(datagrams=None)


def _walk(state: Any) -> Walk:
    walk, stream = begin(state, guide=GUIDE)
    walk.add(stream.next(state, 10))
    list(follow(walk))
    return walk


def test_a_queue_of_which_messages_are_read_may_be_longer() -> None:
    walk = _walk(NEARLY)
    assert walk.step.id == "lengthen"
    assert [each.key for each in walk.wanted] == ["net.unix.max_dgram_qlen"]


def test_a_stuck_reader_is_not_cured_by_a_longer_queue() -> None:
    walk = _walk(STUCK)
    assert walk.step.id == "read"
    assert walk.wanted == ()


def test_the_first_sample_may_lack_the_queue() -> None:
    walk, stream = begin(ROOM, guide=GUIDE)
    assert list(follow(walk)) == ["datagram"]
    for at in range(5):
        walk.add(stream.next(_datagrams(11, True, at=at)))
    list(follow(walk))
    assert walk.step.id == "read"


def test_it_fits_unix_sockets_only() -> None:
    assert GUIDE.fits
    assert GUIDE.fits(_walk(STUCK).facts)
    assert GUIDE.fits(_walk(_stream(4097)).facts)
    assert not GUIDE.fits(_walk(netns(listeners=(listener(129),))).facts)


def test_every_branch_is_taken() -> None:
    tcp = netns(listeners=(listener(129),), datagrams=())
    walks = [_walk(state) for state in (STUCK, ROOM, HIDDEN, tcp, {"rows": (process(fds=1024, soft=1024),)})]
    walks += [_walk(netns(listeners=None)), _walk(_stream(17, 16))]
    for state, exits in ((STUCK, ("room", "do-not-tune")), (_stream(17, 16), ("room", "do-not-tune"))):
        for to in exits:
            walk = _walk(state)
            walk.take(to)
            walks.append(walk)
    walks += ends_of_change(GUIDE, NEARLY, ROOM, HIDDEN, 10)
    walks += ends_of_change(GUIDE, _stream(4097), _stream(0), netns(listeners=None), 10)
    gone, stream = begin(STUCK, guide=GUIDE)
    gone.take("reader")
    gone.add(stream.next(netns(datagrams=())))
    list(follow(gone))
    assert branches(GUIDE) - taken(*walks, gone) == set()
