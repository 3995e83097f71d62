"""The network namespace of one process, opened for one question: sock_diag in it, else the text of /proc/PID/net.

It is opened by the process and not by a name, so every process can be asked about, in whichever namespace it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from sockmon.errors import ReadError
from sockmon.kernel.errnos import FORBIDDEN, NO_SUCH_PROCESS
from sockmon.kernel.identity import netns_inode, proc_net_inode
from sockmon.kernel.namespace_files import open_files
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.processes import proc_files
from sockmon.kernel.setns import EntryRefused, OpenedFiles, open_in_netns
from sockmon.kernel.sockets import proc_net

READER = "sockets"
_SOCKET = "query"


class ProcessNetns:
    """The network namespace of a process, by the open directory of that process: the pid cannot be reused."""

    def __init__(self, process: int, pid: int) -> None:
        self._process = process
        self._pid = pid
        self.inode = 0
        """Inode of /proc/PID/ns/net; 0: this user may not read it."""
        self.proc_inode = 0
        """Inode of /proc/PID/net/sockstat, which everyone may read; 0: the process has no namespace any more."""
        with suppress(OSError):
            self.inode = netns_inode("ns/net", process)
        with suppress(OSError):
            self.proc_inode = proc_net_inode(".", process)

    def is_of(self, handle: NetnsHandle) -> bool:
        """Return whether `handle` is of this namespace."""
        if self.inode:
            return self.inode == handle.inode
        return bool(self.proc_inode) and self.proc_inode == handle.proc_inode

    @contextmanager
    def open(self) -> Iterator[NetnsHandle]:
        """Open the namespace for sock_diag, and close it at the end; raise ReadError.

        Where setns(2) is refused the handle reads the text files of the process, which need no privilege."""
        opened = self._enter()
        if isinstance(opened, EntryRefused):
            opened = self._text_files(opened.code)
        with closing(NetnsHandle(f"net:[{opened.inode}]", opened)) as handle:
            yield handle

    def _enter(self) -> OpenedFiles | EntryRefused:
        try:
            namespace = os.open("ns/net", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._process)
        except OSError as error:
            if error.errno in FORBIDDEN:
                return EntryRefused(error.errno)
            raise ReadError(READER, _reason(error, self._pid)) from error
        try:
            return open_in_netns(namespace, lambda: open_files((), sockets=(_SOCKET,)))
        finally:
            os.close(namespace)

    def _text_files(self, code: int) -> OpenedFiles:
        opened = OpenedFiles(inode=self.inode, proc_inode=self.proc_inode, errors={_SOCKET: code})
        for path in proc_net.FILES:
            with suppress(OSError):
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._process)
                opened.files[f"{_SOCKET} {path}"] = descriptor
        if not opened.files:
            reason = proc_files.permission_reason("enter its network namespace")
            raise ReadError(READER, reason if code in FORBIDDEN else os.strerror(code))
        return opened


@contextmanager
def netns_of_process(pid: int, start: int, proc: int) -> Iterator[ProcessNetns]:
    """Find the network namespace of the process of `pid` that began at `start`; raise ReadError if it has
    ended."""
    try:
        process = os.open(str(pid), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)
    except OSError as error:
        raise ReadError(READER, _reason(error, pid)) from error
    try:
        if proc_files.parse_stat(proc_files.read("stat", process)).start != start:
            raise ReadError(READER, "the process has ended")
        yield ProcessNetns(process, pid)
    except OSError as error:
        raise ReadError(READER, _reason(error, pid)) from error
    finally:
        os.close(process)


def _reason(error: OSError, pid: int) -> str:
    if error.errno in NO_SUCH_PROCESS:
        return proc_files.ended_reason(pid)
    return f"cannot read /proc/PID/ns/net: {error.strerror}"
