"""What an action must not hit: the processes of sockmon, and what carries the terminal that it is shown on."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress

from sockmon.errors import ReadError
from sockmon.kernel.netlink import run
from sockmon.kernel.processes import proc_files
from sockmon.kernel.processes.descriptors import read_descriptors
from sockmon.kernel.sockets.sock_diag import DPORT, DST, FAMILY, SPORT, SRC, unmapped

NAME = "sockmon"
_MAX_DEPTH = 64


class OwnSession:
    """The ancestors of this process, up to the login, and the sockets that they hold."""

    def __init__(self, proc: int, ssh_connection: str = "") -> None:
        """`proc` is a descriptor of /proc; `ssh_connection` the variable SSH_CONNECTION of the screen."""
        self._proc = proc
        self._connection = _parse(ssh_connection)
        self.pids = _ancestors(proc)
        """The parent of this process first, up to but without pid 1."""
        self._inodes: set[int] = set()
        for pid in self.pids:
            # Those of other users may not be read; then their sockets may not be closed either.
            with suppress(ReadError):
                self._inodes.update(run(read_descriptors(pid, proc)).inodes)

    def carried_by(self, row: bytes, inode: int) -> bool:
        """Return whether a connection, a message of a dump, carries the terminal: an ancestor holds it, or sshd
        has named it."""
        return (inode > 0 and inode in self._inodes) or (
            self._connection is not None and _ends(row) == self._connection
        )

    def is_ours(self, pid: int, name: str) -> bool:
        """Return whether it is a process of sockmon: this one, or one with its name that runs the same program."""
        if pid == os.getpid():
            return True
        if not name.startswith(NAME):
            return False
        try:
            return os.readlink(f"{pid}/exe", dir_fd=self._proc) == os.readlink("/proc/self/exe")
        except OSError:
            # The guard allows nobody to look, so the name decides.
            return True


def _ancestors(proc: int) -> list[int]:
    found: list[int] = []
    pid = os.getppid()
    while pid > 1 and len(found) < _MAX_DEPTH and pid not in found:
        found.append(pid)
        try:
            text = proc_files.read(f"{pid}/stat", proc)
        except OSError:
            break
        pid = int(text.rpartition(b") ")[2].split()[1])
    return found


def _parse(ssh_connection: str) -> tuple[bytes, int, bytes, int] | None:
    """Return local and remote end of the connection in SSH_CONNECTION, `CLIENT PORT SERVER PORT` (ssh(1))."""
    words = ssh_connection.split()
    if len(words) != 4:
        return None
    with suppress(OSError, ValueError):
        remote, local = _packed(words[0]), _packed(words[2])
        return local, int(words[3]), remote, int(words[1])
    return None


def _packed(address: str) -> bytes:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return unmapped(socket.inet_pton(family, address.partition("%")[0]))


def _ends(row: bytes) -> tuple[bytes, int, bytes, int]:
    size = 4 if row[FAMILY] == socket.AF_INET else 16
    local, remote = unmapped(row[SRC : SRC + size]), unmapped(row[DST : DST + size])
    assert DPORT == SPORT + 2
    sport, dport = struct.unpack_from("!HH", row, SPORT)
    return local, sport, remote, dport
