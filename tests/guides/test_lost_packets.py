"""The guide for lost packets: on its lab, on that of a transmit queue, on recordings of limits of the host, on a
healthy host, and each branch."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from sockmon.guides.lost_packets import GUIDE
from sockmon.guides.report import WalkReport
from sockmon.guides.walk import Walk
from sockmon.model.snapshot import (
    Memory,
    Netns,
    Owner,
    QueueOwner,
    Softnet,
    TcpQueues,
    TransmitQueues,
    UdpBuffer,
)
from tests.guides.lab_walks import end, named, path, walk_on_lab
from tests.guides.test_guide_verb import RECORDINGS, guide
from tests.guides.walks import Stream, branches, follow, taken, transaction
from tests.snapshots import SYSCTLS, netns, process, transmit_queue

NAME = GUIDE.name
COLLECTOR = Owner(1044, 7, "nginx", 1)
ERRORS = "Udp.RcvbufErrors"


def test_on_its_lab_a_reader_that_is_too_slow_is_not_tuned() -> None:
    walk = walk_on_lab(NAME, GUIDE.lab, "--yes")
    assert path(walk) == ["buffer", "bursts", "read-faster", "do-not-tune"]
    assert named(walk) == {"udp-buffers"}
    assert walk.changes == ()
    assert any("collector" in line for line in end(walk).advice)


def test_on_the_lab_of_a_transmit_queue_that_one_is_named() -> None:
    walk = walk_on_lab(NAME, "transmit-queue", "--yes")
    assert walk.outcome == "other-limit"
    assert "transmit-queue" in named(walk)
    assert any("wan0" in line for line in end(walk).advice)


@pytest.mark.parametrize(
    ("recording", "step", "outcome"),
    [
        ("udp-memory", "udp-memory", "do-not-tune"),
        ("tcp-memory", "tcp-memory", "do-not-tune"),
        ("softnet-backlog", "input", "run-commands"),
    ],
)
def test_on_recordings_of_limits_of_the_host(recording: str, step: str, outcome: str) -> None:
    done = guide(NAME, "--from", str(RECORDINGS / f"{recording}.jsonl"), "--json")
    walk = msgspec.json.decode(done.stdout, type=WalkReport)
    assert walk.outcome == outcome
    assert recording in named(walk)
    assert step in path(walk)


def test_on_a_healthy_host_no_packet_is_lost() -> None:
    assert walk_on_lab(NAME, "idle-box", "--yes").outcome == "not-here"


def _udp(queued: int, rcvbuf: int, drops: int, rmem_max: int = 212992) -> Netns:
    part = netns(
        counters={ERRORS: drops},
        sysctls=SYSCTLS | {"net.core.rmem_default": "212992", "net.core.rmem_max": str(rmem_max)},
    )
    buffer = UdpBuffer("0.0.0.0", 2055, 99, queued, rcvbuf, drops, COLLECTOR)
    assert part.udp
    return replace(part, udp=replace(part.udp, buffers=(buffer,)))


def _dropping(queued: int, rcvbuf: int, rmem_max: int = 212992) -> tuple[Walk, Stream]:
    """Return a walk on a host whose socket has dropped datagrams between two samples."""
    stream = Stream()
    walk = Walk(GUIDE, stream.next(_at(_udp(queued, rcvbuf, 5, rmem_max), 1.0)))
    walk.add(stream.next(_at(_udp(queued, rcvbuf, 500, rmem_max), 11.0), 10))
    list(follow(walk))
    return walk, stream


def _at(part: Netns, at: float) -> Netns:
    assert part.udp
    return replace(part, udp=replace(part.udp, at=at))


def test_bursts_that_the_cap_of_buffers_loses_raise_the_cap() -> None:
    walk, _ = _dropping(1000, 2 * 212992)
    assert walk.step.id == "raise-cap"
    assert [each.key for each in walk.wanted] == ["net.core.rmem_max"]


def test_a_program_that_asks_for_no_size_gets_a_larger_default() -> None:
    walk, _ = _dropping(1000, 212992)
    assert walk.step.id == "raise-default"
    assert [each.key for each in walk.wanted] == ["net.core.rmem_default"]


def test_a_program_that_asks_for_too_little_asks_for_more() -> None:
    assert _dropping(1000, 65536)[0].step.id == "ask-for-more"


def _parts(**changes: object) -> Walk:
    """Return a walk on a host with these parts of a sample, after 10 s."""
    stream = Stream()
    walk = Walk(GUIDE, stream.next(changes))
    walk.add(stream.next(changes, 10))
    list(follow(walk))
    return walk


MEMORY = Memory(1400, 2, 0, 9, (1000, 1333, 2000), 4096)


def _tcp(*owners: QueueOwner) -> Walk:
    queues = TcpQueues(0.0, 1400 * 4096, 0, 1400 * 4096, 40, owners, 0, 0, ())
    return _parts(memory=MEMORY, netns=netns(queues=queues))


def _holds(pid: int, size: int) -> QueueOwner:
    return QueueOwner(Owner(pid, 7, "archive", 20), size, 0, size)


def test_memory_that_one_process_does_not_read_is_not_tuned() -> None:
    walk = _tcp(_holds(7, 5_000_000))
    assert walk.step.id == "read-faster"
    assert any("archive[7]" in text for text in walk.advice)


def test_memory_that_many_processes_hold_is_raised() -> None:
    walk = _tcp(*(_holds(pid, 100_000) for pid in range(10, 70)))
    assert [each.key for each in walk.wanted] == ["net.ipv4.tcp_mem"]


def test_without_the_processes_the_memory_is_not_raised() -> None:
    assert _parts(memory=MEMORY, netns=netns(queues=None)).step.id == "read-faster"


def _on(walk: Walk, stream: Stream, after: dict[str, object] | None) -> Walk:
    """Return the walk after its change was made, and these parts came; None: it was refused."""
    walk.changed(transaction("refused" if after is None else "holding"))
    return _to_the_end(walk, stream, after)


def _to_the_end(walk: Walk, stream: Stream, after: dict[str, object] | None) -> Walk:
    while walk.suggested or (walk.check and after is not None):
        if walk.suggested:
            walk.take(walk.suggested.to)
        elif after is not None:
            walk.add(stream.next(after, 3))
    return walk


def _started(*samples: dict[str, object]) -> tuple[Walk, Stream]:
    stream = Stream()
    walk = Walk(GUIDE, stream.next(samples[0]))
    for sample in samples[1:]:
        walk.add(stream.next(sample, 10))
    list(follow(walk))
    return walk, stream


def _softnet(dropped: int, squeezed: int = 0) -> dict[str, object]:
    return {"softnet": Softnet(dropped, squeezed, 0, 0)}


def _lossy(dropped: int) -> dict[str, object]:
    """A device that drops half of what is sent."""
    row = transmit_queue(overflowed=dropped, dropped=dropped, sent=dropped, waiting=1000)
    return {"netns": netns(transmit=TransmitQueues(float(dropped), (row,)))}


def _spread() -> dict[str, object]:
    owners = tuple(_holds(pid, 100_000) for pid in range(10, 20))
    queues = TcpQueues(0.0, 1400 * 4096, 0, 1400 * 4096, 40, owners, 0, 0, ())
    return {"memory": MEMORY, "netns": netns(queues=queues)}


def _changes() -> list[Walk]:
    """Return walks on which each change helps, does not help, cannot be verified, or is refused."""
    gone: dict[str, object] = {"memory": None, "netns": netns(udp=None)}
    walks = [_on(*_started(_spread(), _spread()), after) for after in (None, {}, _spread(), gone)]
    nothing: dict[str, object] = {}
    for after in (None, nothing):
        walks += [_on(*_dropping(1000, rcvbuf), after) for rcvbuf in (2 * 212992, 212992)]
        walks += [_on(*_started(_softnet(5), _softnet(900)), after)]
    for queued in (1000, 65536):
        for to in ("received", "do-not-tune"):
            walk, stream = _dropping(queued, 65536)
            walk.take(to)
            walks.append(_to_the_end(walk, stream, {}))
    return walks


def test_every_branch_is_taken() -> None:
    walks = _changes()
    walks.append(_started(_softnet(5), _softnet(900, 100))[0])
    walks.append(_started(_lossy(5), _lossy(900))[0])
    walks.append(_started({}, {})[0])
    hidden: dict[str, object] = {"memory": None, "softnet": None, "netns": netns(udp=None, transmit=None)}
    walks.append(_started(hidden, hidden)[0])
    walks.append(_tcp(_holds(7, 5_000_000)))
    full: dict[str, object] = {"memory": Memory(100, 1400, 0, 9, (1000, 1333, 2000), 4096)}
    walks.append(_started(full, full)[0])
    walks.append(_started({"rows": (process(fds=1024, soft=1024),)}, {"rows": (process(fds=1024, soft=1024),)})[0])
    left = branches(GUIDE) - taken(*walks)
    # The reading of an alarm that has just been found is there.
    assert left == {("bursts", "cannot-be-known")}
