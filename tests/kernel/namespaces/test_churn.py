"""Network namespaces that come and go while they are found, named and looked up: no error, nothing left open."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing

import pytest

from sockmon.errors import NoSuchNamespace
from sockmon.kernel.identity import netns_inode, proc_net_inode
from sockmon.kernel.namespaces.lookup import open_named
from sockmon.kernel.namespaces.names import NamespaceNames
from sockmon.kernel.namespaces.state_files import StateFiles
from sockmon.kernel.netlink import run
from sockmon.kernel.processes.process_table import ProcessTable
from tests.kernel.namespaces.mounted import EMPTY_RUN, PRIVATE
from tests.kernel.namespaces.other_namespaces import find_other_netns
from tests.netns import TOOL_PATH, child_environment

ROUNDS = 40
CHURN = f"""{EMPTY_RUN}
while kill -0 "$1" 2>/dev/null; do
    for name in a b c; do
        ip netns add sm-$name
        unshare --net sh -c 'echo ready; :'
        ip netns del sm-$name
    done
done
"""


@pytest.mark.usefixtures("needs_userns")
def test_namespaces_that_come_and_go() -> None:
    with subprocess.Popen(
        [*PRIVATE, CHURN, "sh", str(os.getpid())],
        stdout=subprocess.PIPE, env={**child_environment(), "PATH": TOOL_PATH},
    ) as churn:  # fmt: skip
        assert churn.stdout is not None
        assert churn.stdout.readline() == b"ready\n"
        try:
            with closing(ProcessTable()) as table, closing(NamespaceNames(table.proc, StateFiles())) as names:
                own = {(netns_inode(), proc_net_inode("self", table.proc))}
                before = os.listdir("/proc/self/fd")
                for _ in range(ROUNDS):
                    rows = table.read(0.0).rows
                    found = run(find_other_netns(rows, own, names, table.proc, 0.0))
                    assert found.total >= len(found.busiest)
                    # It is in a mount namespace of its own, so there is no such name here.
                    _look_up("sm-a")
                assert os.listdir("/proc/self/fd") == before
        finally:
            churn.kill()


def _look_up(word: str) -> None:
    try:
        found = open_named(word)
    except NoSuchNamespace:
        return
    assert found is None
