"""The network namespaces of other processes: which ones there are, by one process each, as any user."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from msgspec.structs import replace

from sockmon.errors import ReadError
from sockmon.kernel.identity import netns_inode, proc_net_inode
from sockmon.kernel.namespaces import discovery, other_netns
from sockmon.kernel.namespaces.names import NamespaceNames
from sockmon.kernel.namespaces.other_netns import busiest_process
from sockmon.kernel.namespaces.state_files import StateFiles
from sockmon.kernel.netlink import Incremental, run
from sockmon.kernel.netns import open_current, open_netns
from sockmon.kernel.processes import proc_files
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.model.snapshot import OtherNetns, Process
from tests.kernel.namespaces.other_namespaces import find_other_netns
from tests.netns import child_environment
from tests.snapshots import process

HOLDER = """
import os, socket, sys, time
held = [socket.socket() for _ in range(int(sys.argv[1]))]
child = os.fork()
print("ready", flush=True) if child else None
sys.stdin.read()
"""


@contextmanager
def namespace(sockets: int) -> Iterator[int]:
    """Two processes in a network namespace of their own, with some sockets; yields the pid of the first."""
    command = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", HOLDER, str(sockets)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=child_environment()
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        yield holder.pid
        assert holder.stdin is not None
        holder.stdin.close()


def no_mounts(_: int) -> Incremental[dict[int, list[str]]]:
    yield
    return {}


@pytest.fixture(autouse=True)
def _without_mounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this host has mounted is not of the test."""
    monkeypatch.setattr(discovery, "read_nsfs_mounts", no_mounts)


@pytest.fixture
def proc() -> Iterator[int]:
    descriptor = proc_files.open_proc()
    yield descriptor
    os.close(descriptor)


def family(*pids: int) -> list[Process]:
    """The rows of these processes, their children, and ourselves."""
    with closing(ProcessTable()) as table:
        rows = table.read(0.0).rows
    children = {row.pid for row in rows if _parent(row.pid) in pids}
    return [row for row in rows if row.pid in {*pids, *children, os.getpid()}]


def _parent(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return None


def others(rows: list[Process], proc: int) -> OtherNetns:
    return run(
        find_other_netns(
            rows,
            {(netns_inode(), proc_net_inode("self", proc))},
            NamespaceNames(proc, StateFiles("/nowhere")),
            proc,
            0.0,
        )
    )


@pytest.mark.usefixtures("needs_userns")
def test_each_namespace_is_counted_once_the_busiest_first(proc: int) -> None:
    with namespace(5) as few, namespace(40) as many:
        found = others(family(few, many), proc)
    assert (found.total, found.processes, found.counted) == (2, 4, 2)
    assert [member.processes for member in found.busiest] == [2, 2]
    # A socket that was made counts before it is bound.
    assert [member.sockets for member in found.busiest] == [40, 5]
    assert found.busiest[0].name.startswith("python")


@pytest.mark.usefixtures("needs_userns")
def test_a_namespace_is_known_by_the_inode_that_everyone_may_read(proc: int) -> None:
    with namespace(0) as pid, closing(open_netns(str(pid))) as there, closing(open_current()) as here:
        assert proc_net_inode(str(pid), proc) == there.proc_inode
        assert proc_net_inode("self", proc) == here.proc_inode != there.proc_inode
        assert netns_inode(f"/proc/{pid}/ns/net") == there.inode != here.inode


@pytest.mark.usefixtures("needs_userns")
def test_the_namespace_that_is_sampled_is_not_another_one_and_ours_is(proc: int) -> None:
    with namespace(1) as pid:
        rows = family(pid)
        sampled = {(netns_inode(f"/proc/{pid}/ns/net"), proc_net_inode(str(pid), proc))}
        found = run(find_other_netns(rows, sampled, NamespaceNames(proc, StateFiles("/nowhere")), proc, 0.0))
    assert [member.pid for member in found.busiest] == [os.getpid()]


def test_ourselves_alone_is_no_other_namespace(proc: int) -> None:
    found = others(family(os.getpid()), proc)
    assert found == OtherNetns(0.0, 0, 0, (), 0)


def test_a_process_of_sockmon_is_the_busiest_only_if_it_is_alone() -> None:
    ours, database = process(10, 60, name="sockmon-helper"), process(11, 9, name="database")
    assert busiest_process(discovery.FoundNetns(7, 8, [ours, database])) is database
    assert busiest_process(discovery.FoundNetns(7, 8, [ours])) is ours
    assert busiest_process(discovery.FoundNetns(7, 8)) is None


def test_an_ended_process_is_skipped(proc: int) -> None:
    assert others([process(pid=1 << 30)], proc).total == 0


def test_many_namespaces_are_counted_and_few_are_read(monkeypatch: pytest.MonkeyPatch, proc: int) -> None:
    read: list[int] = []

    def count(row: Process, _: int) -> int:
        read.append(row.pid)
        return row.pid

    monkeypatch.setattr(discovery, "proc_net_inode", lambda pid, _: int(pid))
    monkeypatch.setattr(discovery, "netns_inode", lambda path, _: int(path.partition("/")[0]))
    monkeypatch.setattr(other_netns, "_count_sockets", count)
    rows = [replace(process(pid=pid), fds=None) for pid in range(1, 1001)]
    found = run(find_other_netns(rows, {(1, 1)}, NamespaceNames(proc, StateFiles("/nowhere")), proc, 0.0))
    assert (found.total, found.counted, len(read)) == (999, 300, 300)
    assert len(found.busiest) == other_netns.MAX_BUSIEST


def test_without_our_own_namespace_no_other_is_counted(proc: int) -> None:
    with pytest.raises(ReadError, match="is not known"):
        run(find_other_netns([], {(0, 0)}, NamespaceNames(proc, StateFiles("/nowhere")), proc, 0.0))


def found_with(
    mounts: dict[int, list[str]], monkeypatch: pytest.MonkeyPatch, proc: int, unread: int
) -> OtherNetns:
    """What is found of processes 1 to 3, each in a namespace of its own, and of mounts; 1 is ours, `unread` of the
    others may not be read."""

    def inode(path: str, _: int) -> int:
        pid = int(path.partition("/")[0])
        if pid > 3 - unread:
            raise PermissionError(13, "")
        return pid

    def read_mounts(_: int) -> Incremental[dict[int, list[str]]]:
        yield
        return mounts

    monkeypatch.setattr(discovery, "netns_inode", inode)
    monkeypatch.setattr(discovery, "proc_net_inode", lambda pid, _: 70 + int(pid))
    monkeypatch.setattr(discovery, "read_nsfs_mounts", read_mounts)
    monkeypatch.setattr(other_netns, "_count_sockets", lambda row, _: row and row.pid)
    return run(
        find_other_netns(
            [process(pid=pid) for pid in (1, 2, 3)],
            {(1, 71)},
            NamespaceNames(proc, StateFiles("/nowhere")),
            proc,
            0.0,
        )
    )


def test_one_without_a_process_has_the_name_of_its_mount(monkeypatch: pytest.MonkeyPatch, proc: int) -> None:
    mounts = {1: ["/run/docker/netns/default"], 3: ["/run/netns/red"], 9: ["/run/netns/blue"], 8: ["/mnt/x y"]}
    found = found_with(mounts, monkeypatch, proc, 0)
    assert (found.total, found.processes, found.unreadable, found.unmatched) == (4, 2, 0, 0)
    assert [(each.pid, each.argument, each.called and each.called.name) for each in found.busiest] == [
        (3, "red", "red"),
        (2, "", None),
        (0, "blue", "blue"),
    ]


def test_a_mount_that_may_belong_to_an_unread_process_is_not_counted_twice(
    monkeypatch: pytest.MonkeyPatch, proc: int
) -> None:
    found = found_with({3: ["/run/netns/red"]}, monkeypatch, proc, 1)
    assert (found.total, found.unreadable, found.unmatched) == (2, 1, 1)


def test_a_name_that_is_hostile_or_looks_like_a_pid_is_not_an_argument(
    monkeypatch: pytest.MonkeyPatch, proc: int
) -> None:
    found = found_with({3: ["/run/netns/42"], 2: ["/run/netns/\x1b[2J"]}, monkeypatch, proc, 0)
    assert [(each.argument, each.called and each.called.name) for each in found.busiest] == [
        ("", "42"),
        ("", "�[2J"),
    ]
