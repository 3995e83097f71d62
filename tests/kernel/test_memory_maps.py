"""Memory maps of real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sockmon.kernel.netlink import run
from sockmon.kernel.processes.memory_maps import MapCounter, count
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.kernel.processes.read_timeout import ReadHung
from sockmon.model.snapshot import Process
from tests.kernel.sleepers import sleeper

SPLIT = """
import ctypes, mmap
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
PAGE = mmap.PAGESIZE
PAGES = 140000
MAP_PRIVATE_ANONYMOUS_NORESERVE = 0x4022
area = libc.mmap(None, PAGES * PAGE, 1, MAP_PRIVATE_ANONYMOUS_NORESERVE, -1, 0)
def split(times):
    '''Every second page other than its neighbours: each is a map, and so is what lies between.'''
    for number in range(times):
        if libc.mprotect(area + (2 * number + 1) * PAGE, PAGE, 0):
            return ctypes.get_errno()
"""


def row(table: ProcessTable, pid: int) -> Process:
    found = table.read_one(pid)
    assert found is not None
    return found


def lines(pid: int) -> int:
    return sum("[vsyscall]" not in line for line in Path(f"/proc/{pid}/maps").read_text().splitlines())


def test_maps_are_lines_without_vsyscall(table: ProcessTable) -> None:
    with sleeper(f"{SPLIT}\nassert split(1000) is None") as process:
        maps = run(count(table, process.pid))
        assert maps == lines(process.pid)
        assert maps > 2000


def test_at_the_wall_the_number_is_the_limit(table: ProcessTable) -> None:
    limit = int(Path("/proc/sys/vm/max_map_count").read_text())
    if limit > 100_000:
        pytest.skip("vm.max_map_count is too high to reach here")
    # Splitting is refused from the limit on; mmap(2) gets one map more.
    with sleeper(f"{SPLIT}\nassert split(PAGES // 2 - 1) == 12") as process:
        maps = run(count(table, process.pid))
        assert maps == lines(process.pid)
        # Python itself may have merged a map since, by freeing or mapping memory.
        assert limit - 1 <= maps <= limit + 1


def test_threads_end_next_to_the_limit(table: ProcessTable) -> None:
    limit = int(Path("/proc/sys/vm/max_map_count").read_text())
    if limit > 100_000:
        pytest.skip("vm.max_map_count is too high to reach here")
    start = """
import threading
split((LIMIT - 600) // 2)
forever, started = threading.Event(), 0
try:
    while started < 1200:
        threading.Thread(target=forever.wait, daemon=True).start()
        started += 1
except RuntimeError:
    pass
assert 100 < started < 1200
assert os.waitpid(os.fork() or os._exit(0), 0)[1] == 0
""".replace("LIMIT", str(limit))
    with sleeper(SPLIT + start) as process:
        assert limit - 1 <= run(count(table, process.pid)) <= limit + 1


def test_the_process_with_most_maps_comes_first_and_an_unchanged_one_is_not_read_again(
    table: ProcessTable,
) -> None:
    counts = MapCounter(table)
    grow = "\nos.read(0, 1)\nassert split(800) is None\nos.write(1, b'more\\n')"
    with sleeper() as small, sleeper(f"{SPLIT}\nos.write(1, b'ready\\n'){grow}") as large:
        rows = [row(table, small.pid), row(table, large.pid)]
        before = run(counts.steps(rows, 0.0))
        assert large.stdin is not None
        assert large.stdout is not None
        large.stdin.write(b"x")
        large.stdin.flush()
        assert large.stdout.readline() == b"more\n"
        again = run(counts.steps(rows, 1.0))
        later = run(counts.steps(rows, 100.0))
    assert (before.counted, before.unseen) == (2, 0)
    assert [item.maps for item in again.rows] == [item.maps for item in before.rows]
    assert later.rows[0].pid == large.pid
    assert later.rows[0].maps > 1600
    assert later.at == 100.0
    assert counts.missing == ()


def test_a_process_with_many_maps_is_read_again_sooner(table: ProcessTable) -> None:
    counts = MapCounter(table)
    grow = "\nos.read(0, 1)\nassert split(9_500) is None\nos.write(1, b'more\\n')"
    with sleeper(f"{SPLIT}\nassert split(9_000) is None\nos.write(1, b'ready\\n'){grow}") as large:
        rows = [row(table, large.pid)]
        before = run(counts.steps(rows, 0.0))
        assert large.stdin is not None
        assert large.stdout is not None
        large.stdin.write(b"x")
        large.stdin.flush()
        assert large.stdout.readline() == b"more\n"
        later = run(counts.steps(rows, 12.0))
    assert later.rows[0].maps >= before.rows[0].maps + 900


def test_an_ended_process_is_nothing(table: ProcessTable) -> None:
    counts = MapCounter(table)
    with sleeper() as process:
        known = row(table, process.pid)
        assert run(counts.steps([known], 0.0)).counted == 1
    assert run(counts.steps([known], 1.0)).counted == 0


@pytest.mark.usefixtures("sees_everyone")
def test_maps_of_another_user_are_missing(table: ProcessTable) -> None:
    try:
        Path("/proc/1/maps").read_bytes()
    except PermissionError:
        found = MapCounter(table)
        assert run(found.steps([row(table, 1)], 0.0)).unseen == 1
        assert [bool(entry.unjudged) for entry in found.missing] == [True]
    else:
        pytest.skip("the maps of every process may be read here")


@pytest.mark.fault("R22")
def test_a_process_that_holds_its_lock_is_left_alone(table: ProcessTable, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(read: object) -> bytes:
        raise ReadHung("processes", "does not return")

    counts = MapCounter(table)
    with sleeper() as process:
        monkeypatch.setattr(table.timeout_reader, "call", hang)
        rows = [row(table, process.pid)]
        assert run(counts.steps(rows, 0.0)).counted == 0
        assert "memory lock" in counts.missing[0].reason
        monkeypatch.undo()
        assert run(counts.steps(rows, 1.0)).counted == 0
