"""With some capabilities and not others: what the kernel lets us read is shown, what it refuses is named.

What may be read is not looked up in a table: the kernel is asked by the same process, in the simplest way."""

from __future__ import annotations

import ctypes
import os
import pickle
import struct
from collections.abc import Callable
from contextlib import suppress

import pytest

from sockmon.agent.sampler import open_sampler
from sockmon.kernel.netlink import NETFILTER, open_netlink
from sockmon.model.snapshot import Snapshot
from tests.kernel.sleepers import NOBODY, sleeper
from tests.netns import inside_as_root

DAC_READ_SEARCH, NET_ADMIN, SYS_PTRACE = 2, 12, 19
OTHER = 1234
_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS = 4, 8
_VERSION_3 = 0x20080522
_DUMP_TABLE = struct.pack("=IHHI4xB3x", 20, 0x101, 0x301, 1, 0)
"""IPCTNL_MSG_CT_GET with NLM_F_REQUEST and NLM_F_DUMP, of every family."""
SOCKETS = f"""
import ctypes, mmap, socket
held = [socket.socket(socket.AF_UNIX) for _ in range(3)]
# Among those with the most maps, which alone are listed.
held += [mmap.mmap(-1, 4096) for _ in range(3000)]
os.setresuid({OTHER}, {OTHER}, {OTHER})
ctypes.CDLL(None).prctl({_PR_SET_DUMPABLE}, 1, 0, 0, 0)
"""

Seen = tuple[bool, bool, bool]
"""The sockets of another user's process, its memory maps, the table of tracked connections."""


def become(uid: int, capabilities: tuple[int, ...]) -> None:
    """Give up all but these, as `setpriv` and the capabilities of a unit do."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    mask = sum(1 << each for each in capabilities)
    header, sets = struct.pack("=Ii", _VERSION_3, 0), struct.pack("=6I", mask, mask, 0, 0, 0, 0)
    assert libc.capset(header, sets) == 0, os.strerror(ctypes.get_errno())
    # As after an exec: or our own files below /proc would be root's.
    libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


def allowed(pid: int) -> Seen:
    """What the kernel lets this process read."""

    def links() -> None:
        for number in os.listdir(f"/proc/{pid}/fd"):
            os.readlink(f"/proc/{pid}/fd/{number}")

    def maps() -> None:
        with open(f"/proc/{pid}/maps") as file:
            file.read(1)

    def table() -> None:
        # To ask where it is not loaded would load it.
        os.stat("/proc/sys/net/netfilter/nf_conntrack_count")
        with open_netlink(NETFILTER) as asked:
            asked.send(_DUMP_TABLE)
            answer = asked.recv(65536)
        if struct.unpack_from("=H", answer, 4)[0] == 2:
            raise OSError(-struct.unpack_from("=i", answer, 16)[0], "refused")

    return _works(links), _works(maps), _works(table)


def _works(read: Callable[[], None]) -> bool:
    with suppress(OSError):
        read()
        return True
    return False


def judged(uid: int, capabilities: tuple[int, ...]) -> tuple[Seen, Seen, list[str]]:
    """What the kernel allows, what a sample has, and what it says is missing."""
    read_end, write_end = os.pipe()
    # What is imported late must be there before the interpreter cannot be read any more.
    with open_sampler(None, 1.0) as warm:
        warm.sample(complete=True)
    with sleeper(SOCKETS) as process:
        child = os.fork()
        if child == 0:
            become(uid, capabilities)
            os.write(write_end, pickle.dumps(_compare(process.pid)))
            os._exit(0)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as answer:
            found: tuple[Seen, Seen, list[str]] = pickle.load(answer)
        os.waitpid(child, 0)
    return found


def _compare(pid: int) -> tuple[Seen, Seen, list[str]]:
    with open_sampler(None, 1.0) as sampler:
        sampler.sample(complete=True)
        found = sampler.sample(complete=True)
    return allowed(pid), _seen(found, pid), [each.reader for each in found.missing]


def _seen(found: Snapshot, pid: int) -> Seen:
    assert found.processes is not None
    (row,) = (row for row in found.processes.rows if row.pid == pid)
    # These need no capability at all.
    assert row.fds == 6
    assert row.soft
    tracked = found.netns[0].conntrack
    maps = found.maps is not None and any(each.pid == pid for each in found.maps.rows)
    return row.sockets == 3, maps, tracked is not None and tracked.table_at is not None


CALLERS: dict[str, tuple[int, tuple[int, ...]]] = {
    "an ordinary user": (NOBODY, ()),
    "SYS_PTRACE": (NOBODY, (SYS_PTRACE,)),
    "DAC_READ_SEARCH": (NOBODY, (DAC_READ_SEARCH,)),
    "both": (NOBODY, (SYS_PTRACE, DAC_READ_SEARCH)),
    "NET_ADMIN": (NOBODY, (NET_ADMIN,)),
    "root with none": (0, ()),
    "root with three": (0, (SYS_PTRACE, DAC_READ_SEARCH, NET_ADMIN)),
}


@pytest.mark.fault("X1", "X2", "X3")
@pytest.mark.usefixtures("root_only")
@pytest.mark.parametrize("caller", CALLERS)
def test_what_the_kernel_allows_is_there_and_what_it_refuses_is_named(caller: str) -> None:
    may, seen, missing = inside_as_root(judged, *CALLERS[caller])
    assert seen == may
    for permitted, reader in zip(may, ("owners", "maps", "conntrack table"), strict=True):
        assert permitted or reader in missing
