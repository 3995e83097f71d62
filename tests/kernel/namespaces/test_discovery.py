"""All network namespaces: of processes and of mounts, each once, as root and as a user who may not read some."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from sockmon.errors import ReadError
from sockmon.kernel.identity import netns_inode, proc_net_inode
from sockmon.kernel.namespaces import discovery
from sockmon.kernel.namespaces.discovery import find_namespaces
from sockmon.kernel.namespaces.nsfs_mounts import given_name, read_nsfs_mounts
from sockmon.kernel.netlink import run
from sockmon.kernel.processes import proc_files
from tests.kernel.namespaces.mounted import found_after
from tests.snapshots import process

GENERATED = "cni-0b1d3c57-9f3a-2f6e-8a4e-1d2c3b4a5f60"


@pytest.fixture
def proc() -> Iterator[int]:
    descriptor = proc_files.open_proc()
    yield descriptor
    os.close(descriptor)


def test_our_own_namespace_is_found_by_both_inodes(proc: int) -> None:
    found = run(find_namespaces([process(pid=os.getpid())], proc))
    (own,) = (each for each in found if each.processes)
    assert (own.inode, own.proc_inode) == (netns_inode(), proc_net_inode("self", proc))


@pytest.mark.usefixtures("needs_userns")
def test_namespaces_without_a_process_are_found_by_their_mounts() -> None:
    script = f"ip netns add blue; ip netns add {GENERATED}; mkdir /run/docker; touch /run/docker/1f; "
    script += (
        "mount --bind /run/netns/blue /run/docker/1f; touch '/run/a b'; mount --bind /proc/self/ns/net '/run/a b'"
    )
    found = found_after(script)
    assert len({each.inode for each in found}) == len(found)
    without = {tuple(each.mounts): each for each in found if not each.processes}
    blue = without["/run/netns/blue", "/run/docker/1f"]
    assert (blue.proc_inode, blue.inode > 0) == (0, True)
    assert (f"/run/netns/{GENERATED}",) in without
    (own,) = (each for each in found if each.processes)
    assert own.mounts == ["/run/a b"]
    assert own.inode not in {each.inode for each in without.values()}


@pytest.mark.usefixtures("needs_userns")
def test_a_namespace_whose_mount_is_gone_is_not_found() -> None:
    found = found_after("ip netns add blue; ip netns add red; ip netns del blue")
    assert [each.mounts for each in found if not each.processes] == [["/run/netns/red"]]


def test_processes_that_may_not_be_read_are_told_apart_and_joined(
    monkeypatch: pytest.MonkeyPatch, proc: int
) -> None:
    """1 and 2 are in one namespace, of which 1 may be read; 3 and 4 are in another one; 5 has ended."""

    def inode(path: str, _: int) -> int:
        pid = int(path.partition("/")[0])
        if pid != 1:
            raise OSError(errno.EACCES if pid < 5 else errno.ENOENT, "")
        return 400

    monkeypatch.setattr(discovery, "netns_inode", inode)
    monkeypatch.setattr(discovery, "proc_net_inode", lambda pid, _: 70 + (int(pid) > 2))
    rows = [process(pid=pid) for pid in (2, 3, 1, 4, 5)]
    found = [each for each in run(find_namespaces(rows, proc)) if each.processes]
    assert [(each.inode, each.proc_inode, [row.pid for row in each.processes]) for each in found] == [
        (400, 70, [1, 2]),
        (0, 71, [3, 4]),
    ]


def test_names_that_people_give_are_told_from_those_of_runtimes() -> None:
    assert given_name("/run/netns/blue") == given_name("/var/run/netns/blue") == "blue"
    for point in (
        f"/run/netns/{GENERATED}",
        "/run/netns/netns-0b1d3c57-9f3a-2f6e-8a4e-1d2c3b4a5f60",
        "/var/run/netns/0b1d3c57-9f3a-2f6e-8a4e-1d2c3b4a5f60",
        "/run/docker/netns/5ad5c1f0a2f1",
        "/run/netns/a/b",
    ):
        assert given_name(point) == ""


def test_mountinfo_that_cannot_be_read_is_a_reason(monkeypatch: pytest.MonkeyPatch, proc: int) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ReadError, match="mountinfo cannot be read"):
        run(read_nsfs_mounts(proc))


def test_a_walk_that_is_given_up_leaves_nothing_open(proc: int) -> None:
    before = set(os.listdir("/proc/self/fd"))
    for steps in range(1, 5):
        walk = find_namespaces([process(pid=os.getpid())], proc)
        with suppress(StopIteration):
            for _ in range(steps):
                next(walk)
        walk.close()
    assert set(os.listdir("/proc/self/fd")) == before
