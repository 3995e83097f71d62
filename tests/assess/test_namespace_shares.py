"""A limit that all containers of a host share names those that use most of it."""

from __future__ import annotations

from msgspec.structs import replace

from sockmon.assess.several import HostAssessor
from sockmon.model.snapshot import Snapshot
from tests.snapshots import netns, process, snapshot


def evidence(found: Snapshot, ceiling: str) -> list[str]:
    report = HostAssessor().add(found).report
    (reading,) = (row for row in report.readings if row.ceiling == ceiling)
    return [line for line in reading.evidence if "by network namespace" in line]


def host(containers: int) -> Snapshot:
    rows = [process(pid=pid, fds=10 * pid, threads=pid) for pid in range(1, 2 + 2 * containers)]
    first = netns()
    assert first.sockstat is not None
    others = [
        replace(
            first,
            name=f"web-{number}",
            inode=100 + number,
            pids=(2 * number, 2 * number + 1),
            sockstat=replace(first.sockstat, tcp_inuse=1000 * number, tcp6_inuse=None, time_wait=1),
        )
        for number in range(1, containers + 1)
    ]
    found = snapshot(0.0, *rows, netns=(first, *others))
    assert found.tasks is not None
    return replace(found, tasks=replace(found.tasks, total=32_000, pid_max=32_768))


def test_descriptors() -> None:
    assert evidence(host(4), "system-fds") == [
        "most descriptors by network namespace: web-4 170, web-3 130, web-2 90"
    ]


def test_tasks() -> None:
    assert evidence(host(4), "pid-max") == ["most tasks by network namespace: web-4 17, web-3 13, web-2 9"]


def test_sockets() -> None:
    (line,) = evidence(host(2), "tcp-memory")
    assert line.startswith("most TCP sockets by network namespace: web-2 2,001, web-1 1,001, host ")


def test_the_first_namespace_has_the_processes_that_are_in_no_other() -> None:
    assert evidence(host(1), "system-fds") == ["most descriptors by network namespace: web-1 50, host 10"]


def test_a_host_with_one_namespace_says_nothing() -> None:
    for ceiling in ("system-fds", "pid-max", "tcp-memory"):
        assert evidence(host(0), ceiling) == []
