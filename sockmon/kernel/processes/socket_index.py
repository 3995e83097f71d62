"""Sockets of chosen processes by inode: eight bytes a socket, whatever their number."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from collections.abc import Iterable

from sockmon.errors import ReadError
from sockmon.fault_log import FAULTS
from sockmon.kernel.errnos import FORBIDDEN, NO_FREE_FILE
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes import descriptors as fds
from sockmon.kernel.processes.process_sockets import is_same_process
from sockmon.model.snapshot import Process

MAX_SOCKETS = 2_000_000
"""Sockets that are noted at most."""
_NUMBER_BITS = 23
_NUMBER_MASK = (1 << _NUMBER_BITS) - 1


class SocketIndex:
    """inode → the process that holds the socket; of several the lowest pid that is not 1."""

    def __init__(self) -> None:
        self.processes: list[Process] = []
        self.unreadable = 0
        """Processes whose descriptors may not be read."""
        self.complete = True
        """False if there are more than MAX_SOCKETS."""
        self._found = array("Q")

    def owner(self, inode: int) -> Process | None:
        """Return the process that holds a socket; None if none of those that were read does."""
        wanted = inode << _NUMBER_BITS
        at = bisect_left(self._found, wanted)
        if at == len(self._found) or self._found[at] >> _NUMBER_BITS != inode:
            return None
        return self.processes[self._found[at] & _NUMBER_MASK]

    def __bool__(self) -> bool:
        return bool(self._found)

    def __contains__(self, inode: int) -> bool:
        at = bisect_left(self._found, inode << _NUMBER_BITS)
        return at < len(self._found) and self._found[at] >> _NUMBER_BITS == inode

    def read(self, processes: Iterable[Process], proc: int) -> Incremental[None]:
        """Read the descriptors of `processes`; `proc` is a descriptor of /proc. Raise ReadError if no file can be
        opened."""
        for process in sorted(processes, key=lambda each: (each.pid == 1, each.pid)):
            if process.fds == 0:
                continue
            inodes = array("Q")
            yield from self._read_process(process, proc, inodes)
            number = len(self.processes)
            self.processes.append(process)
            self._found.extend([inode << _NUMBER_BITS | number for inode in inodes])
            if len(self._found) > MAX_SOCKETS:
                self.complete = False
                break
            yield
        # Numbers of new descriptors and of new inodes both grow, so this is a merge of a few sorted runs.
        self._found = array("Q", sorted(self._found))

    def _read_process(self, process: Process, proc: int, inodes: array[int]) -> Incremental[None]:
        try:
            with fds.open_fd_dir(process.pid, proc) as folder:
                if is_same_process(process.pid, process.start, proc):
                    yield from fds.read_socket_links(folder, os.listdir(folder), inodes)
        except OSError as error:
            if error.errno in NO_FREE_FILE:
                raise ReadError("owners", fds.unreadable_reason(error, process.pid)) from error
            self.unreadable += error.errno in FORBIDDEN
        except Exception as error:
            FAULTS.note("owners", error)
