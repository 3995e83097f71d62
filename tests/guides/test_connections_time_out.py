"""The guide for connections that time out: on its lab, on labs of other limits, on a healthy host, each branch."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.guides.connections_time_out import GUIDE
from sockmon.guides.walk import Walk
from sockmon.model.snapshot import HalfOpen, Listener, Netns, Owner, Process, States
from tests.guides.lab_walks import named, path, walk_on_lab
from tests.guides.walks import begin, branches, ends_of_change, follow, taken, transaction, walk_on
from tests.snapshots import SYSCTLS, listener, netns, process

NAME = GUIDE.name
PASSIVE_OPENS, DROPS = "Tcp.PassiveOpens", "TcpExt.TCPReqQFullDrop"
ROOM = netns(listeners=(listener(0, 4096),))
HIDDEN = netns(listeners=None)


def test_on_its_lab_a_higher_cap_is_verified() -> None:
    walk = walk_on_lab(NAME, GUIDE.lab, "--yes")
    assert path(walk) == ["accept-queue", "descriptors", "stuck", "backlog", "raise-cap", "room", "verified"]
    assert [(each.key, change.state) for change in walk.changes for each in change.settings] == [
        ("net.core.somaxconn", "kept")
    ]


def test_a_stuck_worker_is_not_tuned() -> None:
    walk = walk_on_lab(NAME, "stuck-worker", "--yes")
    assert path(walk) == ["accept-queue", "descriptors", "stuck", "accept", "do-not-tune"]
    assert walk.changes == ()
    assert "web-stuck" in walk.steps[0].text


def test_dropped_handshakes_are_answered_with_cookies() -> None:
    walk = walk_on_lab(NAME, "syn-drops", "--yes")
    assert path(walk) == ["accept-queue", "syn-queue", "cookies", "send-cookies", "answered", "served"]
    assert walk.outcome == "verified"


def test_a_server_without_descriptors_leads_to_those() -> None:
    walk = walk_on_lab(NAME, "process-fds", "--yes")
    assert path(walk) == ["accept-queue", "descriptors", "other-limit"]
    assert "process-fds" in named(walk)


def test_on_a_healthy_host_the_symptom_is_not_there() -> None:
    assert walk_on_lab(NAME, "idle-box", "--yes").outcome == "not-here"


def _queue(waiting: int, backlog: int, **more: object) -> Netns:
    return netns(listeners=(listener(waiting, backlog, **more),), counters={PASSIVE_OPENS: 10, DROPS: 5})


def _syns(cookies: str, drops: int | None = 5) -> Netns:
    return netns(
        listeners=(listener(0, 64),),
        states=States(0.0, {}, (HalfOpen("0.0.0.0", 8080, 64),)),
        sysctls=SYSCTLS | {"net.ipv4.tcp_syncookies": cookies, "net.ipv4.tcp_max_syn_backlog": "4096"},
        counters={} if drops is None else {DROPS: drops},
    )


def _walk(*parts: Netns, rows: tuple[Process, ...] = ()) -> Walk:
    return walk_on(GUIDE, *parts, rows=rows)[0]


def _steps(walk: Walk) -> list[str]:
    return [*(passed.step for passed in walk.progress.path), walk.step.id]


def _accepts_nothing() -> Walk:
    return _walk(_queue(65, 64), _queue(65, 64))


def _own_backlog() -> Walk:
    return _walk(_queue(511, 511))


def test_a_full_queue_without_an_accepted_connection_is_a_stuck_process() -> None:
    assert _steps(_accepts_nothing()) == ["accept-queue", "descriptors", "stuck", "accept"]


def test_whether_it_accepts_takes_more_than_one_sample() -> None:
    walk = _walk(_queue(65, 64))
    assert (walk.step.id, walk.suggested) == ("stuck", None)


def test_the_backlog_of_the_application_is_not_that_of_the_kernel() -> None:
    assert _steps(_own_backlog()) == ["accept-queue", "descriptors", "stuck", "backlog", "ask-for-more"]


def test_the_process_of_a_full_queue_is_awaited_for_some_seconds() -> None:
    unknown = _queue(4096, 4096, owner=None)
    assert (_walk(unknown).step.id, _walk(unknown).suggested) == ("accept-queue", None)
    assert _steps(_walk(unknown, unknown))[-1] == "raise-cap"


def test_one_of_several_workers_is_named() -> None:
    workers: tuple[Listener, ...] = tuple(
        listener(65 * (number == 1), 64, inode=number, owner=Owner(number, 7, f"web{number}", 1))
        for number in range(1, 4)
    )
    walk = _walk(netns(listeners=workers))
    assert walk.step.id == "accept"
    assert walk.progress.focus is not None
    assert "web1[1]" in walk.progress.focus[1]


def _answers(*after: Netns) -> Walk:
    """Walk to the change of tcp_syncookies, make it, and go on with the samples after it."""
    walk, stream = begin(_syns("0"), guide=GUIDE)
    walk.add(stream.next(_syns("0", 9), 10))
    list(follow(walk))
    walk.changed(transaction())
    list(follow(walk))
    for part in after:
        walk.add(stream.next(part, 5))
        list(follow(walk))
    return walk


def test_cookies_that_are_on_are_not_a_remedy() -> None:
    assert _steps(_walk(_syns("1"), _syns("1"))) == ["accept-queue", "syn-queue", "cookies", "do-not-tune"]


def test_syns_that_are_dropped_with_cookies_too_are_no_success() -> None:
    assert _still_dropped().outcome == "did-not-help"


def _still_dropped() -> Walk:
    return _answers(*(_syns("1", drops) for drops in range(10, 100, 10)))


def _decided(act: Walk, *steps: str) -> Iterator[Walk]:
    """Yield a walk for each way that a person may take from an act."""
    for to in steps:
        walk = Walk(GUIDE, act.facts.now, progress=act.progress)
        walk.take(to)
        yield walk


def test_every_branch_is_taken() -> None:
    leak = (process(fds=1024, soft=1024),)
    walks = [_walk(HIDDEN), _walk(netns(states=None), netns(states=None)), _walk(ROOM, ROOM)]
    walks += [_walk(_queue(129, 128), rows=leak), _walk(ROOM, ROOM, rows=leak)]
    walks += _decided(_accepts_nothing(), "room", "do-not-tune")
    walks += _decided(_own_backlog(), "room", "do-not-tune")
    walks += ends_of_change(GUIDE, _queue(4096, 4096), ROOM, HIDDEN)
    walks += [_walk(_syns("1"), _syns("1")), _still_dropped()]
    walks += [_answers(*([_syns("1", drops)] * 3)) for drops in (9, None)]
    walks += _decided(_walk(_syns("0"), _syns("0", 9)), "run-commands")
    # Whether another limit has an alarm is always known, as far as it was read.
    assert branches(GUIDE) - taken(*walks) == {("others", "cannot-be-known")}
