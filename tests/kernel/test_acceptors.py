"""Who accepts on a listener that several processes hold."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from sockmon.agent.listener_owners import with_holders
from sockmon.kernel.netlink import run
from sockmon.kernel.processes.acceptors import AcceptorReader, Acceptors
from sockmon.kernel.processes.epoll_inotify import WatchCounter
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.model.snapshot import Owner
from tests.kernel.sleepers import descriptors, sleeper
from tests.snapshots import listener

MASTER = """
import ctypes, select, signal, socket
libc = ctypes.CDLL(None)
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(4)
def worker(work):
    master = os.getpid()
    if not os.fork():
        libc.prctl(1, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != master:  # it ended before prctl(2)
            os._exit(0)
        work()
        signal.pause()
def register():
    poll.register(listener, select.EPOLLIN)
def own_epoll():
    global poll
    poll = select.epoll()
    register()
"""


def children_of(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def read(table: ProcessTable, pids: list[int], inode: int) -> tuple[tuple[Owner, ...], Acceptors]:
    """Return the holders of a listener among `pids`, and who accepts on it."""
    owners = Owners()
    try:
        rows = [row for pid in pids if (row := table.read_one(pid))]
        run(owners.refresh(rows))
        held = owners.holders_of({inode})
        counter = WatchCounter(table.proc)
        run(counter.steps(owners.watching_processes(), rows, 5.0, wanted=held))
        return held[inode], run(AcceptorReader(table).steps(held, counter.members))
    finally:
        owners.close()


def wait_until_blocked(pid: int) -> None:
    """Wait until a process sleeps, in the call that it is to be found in."""
    for _ in range(500):
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S":
            return
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("work", "accepts"),
    [("own_epoll", True), ("listener.accept", True), ("lambda: select.select([listener], [], [])", False)],
)
def test_the_worker_that_accepts_and_not_its_master(table: ProcessTable, work: str, accepts: bool) -> None:
    with sleeper(MASTER + f"worker({work})\nworker(lambda: None)\n") as process:
        (inode,) = descriptors(process.pid).inodes
        workers = children_of(process.pid)
        for pid in workers:
            wait_until_blocked(pid)
        holders, found = read(table, [process.pid, *workers], inode)
        assert [owner.pid for owner in holders] == sorted([process.pid, *workers])
        accepting = [owner.pid for owner in found.accepting.get(inode, ())]
        assert accepting == (workers[:1] if accepts else [])
        assert not found.stopped
        row = with_holders(listener(inode=inode), holders, found)
        assert row.owner is not None
        assert (row.owner.pid, row.holders) == (workers[0] if accepts else process.pid, 3)


def test_an_inherited_epoll_set_is_that_of_all_who_hold_it(table: ProcessTable) -> None:
    code = MASTER + "own_epoll()\nworker(lambda: None)\n"
    with sleeper(code) as process:
        (inode,) = descriptors(process.pid).inodes
        pids = sorted([process.pid, *children_of(process.pid)])
        _, found = read(table, pids, inode)
        assert [owner.pid for owner in found.accepting[inode]] == pids


def test_a_stopped_worker_is_still_the_one_that_accepts(table: ProcessTable) -> None:
    with sleeper(MASTER + "worker(listener.accept)\n") as process:
        (inode,) = descriptors(process.pid).inodes
        (worker,) = children_of(process.pid)
        wait_until_blocked(worker)
        os.kill(worker, signal.SIGSTOP)
        for _ in range(500):
            _, found = read(table, [process.pid, worker], inode)
            if found.stopped:
                break
        assert found.stopped == {worker}
        assert [owner.pid for owner in found.accepting[inode]] == [worker]


def test_an_acceptor_that_no_longer_holds_the_listener_is_not_its_owner() -> None:
    gone, here = Owner(7, 1, "web", 1), Owner(9, 1, "web", 1)
    found = with_holders(listener(inode=5), (here,), Acceptors({5: (gone,)}, frozenset()))
    assert (found.owner, found.accepting, found.holders) == (here, (), 1)
