"""Who holds the memory of TCP and UDP: the process with the longest queues, not the one with the most sockets."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from sockmon.assess import Assessor
from sockmon.ceilings.ceiling import Window
from sockmon.ceilings.memory_holders import MAX_NAMED, tcp_lines
from sockmon.model.queues import MIN_PAGES
from sockmon.model.report import Reading
from sockmon.model.snapshot import (
    Memory,
    Missing,
    Netns,
    OrphanGroup,
    Owner,
    QueuedSocket,
    QueueOwner,
    Snapshot,
    TcpQueues,
    UdpPorts,
)
from tests.snapshots import listener, netns, snapshot

MB = 1_000_000
READER, SENDER = Owner(7, 1, "archive", 20), Owner(8, 1, "producer", 20)
PRESSURE = Memory(1400, 2, 0, 9, (1000, 1333, 2000), 4096)


def held(owner: Owner, received: int = 0, sent: int = 0) -> QueueOwner:
    return QueueOwner(owner, received, sent, received + sent)


def queues(*owners: QueueOwner, **changes: Any) -> TcpQueues:
    received, sent = sum(item.recv_queue for item in owners), sum(item.send_queue for item in owners)
    found = TcpQueues(0.0, received, sent, received + sent, 40, owners, 0, 0, ())
    return replace(found, **changes)


def judged(ceiling: str, space: Netns, memory: Memory = PRESSURE) -> Reading:
    report = Assessor().add(snapshot(0.0, netns=(space,), memory=memory)).report
    return next(item for item in report.readings if item.ceiling == ceiling)


@pytest.mark.parametrize(
    ("owners", "pids"),
    [
        ((held(READER, received=60 * MB),), [7]),
        ((held(SENDER, sent=60 * MB),), [8]),
        ((held(READER, received=60 * MB), held(SENDER, sent=50 * MB)), [7, 8]),
        ((held(READER, received=20 * MB), held(SENDER, sent=60 * MB)), [8, 7]),
        ((held(Owner(9, 1, "proxy", 2), received=30 * MB, sent=10 * MB),), [9, 9]),
        # A small part of the memory is not worth a name.
        ((held(SENDER, sent=60 * MB), held(READER, received=2 * MB)), [8]),
        ((), [None]),
    ],
)
def test_the_first_remedies_name_who_does_not_read_and_whose_peers_do_not(
    owners: tuple[QueueOwner, ...], pids: list[int | None]
) -> None:
    found = judged("tcp-memory", netns(queues=queues(*owners)))
    assert found.severity == "warning"
    assert [remedy.pid for remedy in found.remedies if remedy.kind == "application"] == pids
    assert found.remedies[-1].kind == "sysctl"


def test_if_the_peer_runs_here_it_comes_before_the_process_that_is_not_read() -> None:
    ends = ("127.0.0.1:40000", "127.0.0.1:9000", "ESTABLISHED")
    stuck = QueuedSocket(*ends, 0, 3 * MB, True, 0, None, 9.0, SENDER, READER)
    other = Owner(9, 1, "proxy", 2)
    for owners, pids in (
        ((held(SENDER, sent=60 * MB), held(READER, received=MB)), [7, 8]),
        ((held(SENDER, sent=60 * MB), held(READER, received=20 * MB)), [7, 8]),
        ((held(SENDER, sent=60 * MB), held(other, received=20 * MB)), [7, 8, 9]),
        ((held(SENDER, sent=20 * MB), held(other, received=60 * MB)), [9, 7, 8]),
    ):
        found = judged("tcp-memory", netns(queues=queues(*owners, largest=(stuck,))))
        assert [remedy.pid for remedy in found.remedies if remedy.kind == "application"] == pids


def test_below_the_limit_and_without_a_visible_limit_they_are_named_too() -> None:
    space = netns(queues=queues(held(READER, received=60 * MB)))
    for mem, severity in (((1 << 20, 1 << 21, 1 << 22), "ok"), (None, "unknown")):
        found = judged("tcp-memory", space, replace(PRESSURE, tcp_mem=mem))
        assert (found.severity, found.remedies[0].pid) == (severity, 7)
        assert [remedy.kind for remedy in found.remedies][1:] == (["sysctl"] if mem else [])
        assert len([line for line in found.evidence if "archive[7]" in line]) == 1


def lines(space: Netns, *missing: Missing, pages: int = 1400) -> list[str]:
    now: Snapshot = snapshot(0.0, netns=(space,), memory=replace(PRESSURE, tcp_pages=pages), missing=missing)
    return tcp_lines(Window(now, space, {}, 0.0, {}))


def test_what_is_not_known_is_said_and_not_called_nothing() -> None:
    assert len(lines(netns(), pages=MIN_PAGES - 1)) == 1
    assert len(lines(netns(), Missing("tcp queues", "the kernel refuses"))) == 1
    # A recording of before.
    assert lines(netns()) == []
    owned = held(READER, received=5 * MB)
    assert len(lines(netns(queues=queues(owned)))) == 1
    assert len(lines(netns(queues=queues(owned, unowned=2 * MB)))) == 2
    assert len(lines(netns(queues=queues(owned, orphaned=2 * MB)))) == 2
    # 40 MB of the host, 5 MB of this namespace.
    assert len(lines(netns(queues=queues(owned)), pages=10_000)) == 2
    # With very many sockets they are not read for each sample.
    assert len(lines(netns(queues=queues(owned, at=-600.0)))) == 2
    many = [held(Owner(pid, 1, "one", 1), received=MB) for pid in range(10, 20)]
    assert len(lines(netns(queues=queues(*many)))) == MAX_NAMED


def test_the_longest_queues_are_listed_with_their_peers() -> None:
    ends = ("10.0.0.5:443", "10.0.0.9:40000", "ESTABLISHED")
    unread = QueuedSocket(*ends, 3 * MB, 0, False, 0, 12.0, 40.0, READER)
    closed = QueuedSocket(*ends, 0, 2 * MB, True, 0, 40.0, 12.0, SENDER)
    silent = QueuedSocket(*ends, 0, 4 * MB, False, 6, None, None, None)
    owners = (held(READER, received=3 * MB), held(SENDER, sent=2 * MB))
    for listed, count in (((unread, closed), 2), ((unread,), 1), ((silent,), 1), ((), 0)):
        assert len(lines(netns(queues=queues(*owners, largest=listed)))) == 2 + count


def test_the_process_with_the_most_datagrams_is_named() -> None:
    ports = UdpPorts(0.0, 32768, 60999, 0, 12, 28232, (), (), 5 * MB, (held(READER, received=4 * MB),))
    found = judged("udp-memory", netns(udp=ports), Memory(1, 990, 0, 9, None, None))
    assert (found.severity, found.remedies[0].pid) == ("critical", 7)
    few = replace(ports, readers=(held(READER, received=MB // 4),))
    assert judged("udp-memory", netns(udp=few)).remedies[0].pid is None
    assert judged("udp-memory", netns()).remedies[0].pid is None


def test_orphans_have_a_port_and_a_peer_and_the_process_that_listens_there() -> None:
    states = netns().states
    assert states is not None
    groups = (OrphanGroup(8080, "10.0.0.9", 900, 40 * MB), OrphanGroup(9090, "10.0.0.8", 2, 100))
    space = netns(states=replace(states, orphans=groups), listeners=(listener(owner=READER),))
    memory = Memory(1, 2, 3000, 9, None, 4096)
    found = judged("tcp-orphans", space, memory)
    assert (found.severity, found.remedies[0].pid) == ("critical", 7)
    client = judged("tcp-orphans", replace(space, listeners=()), memory)
    assert client.remedies[0].pid is None
    assert len(client.evidence) == len(judged("tcp-orphans", netns(), memory).evidence) + 2
