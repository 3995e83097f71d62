"""One process seen whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sockmon.kernel import fds, process_detail
from sockmon.kernel.netlink import run
from sockmon.kernel.processes import ProcessTable
from sockmon.model.detail import ProcessFocus
from tests.kernel.sleepers import as_nobody, sleeper

SOCKETS = "import socket\nheld = [socket.socket() for _ in range(100)]\nheld.append(held[0].dup())\n"


@pytest.fixture
def table() -> Iterator[ProcessTable]:
    held = ProcessTable()
    yield held
    held.close()


def focus(table: ProcessTable, pid: int) -> ProcessFocus:
    row = table.one(pid)
    assert row is not None
    return ProcessFocus(pid, row.start)


def test_everything_about_a_process(table: ProcessTable) -> None:
    with sleeper(SOCKETS) as process:
        seen = run(process_detail.look(table, focus(table, process.pid)))
        assert seen.process is not None
        assert seen.process.fds == sum(seen.kinds.values()) == 104
        assert seen.kinds["socket"] == 101
        assert len(seen.inodes) == 100
        maps = Path(f"/proc/{process.pid}/maps").read_text().splitlines()
        assert seen.maps == sum("[vsyscall]" not in line for line in maps)
        assert {limit.name for limit in seen.limits} >= {"Max open files", "Max processes"}
        assert seen.cgroup.startswith("/")
        assert seen.missing == ()


def test_an_ended_process_and_a_pid_used_again_are_nothing(table: ProcessTable) -> None:
    with sleeper() as process:
        here = focus(table, process.pid)
        assert run(process_detail.look(table, ProcessFocus(here.pid, here.start + 1))).process is None
    assert run(process_detail.look(table, here)) == process_detail.ENDED


def test_it_may_end_while_it_is_looked_at(table: ProcessTable) -> None:
    with sleeper(SOCKETS) as process:
        steps = process_detail.look(table, focus(table, process.pid))
        next(steps)
        process.kill()
        process.wait()
        assert run(steps) == process_detail.ENDED


def test_very_many_descriptors_are_cut_and_it_says_so(
    table: ProcessTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fds, "MOST", 50)
    with sleeper(SOCKETS) as process:
        seen = run(process_detail.look(table, focus(table, process.pid)))
        assert sum(seen.kinds.values()) == 50
        assert [item.reason for item in seen.missing] == ["kinds and sockets of 50 of 104 descriptors"]


def test_an_ordinary_user_is_told_what_needs_root(root_only: None) -> None:
    code = """
table = ProcessTable()
row = table.one(PID)
seen = run(process_detail.look(table, ProcessFocus(row.pid, row.start)))
missing = {item.reader: item.reason for item in seen.missing}
print(json.dumps([seen.process.fds, seen.kinds, seen.maps, len(seen.limits), missing]))
"""
    with sleeper(SOCKETS) as process:
        count, kinds, maps, limits, missing = json.loads(as_nobody(code.replace("PID", str(process.pid))))
        assert (count, kinds, maps) == (104, {}, None)
        assert limits > 10
        assert set(missing) == {"descriptors", "maps"}
        assert "needs root" in missing["descriptors"]


def test_nothing_is_left_open(table: ProcessTable) -> None:
    here = focus(table, os.getpid())
    before = os.listdir("/proc/self/fd")
    run(process_detail.look(table, here))
    assert os.listdir("/proc/self/fd") == before
