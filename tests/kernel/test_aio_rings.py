"""Contexts of asynchronous I/O of real processes, and of text as the kernel writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sockmon.kernel.netlink import run
from sockmon.kernel.processes.aio_rings import Ring, holders, most_requests, parse_rings
from sockmon.kernel.processes.memory_maps import MapCounter
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.model.snapshot import ProcessAio
from sockmon.sandbox.loads.aio import io_setup
from tests.kernel.sleepers import sleeper

MAPS = b"""7feed0c10000-7feed0c20000 rw-s 00000000 00:13 17601098                   /[aio] (deleted)
7feed0d8d000-7feed0d90000 rw-s 00000000 00:13 17601097                   /[aio] (deleted)
7feed0e04000-7feed0e06000 rw-p 00000000 00:00 0
7feed0e06000-7feed0e07000 r--p 00000000 fe:00 12                         /srv/[aio]
"""
CONTEXTS = """
from sockmon.sandbox.loads.aio import io_setup
for requests in (3, 40, 200): io_setup(requests)
"""
FORK = """
import ctypes, signal
if not os.fork():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    signal.pause()
"""


@pytest.fixture
def _has_aio() -> None:
    """Skip if nothing can be reserved here."""
    try:
        io_setup(1)
    except OSError as error:
        pytest.skip(f"no asynchronous I/O here: {error}")


def test_rings_are_maps_of_that_name() -> None:
    assert parse_rings(MAPS) == (Ring(17601098, 0x10000), Ring(17601097, 0x3000))
    assert parse_rings(b"garbage /[aio]\n") == ()


def test_the_size_of_a_ring_is_an_upper_bound() -> None:
    # Measured: io_setup(128) maps three pages, io_setup(1000) sixteen.
    assert 128 <= most_requests(3 * 4096) < 192
    assert 1000 <= most_requests(16 * 4096) < 1024


def test_a_ring_that_a_child_inherited_counts_once() -> None:
    ring, other = Ring(7, 4096), Ring(8, 8192)
    found = holders([(20, 1, "child", (ring, other)), (10, 1, "parent", (ring,))])
    assert [(row.pid, row.contexts) for row in found] == [(20, 1), (10, 1)]


@pytest.mark.usefixtures("_has_aio")
def test_the_contexts_of_a_process_are_found(table: ProcessTable) -> None:
    with sleeper(CONTEXTS + FORK) as process:
        child = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        rows = [row for pid in (process.pid, child) if (row := table.read_one(pid))]
        (found,) = run(MapCounter(table).steps(rows, 0.0)).aio
    assert found == ProcessAio(process.pid, rows[0].start, rows[0].name, 3, found.most_requests)
    assert 243 <= found.most_requests < 1000
