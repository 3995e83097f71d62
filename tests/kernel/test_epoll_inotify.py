"""epoll and inotify of real processes, by user."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from sockmon.errors import LabUnavailable
from sockmon.kernel import sysctl
from sockmon.kernel.netlink import run
from sockmon.kernel.netns import open_current
from sockmon.kernel.processes.epoll_inotify import WatchCounter
from sockmon.kernel.processes.kcmp import Kcmp
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.model.snapshot import UserWatches, Watches
from sockmon.sandbox.loads.fanotify import require_marks
from tests.kernel.sleepers import NESTED, sleeper
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
FANOTIFY = """
from sockmon.sandbox.loads.fanotify import add_group, mark_adder
first, add = add_group(), mark_adder()
assert first >= 0
for number in range(30):
    assert add() == 0
"""
FORK = """
import signal
if not os.fork():
    libc.prctl(1, signal.SIGKILL, 0, 0, 0)
    signal.pause()
"""


def count_watches(
    table: ProcessTable, pids: Sequence[int], counts: WatchCounter | None = None, sample: int = 100
) -> Watches:
    """Return the watches of these processes; one with more than `sample` descriptors is sampled."""
    owners = Owners(sample=sample)
    try:
        found = table.read(0.0)
        rows = [row for row in found.rows if row.pid in pids]
        run(owners.refresh(rows))
        counter, holders = counts or WatchCounter(table.proc), owners.watching_processes()
        return run(counter.steps(holders, rows, 5.0, owners.unseen, namespaces=found.user_namespaces))
    finally:
        owners.close()


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def only(watches: Watches) -> UserWatches:
    assert len(watches.users) == 1
    return watches.users[0]


def test_numbers_are_exact(table: ProcessTable) -> None:
    with sleeper(EPOLL + INOTIFY) as process:
        found = count_watches(table, [process.pid])
        user = only(found)
        assert (user.uid, found.at, found.unseen) == (os.getuid(), 5.0, 0)
        assert (user.epoll, user.inotify_instances, user.inotify_watches) == (41, 2, 30)
        assert not user.estimated
        assert [(owner.pid, owner.sockets) for owner in user.owners] == [(process.pid, 32)]


@pytest.fixture
def _has_fanotify() -> None:
    """Skip if an ordinary user cannot mark directories here."""
    try:
        require_marks()
    except LabUnavailable as refused:
        pytest.skip(refused.message)


@pytest.mark.usefixtures("_has_fanotify")
def test_groups_and_marks_of_fanotify_count_once(table: ProcessTable) -> None:
    with sleeper(FANOTIFY + FORK) as process:
        user = only(count_watches(table, [process.pid, child_of(process.pid)]))
    assert (user.fanotify_groups, user.fanotify_marks) == (2, 30)
    assert (user.inotify_instances, user.inotify_watches) == (0, 0)
    assert [(owner.pid, owner.sockets) for owner in user.fanotify_owners] == [(process.pid, 32)]


UNLIMITED = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
group = libc.fanotify_init(0x21, 0)
assert group >= 0, ctypes.get_errno()
assert libc.fanotify_mark(group, 0x1, ctypes.c_uint64(0x2), -100, b'/usr') == 0
"""


@pytest.mark.usefixtures("root_only", "_has_fanotify")
def test_marks_of_a_group_without_a_limit_do_not_count(table: ProcessTable) -> None:
    with sleeper(UNLIMITED) as process:
        user = only(count_watches(table, [process.pid]))
    assert (user.fanotify_groups, user.fanotify_marks) == (1, 0)


def made_until_refused() -> tuple[int, int, int, int]:
    """Return, in a user namespace with its own limit: instances that were made, the errno of the next, those that
    are counted, and the limit that is read."""
    key = "user.max_inotify_instances"
    Path("/proc/sys/user/max_inotify_instances").write_text("5")
    libc, made = ctypes.CDLL(None, use_errno=True), 0
    while libc.inotify_init1(0) >= 0:
        made += 1
    refused = ctypes.get_errno()
    with closing(open_current()) as handle, closing(ProcessTable()) as held:
        found = only(count_watches(held, [os.getpid()]))
        return made, refused, found.inotify_instances, int(sysctl.read_all(handle, [key])[key])


@pytest.mark.usefixtures("needs_userns")
def test_the_kernel_refuses_at_the_number_that_is_counted() -> None:
    assert inside(made_until_refused) == (5, errno.EMFILE, 5, 5)


INSTANCES = "import ctypes\nlibc = ctypes.CDLL(None)\nheld = [libc.inotify_init1(0) for _ in range(3)]\n"


def counted_for_the_creator() -> tuple[int, int, dict[int, int]]:
    """Return, in a user namespace with its own limit: instances that a process of a namespace below made, how many
    of ours were refused, and those that are counted by user."""
    Path("/proc/sys/user/max_inotify_instances").write_text("4")
    with sleeper(NESTED + "become_root_inside()\n" + INSTANCES) as process, closing(ProcessTable()) as held:
        made = [ctypes.CDLL(None).inotify_init1(0) for _ in range(2)]
        found = count_watches(held, [process.pid, os.getpid()])
        return (
            3,
            sum(descriptor < 0 for descriptor in made),
            {row.uid: row.inotify_instances for row in found.users},
        )


@pytest.mark.usefixtures("needs_userns")
def test_who_created_a_user_namespace_is_charged_for_inotify() -> None:
    made, refused, counted = inside(counted_for_the_creator)
    assert (made, refused, counted) == (3, 1, {0: 4})


@pytest.mark.fault("Q14")
def test_what_a_fork_inherits_counts_once(table: ProcessTable) -> None:
    with sleeper(EPOLL + INOTIFY + FORK) as parent, sleeper(EPOLL + INOTIFY) as other:
        user = only(count_watches(table, [parent.pid, child_of(parent.pid), other.pid]))
        assert (user.epoll, user.inotify_instances, user.inotify_watches) == (82, 4, 60)


def test_without_kcmp_files_with_the_same_content_count_once(
    table: ProcessTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = WatchCounter(table.proc)
    monkeypatch.setattr(counts._kcmp, "works", False)
    with sleeper(EPOLL + INOTIFY + FORK) as parent:
        user = only(count_watches(table, [parent.pid, child_of(parent.pid)], counts))
        assert (user.epoll, user.inotify_instances, user.inotify_watches) == (41, 2, 30)


def test_a_set_too_large_to_list_is_an_estimate(table: ProcessTable) -> None:
    with sleeper(EPOLL + INOTIFY) as process:
        row = table.read_one(process.pid)
        assert row is not None
        user = only(count_watches(table, [process.pid], WatchCounter(table.proc, max_descriptors=20), sample=10))
        assert (user.epoll, user.estimated) == (row.fds, True)
        assert (user.inotify_instances, user.inotify_watches) == (2, 30)


def test_a_descriptor_that_was_closed_since_is_not_counted(table: ProcessTable) -> None:
    owners = Owners()
    closing = (
        "\nos.write(1, b'ready\\n')\nos.read(0, 1)\nfirst.close()\nos.close(empty)\nos.write(1, b'closed\\n')"
    )
    try:
        with sleeper(EPOLL + INOTIFY + closing) as process:
            rows = [row for row in [table.read_one(process.pid)] if row]
            run(owners.refresh(rows))
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"x")
            process.stdin.flush()
            assert process.stdout.readline() == b"closed\n"
            user = only(run(WatchCounter(table.proc).steps(owners.watching_processes(), rows, 0.0)))
            assert (user.epoll, user.inotify_instances, user.inotify_watches) == (1, 1, 30)
    finally:
        owners.close()


def test_files_are_ordered() -> None:
    kcmp = Kcmp()
    if not kcmp.works:
        pytest.skip("kcmp(2) is not available here")
    one, other = os.pipe()
    same, pid = os.dup(one), os.getpid()
    try:
        assert kcmp.order((pid, one), (pid, same)) == 0
        assert {kcmp.order((pid, one), (pid, other)), kcmp.order((pid, other), (pid, one))} == {-1, 1}
        assert kcmp.order((pid, one), (pid, 1 << 20)) is None
    finally:
        for descriptor in (one, other, same):
            os.close(descriptor)
