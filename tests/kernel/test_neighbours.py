"""Neighbour tables: the content of the files, and that another namespace does not show them."""

from __future__ import annotations

import shutil
import socket
import subprocess
from contextlib import closing

import pytest

from sockmon.errors import NotPresent, ReadError
from sockmon.kernel import neighbours
from sockmon.kernel.netlink import run
from sockmon.kernel.netns import open_current
from sockmon.model.snapshot import Neighbours
from tests.netns import inside

TEXT = b"""entries  allocs   destroys unresolved_discards table_fulls
00000400 0000027a 00000273 00000000            000001d0
00000400 00000264 00000269 00000000            0000000c
"""


def test_entries_are_the_tables_and_overflows_each_processors() -> None:
    assert neighbours.parse("arp_cache", TEXT) == Neighbours("arp_cache", 1024, 476)


@pytest.mark.fault("Q8")
@pytest.mark.parametrize("text", [b"", b"entries\n", b"entries table_fulls\n00000001\n", b"entries\nnone\n"])
def test_malformed_text_is_an_error(text: bytes) -> None:
    with pytest.raises(ReadError):
        neighbours.parse("arp_cache", text)


def test_the_real_tables_of_the_initial_namespace() -> None:
    with closing(open_current()) as handle:
        if handle.name != "host":
            pytest.skip("the tests do not run in the initial network namespace")
        tables = neighbours.read(handle)
    assert tables[0].table == "arp_cache"
    assert all(table.entries >= 0 and table.overflows >= 0 for table in tables)


def _permanent(count: int) -> int:
    with closing(open_current()) as handle:
        before = run(neighbours.count_permanent_of(handle, socket.AF_INET))
        lines = ["link add one type veth peer name other", "link set one up"]
        lines += [
            f"neigh add 10.9.{n // 250}.{n % 250 + 1} lladdr 02:00:00:00:00:01 dev one nud permanent"
            for n in range(count)
        ]
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)
        return run(neighbours.count_permanent_of(handle, socket.AF_INET)) - before


def test_permanent_entries_are_counted(needs_userns: None) -> None:
    if not shutil.which("ip"):
        pytest.skip("needs ip")
    assert inside(_permanent, 300) == 300


def _absent() -> str:
    with closing(open_current()) as handle:
        try:
            neighbours.read(handle)
        except NotPresent as error:
            return error.message
    return "was there"


def test_a_namespace_of_its_own_does_not_show_them() -> None:
    assert "initial network namespace" in inside(_absent)
