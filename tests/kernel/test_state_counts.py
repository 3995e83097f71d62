"""TCP sockets by process and state, in a network namespace where every socket is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sockmon.agent.process_states import StateMatrix, answer_states
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.namespaces.of_process import netns_of_process
from sockmon.kernel.netlink import run
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.kernel.processes.state_counts import OwnerIndex, StateCounts
from sockmon.model.process_states import ProcessStates, ProcessStatesDetail, ProcessStatesQuery
from sockmon.model.snapshot import Process
from tests.agent.test_process_pages import server_elsewhere

ITS_OWN = {"ESTABLISHED": 4, "CLOSE_WAIT": 1, "LISTEN": 1}


@contextmanager
def server() -> Iterator[tuple[Process, NetnsHandle, Owners]]:
    """Start the server: a process, its network namespace, and its descriptors."""
    table, owners = ProcessTable(), Owners()
    try:
        with server_elsewhere() as process:
            row = table.read_one(process.pid)
            assert row is not None
            run(owners.refresh((row,)))
            with netns_of_process(row.pid, row.start, table.proc) as netns, netns.open() as handle:
                yield row, handle, owners
    finally:
        owners.close()
        table.close()


def count(handle: NetnsHandle, owners: Owners, limit: int = 1000) -> tuple[list[ProcessStates], StateCounts]:
    index = OwnerIndex()
    run(index.fill(owners.held, limit))
    counts = StateCounts(index)
    run(counts.dump(handle.query_socket))
    return counts.rows(), counts


def test_every_socket_is_counted_once() -> None:
    with server() as (row, handle, owners):
        rows, counts = count(handle, owners)
        assert rows == [ProcessStates(row.pid, row.start, row.name, ITS_OWN)]
        assert counts.kernel == {"FIN_WAIT2": 1}
        assert counts.unknown(rows) == {}
        assert counts.total == {**ITS_OWN, "FIN_WAIT2": 1}


def test_sockets_of_processes_that_were_not_read_are_unknown_and_not_of_the_kernel() -> None:
    with server() as (_, handle, _owners):
        empty = Owners()
        rows, counts = count(handle, empty)
        empty.close()
        assert (rows, counts.kernel, counts.unknown(rows)) == ([], {"FIN_WAIT2": 1}, ITS_OWN)


def test_what_does_not_fit_into_the_index_is_estimated() -> None:
    with server() as (_, handle, owners):
        rows, counts = count(handle, owners, limit=6)
        assert [row.estimated for row in rows] == [True]
        assert sum(rows[0].states.values()) > 0
        assert all(number > 0 for number in counts.unknown(rows).values())


def test_the_matrix_is_not_dumped_again_at_once() -> None:
    with server() as (row, handle, owners):
        matrix = StateMatrix(owners)
        first = run(answer_states(matrix, ProcessStatesQuery(), [handle]))
        assert (first.rows[0].pid, first.rows[0].states, first.netns) == (row.pid, ITS_OWN, 1)
        assert run(answer_states(matrix, ProcessStatesQuery(), [handle])) is first
        other = run(answer_states(matrix, ProcessStatesQuery(handle.inode), [handle]))
        assert (other.rows, other.at > first.at) == (first.rows, True)


@pytest.mark.parametrize("query", [ProcessStatesQuery(1), ProcessStatesQuery()])
def test_what_cannot_be_counted_has_a_reason(query: ProcessStatesQuery) -> None:
    owners = Owners()
    with server() as (_, handle, _known):
        found: ProcessStatesDetail = run(answer_states(StateMatrix(owners), query, [handle]))
        assert (found.rows, found.total) == ((), {})
        assert len(found.missing) == 1
    owners.close()
