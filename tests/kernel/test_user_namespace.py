"""User namespaces of real processes: which one, who created it, and what the kernel charges."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import pytest

from sockmon.kernel.processes import proc_files
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.kernel.processes.user_namespace import NamespaceReader
from sockmon.model.snapshot import Process, UserNamespace
from sockmon.model.user_namespace import UNREADABLE, charged
from tests.kernel.sleepers import NESTED, as_nobody, sleeper


@dataclass
class Seen:
    """One row of a table, and the namespaces that the table knows."""

    row: Process
    namespaces: dict[int, UserNamespace] = field(default_factory=dict)


def seen(table: ProcessTable, pid: int) -> Seen:
    found = table.read(0.0)
    (row,) = (row for row in found.rows if row.pid == pid)
    return Seen(row, {namespace.inode: namespace for namespace in found.user_namespaces})


def test_our_own_namespace_is_number_0_and_is_not_listed(table: ProcessTable) -> None:
    found = seen(table, os.getpid())
    assert found.row.user_namespace == 0
    assert os.stat("/proc/self/ns/user").st_ino not in found.namespaces


@pytest.mark.usefixtures("needs_userns")
def test_who_created_a_namespace_is_charged(table: ProcessTable) -> None:
    with sleeper(NESTED + "become_root_inside()\nbecome_root_inside()") as process:
        inode = os.stat(f"/proc/{process.pid}/ns/user").st_ino
        found = seen(table, process.pid)
        assert found.row.user_namespace == inode
        above = found.namespaces[inode].parent
        assert above
        assert found.namespaces[above].parent == 0
        counts = list(charged(found.namespaces, inode, os.geteuid()))
        assert counts == [(namespace, os.geteuid()) for namespace in (inode, above, 0)]
    assert table.read(0.0).user_namespaces == () or inode not in seen(table, os.getpid()).namespaces


def test_an_ordinary_user_knows_the_own_namespace_by_its_map(root_only: None) -> None:
    """Of other users' processes only the map may be read, which several namespaces may share."""
    code = """
table = ProcessTable()
print(json.dumps({row.pid: row.user_namespace for row in table.read(0.0).rows}))
"""
    with sleeper() as plain, sleeper(NESTED + "become_root_inside()") as nested:
        found = as_nobody(code)
        assert f'"{plain.pid}": 0' in found
        assert f'"{nested.pid}": {UNREADABLE}' in found


def test_a_process_that_has_ended_has_no_namespace_to_tell_apart() -> None:
    proc = proc_files.open_proc()
    try:
        assert NamespaceReader(proc).number(1 << 30) == 0
    finally:
        os.close(proc)


def test_a_forged_circle_ends() -> None:
    circle = {1: UserNamespace(1, 2, 7), 2: UserNamespace(2, 1, 7)}
    assert len(list(charged(circle, 1, 7))) == 33
