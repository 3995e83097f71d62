"""Locked and pinned memory of real processes without CAP_IPC_LOCK."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from sockmon.errors import LabUnavailable
from sockmon.kernel.netlink import run
from sockmon.kernel.processes.locked_memory import LockedMemoryReader, ring_bytes
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.model.snapshot import LockedMemory
from sockmon.sandbox.loads.locked import require_io_uring
from tests.kernel.sleepers import sleeper
from tests.netns import inside

LOCK = """
import resource
resource.setrlimit(resource.RLIMIT_MEMLOCK, (1 << 20, 1 << 20))
from sockmon.sandbox.loads.locked import add_ring, lock
held = lock(1 << 18)
"""
RINGS = """
import errno, time
rings, end = [], time.monotonic() + 90
while len(rings) < 3:
    try:
        rings.append(add_ring(256))
    except OSError as error:
        if error.errno != errno.ENOMEM or time.monotonic() > end:
            raise
        time.sleep(0.1)
"""
"""The limit is one of the user, and a lab may fill it at the same time."""
FORK = """
import ctypes, signal
parent = os.getpid()
if not os.fork():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    while os.getppid() == parent:
        signal.pause()
"""


def read(table: ProcessTable, *pids: int) -> LockedMemory:
    with closing(Owners()) as owners:
        rows = [row for pid in pids if (row := table.read_one(pid))]
        run(owners.refresh(rows))
        return run(LockedMemoryReader(table, owners).steps(rows, 5.0))


def locked_inside(code: str) -> LockedMemory:
    """Return what is read in a user namespace, in which no capability exempts."""
    with closing(ProcessTable()) as table, sleeper(code) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return read(table, process.pid, *map(int, children))


@pytest.mark.usefixtures("needs_userns")
def test_locked_memory_has_the_limit_of_its_process() -> None:
    (row,) = inside(locked_inside, LOCK).rows
    assert (row.locked, row.pinned, row.limit, row.rings) == (1 << 18, 0, 1 << 20, 0)


@pytest.mark.usefixtures("needs_userns")
def test_rings_count_once_if_a_child_has_inherited_them() -> None:
    try:
        require_io_uring()
    except LabUnavailable as refused:
        pytest.skip(refused.message)
    rows = inside(locked_inside, LOCK + RINGS + FORK).rows
    assert sum(row.rings for row in rows) == 3
    assert sum(row.ring_bytes for row in rows) == 3 * ring_bytes(256, 512)
    # A child has no locks of its parent.
    assert sum(row.locked for row in rows) == 1 << 18


@pytest.mark.usefixtures("root_only")
def test_a_process_that_may_lock_is_left_out(table: ProcessTable) -> None:
    with sleeper(LOCK) as process:
        assert read(table, process.pid) == LockedMemory(5.0, (), 0)


def test_a_process_without_locks_is_left_out(table: ProcessTable) -> None:
    with sleeper() as process:
        assert read(table, process.pid).rows == ()


def test_the_size_of_a_ring_is_that_of_the_kernel() -> None:
    # Measured: RLIMIT_MEMLOCK of 8 MiB allows 292 rings of 256 entries, of seven pages of 4 kB each.
    assert (8 << 20) // ring_bytes(256, 512) == 292
