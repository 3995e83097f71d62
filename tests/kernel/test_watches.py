"""epoll and inotify of real processes, by user."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from sockmon.kernel import sysctl
from sockmon.kernel.kcmp import Kcmp
from sockmon.kernel.netlink import run
from sockmon.kernel.netns import open_here
from sockmon.kernel.owners import Owners
from sockmon.kernel.processes import ProcessTable
from sockmon.kernel.watches import WatchCounts
from sockmon.model.snapshot import UserWatches, Watches
from tests.kernel.sleepers import sleeper
from tests.netns import inside

EPOLL = """
import select, socket
ends = [end for _ in range(20) for end in socket.socketpair()]
first, second = select.epoll(), select.epoll()
for end in ends: first.register(end, 1)
second.register(ends[0], 1)
"""
INOTIFY = """
import ctypes
libc = ctypes.CDLL(None)
empty, watching = libc.inotify_init1(0), libc.inotify_init1(0)
for number in range(30):
    file = os.memfd_create('watched')
    assert libc.inotify_add_watch(watching, b'/proc/self/fd/%d' % file, 2) > 0
"""
FORK = """
import signal
if not os.fork():
    libc.prctl(1, signal.SIGKILL, 0, 0, 0)
    signal.pause()
"""


@pytest.fixture
def table() -> Iterator[ProcessTable]:
    held = ProcessTable()
    yield held
    held.close()


def look(
    table: ProcessTable, pids: Sequence[int], counts: WatchCounts | None = None, sample: int = 100
) -> Watches:
    """What these processes hold; one with more than `sample` descriptors is sampled."""
    owners = Owners(sample=sample)
    try:
        rows = [row for pid in pids if (row := table.one(pid))]
        run(owners.walk(rows))
        return run((counts or WatchCounts(table.proc)).steps(owners.watching(), rows, 5.0, owners.unseen))
    finally:
        owners.close()


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def only(watches: Watches) -> UserWatches:
    assert len(watches.users) == 1
    return watches.users[0]


def test_numbers_are_exact(table: ProcessTable) -> None:
    with sleeper(EPOLL + INOTIFY) as process:
        found = look(table, [process.pid])
        user = only(found)
        assert (user.uid, found.at, found.unseen) == (os.getuid(), 5.0, 0)
        assert (user.epoll, user.inotify_instances, user.inotify_watches) == (41, 2, 30)
        assert not user.estimated
        assert [(owner.pid, owner.sockets) for owner in user.owners] == [(process.pid, 32)]


def made_until_refused() -> tuple[int, int, int, int]:
    """In a user namespace with a limit of its own: instances that were made, the errno of the next, those that are
    counted, and the limit that is read."""
    key = "user.max_inotify_instances"
    Path("/proc/sys/user/max_inotify_instances").write_text("5")
    libc, made = ctypes.CDLL(None, use_errno=True), 0
    while libc.inotify_init1(0) >= 0:
        made += 1
    refused = ctypes.get_errno()
    with closing(open_here()) as door, closing(ProcessTable()) as held:
        found = only(look(held, [os.getpid()]))
        return made, refused, found.inotify_instances, int(sysctl.read_all(door, [key])[key])


@pytest.mark.usefixtures("needs_userns")
def test_the_kernel_refuses_at_the_number_that_is_counted() -> None:
    assert inside(made_until_refused) == (5, errno.EMFILE, 5, 5)


def test_what_a_fork_inherits_counts_once(table: ProcessTable) -> None:
    with sleeper(EPOLL + INOTIFY + FORK) as parent, sleeper(EPOLL + INOTIFY) as other:
        user = only(look(table, [parent.pid, child_of(parent.pid), other.pid]))
        assert (user.epoll, user.inotify_instances, user.inotify_watches) == (82, 4, 60)


def test_without_kcmp_what_looks_the_same_counts_once(
    table: ProcessTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = WatchCounts(table.proc)
    monkeypatch.setattr(counts._kcmp, "works", False)
    with sleeper(EPOLL + INOTIFY + FORK) as parent:
        user = only(look(table, [parent.pid, child_of(parent.pid)], counts))
        assert (user.epoll, user.inotify_instances, user.inotify_watches) == (41, 2, 30)


def test_a_set_too_large_to_list_is_an_estimate(table: ProcessTable) -> None:
    with sleeper(EPOLL + INOTIFY) as process:
        row = table.one(process.pid)
        assert row is not None
        user = only(look(table, [process.pid], WatchCounts(table.proc, most=20), sample=10))
        assert (user.epoll, user.estimated) == (row.fds, True)
        assert (user.inotify_instances, user.inotify_watches) == (2, 30)


def test_a_descriptor_that_was_closed_since_is_not_counted(table: ProcessTable) -> None:
    owners = Owners()
    closing = (
        "\nos.write(1, b'ready\\n')\nos.read(0, 1)\nfirst.close()\nos.close(empty)\nos.write(1, b'closed\\n')"
    )
    try:
        with sleeper(EPOLL + INOTIFY + closing) as process:
            rows = [row for row in [table.one(process.pid)] if row]
            run(owners.walk(rows))
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"x")
            process.stdin.flush()
            assert process.stdout.readline() == b"closed\n"
            user = only(run(WatchCounts(table.proc).steps(owners.watching(), rows, 0.0)))
            assert (user.epoll, user.inotify_instances, user.inotify_watches) == (1, 1, 30)
    finally:
        owners.close()


def test_files_are_ordered() -> None:
    kcmp = Kcmp()
    if not kcmp.works:
        pytest.skip("kcmp(2) is not to be had here")
    one, other = os.pipe()
    same, pid = os.dup(one), os.getpid()
    try:
        assert kcmp.order((pid, one), (pid, same)) == 0
        assert {kcmp.order((pid, one), (pid, other)), kcmp.order((pid, other), (pid, one))} == {-1, 1}
        assert kcmp.order((pid, one), (pid, 1 << 20)) is None
    finally:
        for descriptor in (one, other, same):
            os.close(descriptor)
