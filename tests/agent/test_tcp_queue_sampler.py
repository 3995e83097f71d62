"""Which processes hold the memory of TCP, as a Snapshot shows it."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack

import pytest

from sockmon.agent import tcp_queue_sampler
from sockmon.agent.sampler import open_sampler
from sockmon.kernel import sockstat
from sockmon.kernel.netns import open_current
from sockmon.model.queues import MIN_PAGES
from sockmon.model.snapshot import Snapshot
from tests.kernel.test_tcp_queues import connected, fill
from tests.netns import inside

pytestmark = pytest.mark.usefixtures("needs_userns")


def _sample(min_pages: int = MIN_PAGES) -> Snapshot:
    """Return a sample while this process has more unread data than `MIN_PAGES`, and a UDP socket with some."""
    vars(tcp_queue_sampler)["MIN_PAGES"] = min_pages
    with ExitStack() as held:
        handle = open_current()
        held.callback(handle.close)
        fill(connected(held, "127.0.0.1")[0])
        while sockstat.read(handle)[1].tcp_pages < 2 * MIN_PAGES:  # of the whole host
            fill(connected(held, "127.0.0.1")[0])
        reader = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        reader.bind(("127.0.0.1", 2055))
        reader.sendto(bytes(1000), ("127.0.0.1", 2055))
        with open_sampler(None, 1.0, complete=True) as sampler:
            return sampler.sample(complete=True)


def sample(min_pages: int) -> tuple[Snapshot, int]:
    return _sample(min_pages), os.getpid()


def test_a_process_is_listed_with_the_data_of_its_sockets() -> None:
    snapshot, pid = inside(sample, MIN_PAGES)
    (netns,) = snapshot.netns
    queues, udp = netns.queues, netns.udp
    assert queues is not None
    assert queues.memory is not None
    (owner,) = queues.owners
    assert (owner.owner.pid, owner.recv_queue, owner.send_queue) == (pid, queues.recv_queue, queues.send_queue)
    assert queues.orphaned == queues.unowned == 0
    assert {each.owner.pid for each in queues.largest if each.owner} == {pid}
    assert snapshot.processes is not None
    (row,) = [row for row in snapshot.processes.rows if row.pid == pid]
    assert (row.recv_queue, row.send_queue) == (owner.recv_queue, owner.send_queue)
    assert udp is not None
    (reader,) = udp.readers
    assert (reader.owner.pid, reader.recv_queue) == (pid, udp.queued)


def test_if_tcp_uses_little_memory_the_sockets_are_not_read() -> None:
    snapshot, _ = inside(sample, 1 << 40)
    assert snapshot.netns[0].queues is None
    assert not [missing for missing in snapshot.missing if missing.reader == "tcp queues"]
