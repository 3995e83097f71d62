"""Who owns which socket, of real processes."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from msgspec.structs import replace

from sockmon.kernel import fds, owners
from sockmon.kernel.netlink import run
from sockmon.kernel.owners import Owners
from sockmon.kernel.processes import ProcessTable
from sockmon.model.snapshot import Process
from tests.kernel.sleepers import as_nobody, descriptors, sleeper

SOCKETS = "import socket\nheld = [socket.socket(socket.AF_UNIX) for _ in range({})]\n"


@pytest.fixture
def table() -> Iterator[ProcessTable]:
    held = ProcessTable()
    yield held
    held.close()


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
        run(known.walk(seen))
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
        run(known.walk(seen))
        monkeypatch.setattr(fds, "opened", None)
        run(known.walk(seen))
        assert known.sockets(seen[0].pid, seen[0].start) == 5
        monkeypatch.setattr(owners, "STALE", 0.0)
        with pytest.raises(TypeError):
            run(known.walk(seen))


def test_shared_sockets_count_once_for_the_lowest_pid(table: ProcessTable, known: Owners) -> None:
    setup = SOCKETS.format(7) + "pid = os.fork()\nif pid == 0: os.read(0, 1); os._exit(0)\n"
    with sleeper(setup) as process:
        children = [row.pid for row in table.read(0.0).rows if _parent(row.pid) == process.pid]
        assert len(children) == 1
        seen = rows(table, process.pid, *children)
        run(known.walk(seen))
        inodes = list(descriptors(process.pid).inodes)
        assert [(owner.pid, owner.sockets) for owner in known.count(inodes)] == [(process.pid, 7)]
        assert all(owner and owner.pid == process.pid for owner in map(known.owner_of, inodes))


def _parent(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b") ")[2].split()[1])
    except OSError:
        return None


@pytest.mark.parametrize("turns", [False, True], ids=["in a row", "in turns"])
def test_a_sample_is_close_and_says_so(table: ProcessTable, turns: bool) -> None:
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
        run(known.walk([seen]))
        assert known.sockets(seen.pid, seen.start) == pytest.approx(3000, rel=0.1)
        inodes = list(descriptors(process.pid).inodes)
        (owner,) = known.count(inodes)
        assert owner.estimated
        assert owner.sockets == pytest.approx(3000, rel=0.1)
        # A socket that is not in the sample is found by the search.
        unknown = {inode for inode in inodes if known.owner_of(inode) is None}
        assert unknown
        run(known.find(unknown))
        assert all(known.owner_of(inode) for inode in unknown)
        run(known.walk([seen]))
        assert all(known.owner_of(inode) for inode in unknown), "what was found is lost by a walk"
    known.close()


def test_a_new_socket_is_found_without_a_walk(table: ProcessTable, known: Owners) -> None:
    with ExitStack() as stack:
        old = [stack.enter_context(sleeper(SOCKETS.format(2))) for _ in range(3)]
        run(known.walk(rows(table, *(process.pid for process in old))))
        new = stack.enter_context(sleeper(SOCKETS.format(1)))
        inode, *_ = list(descriptors(new.pid).inodes)
        assert known.owner_of(inode) is None
        run(known.find({inode}, table.read(0.0).rows))
        owner = known.owner_of(inode)
        assert owner is not None
        assert owner.pid == new.pid


def test_what_nobody_owns_is_not_searched_for_at_once_again(
    table: ProcessTable, known: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = rows(table, os.getpid())
    run(known.find({1}, seen))
    monkeypatch.setattr(fds, "opened", None)
    run(known.find({1}, seen))
    assert known.owner_of(1) is None


def test_a_process_that_ends_is_forgotten(table: ProcessTable, known: Owners) -> None:
    with sleeper(SOCKETS.format(3)) as process:
        seen = rows(table, process.pid)
        run(known.walk(seen))
        inodes = list(descriptors(process.pid).inodes)
        assert known.owner_of(inodes[0]) is not None
    run(known.walk(rows(table, os.getpid())))
    assert known.count(inodes) == []
    assert known.owner_of(inodes[0]) is None
    # It is still in an older table: the walk meets a pid that is not there any more.
    run(known.walk(seen))
    assert known.sockets(seen[0].pid, seen[0].start) is None


def test_a_pid_that_is_used_again_owns_nothing_of_the_old(table: ProcessTable, known: Owners) -> None:
    with sleeper(SOCKETS.format(3)) as process:
        (seen,) = rows(table, process.pid)
        run(known.walk([replace(seen, start=seen.start - 1)]))
        assert known.sockets(seen.pid, seen.start - 1) is None
        assert known.count(list(descriptors(process.pid).inodes)) == []


def test_a_walk_that_is_given_up_leaves_nothing_open(table: ProcessTable, known: Owners) -> None:
    with sleeper(SOCKETS.format(300)) as process:
        seen = rows(table, process.pid)
        before = os.listdir("/proc/self/fd")
        steps = known.walk(seen)
        next(steps)
        assert len(os.listdir("/proc/self/fd")) == len(before) + 1
        steps.close()
        assert os.listdir("/proc/self/fd") == before


def test_rows_are_told_their_sockets(table: ProcessTable, known: Owners) -> None:
    with sleeper(SOCKETS.format(4)) as process:
        processes = table.read(1.0)
        assert known.attribute(processes).owners_at is None
        run(known.walk(processes.rows))
        waiting = frozenset(list(descriptors(process.pid).inodes)[:2])
        told = known.attribute(processes, waiting)
        (row,) = (row for row in told.rows if row.pid == process.pid)
        assert (row.sockets, row.close_wait) == (4, 2)
        assert told.owners_at == known.at
        assert known.attribute(processes, waiting).rows[0] is told.rows[0]
        (row,) = (row for row in known.attribute(processes).rows if row.pid == process.pid)
        assert (row.sockets, row.close_wait) == (4, None)


def test_what_may_not_be_read_is_unseen_and_unknown(root_only: None) -> None:
    code = """
known, table = Owners(), ProcessTable()
processes = table.read(0.0)
run(known.walk(processes.rows))
told = known.attribute(processes, frozenset())
print(json.dumps([told.unseen, {row.pid: (row.sockets, row.close_wait) for row in told.rows}]))
"""
    with sleeper(SOCKETS.format(4)) as process:
        unseen, told = json.loads(as_nobody(code))
        assert unseen > 0
        assert told[str(process.pid)] == [None, None]
