"""All that is known of one process."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sockmon.kernel.netlink import run
from sockmon.kernel.processes import descriptors, process_detail
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.model.detail import ProcessQuery
from tests.kernel.sleepers import as_nobody, sleeper

SOCKETS = "import socket\nheld = [socket.socket() for _ in range(100)]\nheld.append(held[0].dup())\n"


def focus(table: ProcessTable, pid: int) -> ProcessQuery:
    row = table.read_one(pid)
    assert row is not None
    return ProcessQuery(pid, row.start)


def test_everything_about_a_process(table: ProcessTable) -> None:
    with sleeper(SOCKETS) as process:
        seen = run(process_detail.read_detail(table, focus(table, process.pid)))
        assert seen.process is not None
        assert seen.process.fds == sum(seen.kinds.values()) == 104
        assert seen.kinds["socket"] == 101
        assert len(seen.inodes) == 100
        maps = Path(f"/proc/{process.pid}/maps").read_text().splitlines()
        assert seen.maps == sum("[vsyscall]" not in line for line in maps)
        assert {limit.name for limit in seen.limits} >= {"Max open files", "Max processes"}
        assert seen.cgroup.startswith("/")
        assert seen.missing == ()


@pytest.mark.fault("Q1", "Q2")
def test_an_ended_process_and_a_reused_pid_are_reported_as_ended(table: ProcessTable) -> None:
    with sleeper() as process:
        here = focus(table, process.pid)
        assert run(process_detail.read_detail(table, ProcessQuery(here.pid, here.start + 1))).process is None
    assert run(process_detail.read_detail(table, here)) == process_detail.PROCESS_ENDED


@pytest.mark.fault("Q1")
def test_a_process_may_end_while_it_is_read(table: ProcessTable) -> None:
    with sleeper(SOCKETS) as process:
        steps = process_detail.read_detail(table, focus(table, process.pid))
        next(steps)
        process.kill()
        process.wait()
        assert run(steps) == process_detail.PROCESS_ENDED


@pytest.mark.fault("R17")
def test_very_many_descriptors_are_cut_and_noted(table: ProcessTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "MAX_DESCRIPTORS", 50)
    with sleeper(SOCKETS) as process:
        seen = run(process_detail.read_detail(table, focus(table, process.pid)))
        assert sum(seen.kinds.values()) == 50
        assert [item.reason for item in seen.missing] == ["kinds and sockets are those of 50 of 104 descriptors"]


def test_for_an_ordinary_user_it_is_noted_what_needs_root(root_only: None) -> None:
    code = """
table = ProcessTable()
row = table.read_one(PID)
seen = run(process_detail.read_detail(table, ProcessQuery(row.pid, row.start)))
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
    run(process_detail.read_detail(table, here))
    assert os.listdir("/proc/self/fd") == before
