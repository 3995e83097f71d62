"""Who owns which socket, of real processes."""

from __future__ import annotations

import errno
import json
import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from msgspec.structs import replace

from sockmon.kernel.netlink import run
from sockmon.kernel.processes import descriptors as fds
from sockmon.kernel.processes import proc_files, socket_owners
from sockmon.kernel.processes.attribution import Attribution, Namespaces
from sockmon.kernel.processes.process_sockets import SAMPLE_SIZE, sample_size
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.model.snapshot import Process
from tests.kernel.sleepers import as_nobody, descriptors, sleeper

FORK = "pid = os.fork()\n"
ONE_TABLE = "import ctypes\npid = ctypes.CDLL(None).syscall(56, 0x400 | 17, 0, 0, 0, 0)\n"
"""clone(2) with CLONE_FILES, as vfork(2) and some runtimes share the table of descriptors itself."""
SOCKETS = "import socket\nheld = [socket.socket(socket.AF_UNIX) for _ in range({})]\n"


@pytest.fixture
def known() -> Iterator[Owners]:
    held = Owners()
    yield held
    held.close()


def rows(table: ProcessTable, *pids: int) -> tuple[Process, ...]:
    return tuple(row for row in table.read(0.0).rows if row.pid in pids)


def test_each_socket_has_its_owner(table: ProcessTable, known: Owners) -> None:
    with sleeper(SOCKETS.format(5)) as five, sleeper(SOCKETS.format(9)) as nine:
        seen = rows(table, five.pid, nine.pid)
        run(known.refresh(seen))
        assert [known.sockets(row.pid, row.start) for row in seen] == [5, 9]
        assert known.sockets(seen[0].pid, seen[0].start + 1) is None
        some = list(descriptors(five.pid).inodes)[:3] + list(descriptors(nine.pid).inodes)
        assert [(owner.pid, owner.sockets) for owner in known.count(some)] == [(nine.pid, 9), (five.pid, 3)]
        both = known.count_groups([list(descriptors(five.pid).inodes), list(descriptors(nine.pid).inodes), [1]])
        assert [[owner.sockets for owner in group] for group in both] == [[5], [9], []]
        owner = known.owner_of(some[0])
        assert owner is not None
        assert (owner.pid, owner.sockets, owner.estimated) == (five.pid, 1, False)
        assert known.owner_of(1) is None
        assert known.owners_of([some[0], 1]) == {some[0]: owner}


def test_nothing_is_read_twice_while_nothing_changes(
    table: ProcessTable, known: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sleeper(SOCKETS.format(5)) as process:
        seen = rows(table, process.pid)
        run(known.refresh(seen))
        monkeypatch.setattr(fds, "open_fd_dir", None)
        run(known.refresh(seen))
        assert known.sockets(seen[0].pid, seen[0].start) == 5
        monkeypatch.setattr(socket_owners, "STALE_SECONDS", 0.0)
        run(known.refresh(seen))
        assert list(known.faults) == ["failed: TypeError: 'NoneType' object is not callable (see the log)"]


@pytest.mark.fault("Q14")
@pytest.mark.parametrize("share", [FORK, ONE_TABLE], ids=["inherited", "one table"])
def test_shared_sockets_count_once_for_the_lowest_pid(table: ProcessTable, known: Owners, share: str) -> None:
    if share == ONE_TABLE and os.uname().machine != "x86_64":
        pytest.skip("the number of clone(2) is that of x86_64")
    setup = SOCKETS.format(7) + share + "if pid == 0: os.read(0, 1); os._exit(0)\n"
    with sleeper(setup) as process:
        children = [row.pid for row in table.read(0.0).rows if _parent(row.pid) == process.pid]
        assert len(children) == 1
        seen = rows(table, process.pid, *children)
        run(known.refresh(seen))
        inodes = list(descriptors(process.pid).inodes)
        assert [(owner.pid, owner.sockets) for owner in known.count(inodes)] == [(process.pid, 7)]
        assert all(owner and owner.pid == process.pid for owner in map(known.owner_of, inodes))


def _parent(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b") ")[2].split()[1])
    except OSError:
        return None


@pytest.mark.fault("Q1")
def test_a_process_with_many_descriptors_that_ends_is_forgotten_and_the_walk_continues(
    table: ProcessTable, known: Owners
) -> None:
    """A zombie's FDSize is 0, and more than SAMPLE descriptors are drawn from as many slots."""
    many = SAMPLE_SIZE + 100
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < many + 10:
        pytest.skip(f"needs {many + 10:,} descriptors, the hard limit is {hard}")
    setup = f"import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, ({many + 10}, {hard}))\n"
    with sleeper(setup + f"for _ in range({many}): os.dup(2)") as large, sleeper(SOCKETS.format(5)) as other:
        seen = rows(table, large.pid, other.pid)
        assert max(row.fds or 0 for row in seen) > SAMPLE_SIZE
        large.kill()
        os.waitid(os.P_PID, large.pid, os.WEXITED | os.WNOWAIT)
        run(known.refresh(seen))
        assert [known.sockets(row.pid, row.start) for row in seen if row.pid != large.pid] == [5]
        assert [known.sockets(row.pid, row.start) for row in seen if row.pid == large.pid] == [None]


@pytest.mark.fault("Q13")
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOMEM])
def test_one_process_that_cannot_be_read_does_not_hide_the_others(
    table: ProcessTable, known: Owners, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """EIO or ENOMEM on one file of one process leaves the others, and is named."""
    read = proc_files.read

    def failing(path: str, proc: int, size: int = 4096) -> bytes:
        if path.startswith(f"{broken.pid}/"):
            raise OSError(code, os.strerror(code))
        return read(path, proc, size)

    with sleeper(SOCKETS.format(5)) as broken, sleeper(SOCKETS.format(9)) as fine:
        seen = rows(table, broken.pid, fine.pid)
        monkeypatch.setattr(proc_files, "read", failing)
        run(known.refresh(seen))
        assert {row.pid: known.sockets(row.pid, row.start) for row in seen} == {broken.pid: None, fine.pid: 9}
        assert known.unseen == 1
        assert os.strerror(code) in next(iter(known.faults))
        fresh = ProcessTable()
        pids = {row.pid for row in fresh.read(0.0).rows}
        fresh.close()
        assert fine.pid in pids
        assert broken.pid not in pids
        assert os.strerror(code) in fresh.missing[-1].reason


@pytest.mark.parametrize(
    ("counts", "most", "size"),
    [
        ([], 16_384, 16_384),
        ([5, 20_000], 16_384, 16_384),
        ([20_000] * 4, 16_384, 16_384),
        ([20_000] * 8, 16_384, 8_192),
        ([20_000] * 8 + [536] * 10, 16_384, 7_522),
        ([20_000] * 8 + [1] * 1_000, 16_384, 8_067),
        ([20_000] * 500, 16_384, 1_024),
        ([20_000] * 500, 100, 131),
        ([800] * 500, 16_384, 1_024),
    ],
)
def test_all_processes_together_have_a_bounded_number_of_links(counts: list[int], most: int, size: int) -> None:
    assert sample_size(counts, most) == min(size, most)


def test_a_listener_of_a_sampled_process_is_known_without_a_search(table: ProcessTable) -> None:
    known = Owners(sample=64)
    made = SOCKETS.format(1) + "import os\nheld += [os.open('/dev/null', 0) for _ in range(500)]\n"
    with sleeper(made) as process, closing(known):
        (seen,) = rows(table, process.pid)
        (inode,) = descriptors(process.pid).inodes
        walk = known.refresh([seen])
        while known.owner_of(inode) is None:
            next(walk)
        assert (known.sockets(seen.pid, seen.start), known.known, known.at) == (None, 0.0, None)
        run(walk)
        assert known.known == 1.0
        owner = known.owner_of(inode)
        assert owner is not None
        assert owner.pid == process.pid
        assert known.holders_of([inode])[inode] == (owner,)
        assert known.owners_of([inode]) == {inode: owner}


@pytest.mark.fault("R17")
@pytest.mark.parametrize("turns", [False, True], ids=["in a row", "in turns"])
def test_a_sample_is_close_and_marked_as_estimated(table: ProcessTable, turns: bool) -> None:
    known = Owners(sample=4096)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 6200:
        pytest.skip(f"needs 6,200 descriptors, the hard limit is {hard}")
    raised = (
        f"import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (6200, {hard}))\nimport socket\nheld = []\n"
    )
    two = "held += [socket.socket(socket.AF_UNIX), os.open('/dev/null', 0)]\n"
    half = "held += [socket.socket(socket.AF_UNIX) for _ in range(3000)]\n"
    half += "held += [os.open('/dev/null', 0) for _ in range(3000)]\n"
    with sleeper(raised + (f"for _ in range(3000):\n  {two}" if turns else half)) as process:
        (seen,) = rows(table, process.pid)
        assert seen.fds == 6003
        run(known.refresh([seen]))
        assert known.sockets(seen.pid, seen.start) == pytest.approx(3000, rel=0.1)
        inodes = list(descriptors(process.pid).inodes)
        (owner,) = known.count(inodes)
        assert owner.estimated
        assert owner.sockets == pytest.approx(3000, rel=0.1)
        # A socket that is not in the sample is found by the search.
        unknown = {inode for inode in inodes if known.owner_of(inode) is None}
        assert unknown
        run(known.search(unknown))
        assert all(known.owner_of(inode) for inode in unknown)
        run(known.refresh([seen]))
        assert all(known.owner_of(inode) for inode in unknown), "a walk forgets what the search has found"
    known.close()


def test_a_new_socket_is_found_without_a_walk(table: ProcessTable, known: Owners) -> None:
    with ExitStack() as stack:
        old = [stack.enter_context(sleeper(SOCKETS.format(2))) for _ in range(3)]
        run(known.refresh(rows(table, *(process.pid for process in old))))
        new = stack.enter_context(sleeper(SOCKETS.format(1)))
        inode, *_ = list(descriptors(new.pid).inodes)
        assert known.owner_of(inode) is None
        run(known.search({inode}, table.read(0.0).rows))
        owner = known.owner_of(inode)
        assert owner is not None
        assert owner.pid == new.pid


def test_sockets_without_an_owner_are_not_searched_for_again_at_once(
    table: ProcessTable, known: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = rows(table, os.getpid())
    run(known.search({1}, seen))
    monkeypatch.setattr(fds, "open_fd_dir", None)
    run(known.search({1}, seen))
    assert known.owner_of(1) is None


@pytest.mark.fault("Q1")
def test_a_process_that_ends_is_forgotten(table: ProcessTable, known: Owners) -> None:
    with sleeper(SOCKETS.format(3)) as process:
        seen = rows(table, process.pid)
        run(known.refresh(seen))
        inodes = list(descriptors(process.pid).inodes)
        assert known.owner_of(inodes[0]) is not None
    run(known.refresh(rows(table, os.getpid())))
    assert known.count(inodes) == []
    assert known.owner_of(inodes[0]) is None
    # It is still in an older table: the walk meets a pid that no longer exists.
    run(known.refresh(seen))
    assert known.sockets(seen[0].pid, seen[0].start) is None


@pytest.mark.fault("Q2")
def test_a_reused_pid_owns_nothing_of_the_old_process(table: ProcessTable, known: Owners) -> None:
    with sleeper(SOCKETS.format(3)) as process:
        (seen,) = rows(table, process.pid)
        run(known.refresh([replace(seen, start=seen.start - 1)]))
        assert known.sockets(seen.pid, seen.start - 1) is None
        assert known.count(list(descriptors(process.pid).inodes)) == []


def test_an_abandoned_walk_leaves_nothing_open(table: ProcessTable, known: Owners) -> None:
    with sleeper(SOCKETS.format(300)) as process:
        seen = rows(table, process.pid)
        before = os.listdir("/proc/self/fd")
        steps = known.refresh(seen)
        next(steps)
        assert len(os.listdir("/proc/self/fd")) == len(before) + 1
        steps.close()
        assert os.listdir("/proc/self/fd") == before


def test_rows_get_their_sockets(table: ProcessTable, known: Owners) -> None:
    with sleeper(SOCKETS.format(4)) as process:
        processes, attribution = table.read(1.0), Attribution(known)
        assert attribution.attribute(processes).owners_at is None
        run(known.refresh(processes.rows))
        waiting = frozenset(list(descriptors(process.pid).inodes)[:2])
        attributed = attribution.attribute(processes, waiting)
        (row,) = (row for row in attributed.rows if row.pid == process.pid)
        assert (row.sockets, row.close_wait) == (4, 2)
        assert attributed.owners_at == known.at
        assert attribution.attribute(processes, waiting).rows[0] is attributed.rows[0]
        (row,) = (row for row in attribution.attribute(processes).rows if row.pid == process.pid)
        assert (row.sockets, row.close_wait) == (4, None)


def test_close_wait_is_not_known_of_a_process_whose_namespace_was_not_read(
    table: ProcessTable, known: Owners
) -> None:
    with sleeper(SOCKETS.format(2)) as read, sleeper(SOCKETS.format(2)) as unread, sleeper("") as without:
        processes, attribution = table.read(1.0), Attribution(known)
        run(known.refresh(processes.rows))
        inode_of = {read.pid: 7, unread.pid: 8, without.pid: 8}
        waiting = frozenset(descriptors(read.pid).inodes)

        def close_wait(*inodes: int) -> list[int | None]:
            found = attribution.attribute(processes, waiting, None, Namespaces(inode_of, frozenset(inodes)))
            by_pid = {row.pid: row.close_wait for row in found.rows}
            return [by_pid[process.pid] for process in (read, unread, without)]

        assert close_wait(7) == [2, None, 0]
        assert close_wait(7, 8) == [2, 0, 0]
        assert close_wait() == [None, None, 0]


def test_the_kinds_of_many_descriptors_are_counted(table: ProcessTable, known: Owners) -> None:
    code = SOCKETS.format(5) + "import os\npipes = [os.pipe() for _ in range(40)]\n"
    with sleeper(code) as many, sleeper(SOCKETS.format(5)) as few:
        processes = table.read(0.0)
        run(known.refresh(processes.rows))
        kinds = {row.pid: row.kinds for row in Attribution(known).attribute(processes).rows}
        kind, count = kinds[many.pid][0]
        # Its own standard streams may be pipes.
        assert (kind, count // 80) == ("pipe", 1)
        assert dict(kinds[many.pid])["socket"] == 5
        assert kinds[few.pid] == ()


def test_amounts_of_sockets_are_added_up_by_process(table: ProcessTable, known: Owners) -> None:
    with sleeper(SOCKETS.format(3)) as one, sleeper(SOCKETS.format(2)) as other:
        run(known.refresh(rows(table, one.pid, other.pid)))
        first, second = descriptors(one.pid).inodes, descriptors(other.pid).inodes
        amounts = dict.fromkeys(list(first)[:2], (10, 1)) | dict.fromkeys(second, (100, 0)) | {1: (5, 5)}
        found = known.add_up(amounts)
        assert [(owner.pid, owner.sockets, sums) for owner, sums in found] == [
            (other.pid, 2, (200, 0)),
            (one.pid, 2, (20, 2)),
        ]
        assert known.add_up({}) == []


def test_rows_get_the_queues_of_their_sockets(table: ProcessTable, known: Owners) -> None:
    with sleeper(SOCKETS.format(2)) as one, sleeper(SOCKETS.format(1)) as other:
        processes = table.read(1.0)
        run(known.refresh(processes.rows))
        queues = dict.fromkeys(descriptors(one.pid).inodes, (1000, 20))
        attributed = Attribution(known).attribute(processes, None, queues)
        found = {row.pid: (row.recv_queue, row.send_queue) for row in attributed.rows}
        assert (found[one.pid], found[other.pid]) == ((2000, 40), (None, None))


@pytest.mark.fault("Q13", "X1")
def test_unreadable_processes_are_counted_and_their_sockets_unknown(root_only: None) -> None:
    code = """
known, table = Owners(), ProcessTable()
processes = table.read(0.0)
run(known.refresh(processes.rows))
attributed = Attribution(known).attribute(processes, frozenset())
sockets = {row.pid: (row.sockets, row.close_wait) for row in attributed.rows}
print(json.dumps([attributed.unseen, attributed.owners_known, sockets]))
"""
    with sleeper(SOCKETS.format(4)) as process:
        unseen, part, attributed = json.loads(as_nobody(code))
        assert unseen > 0
        assert 0 < part < 1
        assert attributed[str(process.pid)] == [None, None]
