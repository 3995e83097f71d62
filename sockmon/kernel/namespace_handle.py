"""A network namespace that is held open: its /proc files and its netlink sockets.

/proc/net and /proc/sys/net show the namespace of the task that *opens* a file, and a netlink socket stays in the
namespace in which it was made. So an open NetnsHandle can be read from any namespace, without a fork and without a
free descriptor; it also keeps the namespace alive.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress

from sockmon.errors import ReadError
from sockmon.kernel.errnos import NO_FREE_FILE
from sockmon.kernel.identity import netns_cookie
from sockmon.kernel.namespace_files import SOCK_DIAG_SOCKETS, SOCKETS, open_any, open_proc_net, read_error
from sockmon.kernel.open_file import read_open_file
from sockmon.kernel.probes import Probes
from sockmon.kernel.setns import OpenedFiles
from sockmon.kernel.sockets import proc_net
from sockmon.kernel.sockets.sock_diag import Diag, TextDiag
from sockmon.model.other_netns import NetnsName

RETRY_SECONDS = 10.0
"""Seconds after a failed attempt until a file is opened again: its module may have been loaded since."""
_QUERY_SOCKETS = ("query", "conntrack query")


class NetnsHandle:
    """One network namespace, held open: its /proc files, its sysctls and its netlink sockets."""

    def __init__(
        self,
        name: str,
        opened: OpenedFiles,
        proc: str | None = None,
        keeps_open: bool = True,
        inside: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        """Take over what was `opened`. `proc` is where an absent file is opened again, `inside` the namespace;
        None: it cannot be. `keeps_open`: False opens each file for one read, and one socket for dumps that never
        overlap."""
        self.name = name
        self.called: NetnsName | None = None
        """What people call it; None if it was opened by a pid or a path."""
        self.entry = ""
        """What `ip netns exec` or `nsenter` takes for it: a name, a pid or a path; empty for our own."""
        self.inode = opened.inode
        self.proc_inode = opened.proc_inode
        self._sockets = {key: _socket(opened.files.pop(key)) for key in SOCKETS if key in opened.files}
        self._files = opened.files
        self._proc_net = {
            key: text
            for key in SOCK_DIAG_SOCKETS
            if (text := proc_net.open_fallback(opened.files, key)) is not None
        }
        self._errors = opened.errors
        self._retry_at: dict[str, float] = {}
        self._proc = proc
        self._inside = inside or nullcontext
        self._may_enter = inside is not None or proc is not None
        self._ours = inside is None
        self.keeps_open = keeps_open
        self.keeps_files = keeps_open
        """Whether a file stays open after it was read; may be changed."""
        self.queried_at = float("-inf")
        """When a query used it last, seconds of time.monotonic()."""
        self.probes = Probes(opened.files, proc is not None, self._inside)

    def inside(self) -> AbstractContextManager[None]:
        """Return the context in which this thread is in the namespace, to open what the handle has not; raise
        ReadError if it was opened by a child. No thread may be started there."""
        if not self._may_enter:
            raise ReadError("network namespace", "this process cannot enter it")
        return self._inside()

    @property
    def ours(self) -> bool:
        """Whether it is the namespace of this process, and not closed."""
        return self._ours and self._proc is not None

    @property
    def cookie(self) -> int:
        """What no other namespace of this boot has, as `netns_cookie`; 0 if it is unknown."""
        return next((netns_cookie(each) for each in self._sockets.values()), 0)

    @property
    def netlink_fallback(self) -> str | None:
        """What is read instead of sock_diag, and why; None while netlink answers."""
        if "scan" in self._sockets or "scan" not in self._proc_net:
            return None
        return f"netlink is refused ({os.strerror(self._errors.get('scan', errno.EPERM))}): {proc_net.LABEL}"

    def fall_back_to_text(self, code: int) -> None:
        """Read text from now on: sockets can be made, but the kernel refuses to answer them with `code`."""
        for name in SOCK_DIAG_SOCKETS:
            if name in self._sockets:
                self._sockets.pop(name).close()
            self._errors[name], self._retry_at[name] = code, float("inf")
            if self._proc is not None:
                with self._inside():
                    self._files |= open_proc_net(name, self._proc)
            if (text := proc_net.open_fallback(self._files, name)) is not None:
                self._proc_net[name] = text

    @property
    def tick_socket(self) -> Diag:
        """sock_diag for the short dumps of every tick."""
        return self._diag("tick")

    @property
    def scan_socket(self) -> Diag:
        """sock_diag for the long dumps that are spread over ticks."""
        return self._diag("scan")

    @property
    def query_socket(self) -> Diag:
        """sock_diag for what the operator asks about."""
        return self._diag("query")

    def raw_text(self) -> TextDiag | None:
        """Return the text of /proc/net/raw, for a kernel without raw_diag; None if it cannot be opened; raise
        ReadError if the namespace has ended."""
        if self._proc is not None and "raw" not in self._proc_net:
            with suppress(OSError), self._inside():
                for path in proc_net.RAW:
                    with suppress(OSError):
                        self._files[f"raw {path}"] = open_any(path, self._proc)
            found = {path: self._files[f"raw {path}"] for path in proc_net.RAW if f"raw {path}" in self._files}
            self._proc_net["raw"] = proc_net.ProcNet(found)
        return self._proc_net.get("raw")

    @property
    def conntrack(self) -> socket.socket:
        """ctnetlink; ReadError with the reason if it cannot be had."""
        return self._socket("conntrack")

    @property
    def conntrack_query(self) -> socket.socket:
        """ctnetlink for what the operator asks about; ReadError with the reason if it cannot be had."""
        return self._socket("conntrack query" if self.keeps_open else "conntrack")

    @property
    def route(self) -> socket.socket:
        """rtnetlink; ReadError with the reason if it cannot be had."""
        return self._socket("route")

    def read(self, path: str, size: int = 65536) -> bytes:
        """Return all of /proc/`path` (`net/sockstat`, `sys/net/core/somaxconn`), in reads of `size` bytes; raise
        NotPresent or ReadError.

        A sysctl answers one read only, so at most `size` bytes of it are returned."""
        descriptor = self._files.get(path)
        if descriptor is None:
            descriptor = self._files[path] = self._reopen(path)
        try:
            return read_open_file(descriptor, path, size)
        except OSError as error:
            raise self._invalidate(path, error.errno or errno.EIO) from None
        finally:
            self._release(path)

    def mode(self, path: str) -> int:
        """Return the permission bits of /proc/`path` in this namespace; raise NotPresent or ReadError."""
        self.read(path)
        if path in self._files:
            return os.fstat(self._files[path]).st_mode & 0o777
        with self._inside():
            return os.stat(f"{self._proc}/{path}").st_mode & 0o777

    def release_sockets(self, names: Iterable[str] = SOCKETS) -> None:
        """Close those sockets of `names` that can be opened again."""
        if self._proc is not None:
            for name in names:
                if name in self._sockets:
                    self._sockets.pop(name).close()

    def release_files(self) -> None:
        """Close the files that can be opened again, and keep none open from now on."""
        self.keeps_files = False
        if self._proc is not None:
            for path in [path for path in self._files if path.startswith(("net/", "sys/"))]:
                os.close(self._files.pop(path))

    def release_query(self) -> None:
        """Close what only queries use and what can be opened again. After a dump that was stopped half-way the
        next one on its socket would have to read the rest first."""
        self.release_sockets(("query",))
        for path in [path for path in self._files if path.startswith("raw ")]:
            os.close(self._files.pop(path))
        self._proc_net.pop("raw", None)

    def close(self) -> None:
        """Close everything; safe to call twice."""
        for each in self._sockets.values():
            each.close()
        self.probes.close()
        for descriptor in self._files.values():
            os.close(descriptor)
        self._sockets.clear()
        self._files.clear()
        self._proc_net.clear()
        self._proc = None

    def _diag(self, name: str) -> Diag:
        """Return netlink, or the text if netlink is refused; raise ReadError if neither can be had."""
        name = name if self.keeps_open else "scan"
        try:
            return self._socket(name)
        except ReadError:
            if name not in self._proc_net:
                raise
            return self._proc_net[name]

    def _socket(self, name: str) -> socket.socket:
        if name in _QUERY_SOCKETS:
            self.queried_at = time.monotonic()
        if name not in self._sockets:
            self._sockets[name] = _socket(self._reopen(name))
        return self._sockets[name]

    def _reopen(self, name: str) -> int:
        """Open a file that could not be opened before: at most every RETRY_SECONDS, and in our own namespace
        only."""
        now = time.monotonic()
        if self._proc is not None and now >= self._retry_at.get(name, 0.0):
            try:
                with self._inside():
                    return open_any(name, self._proc)
            except OSError as error:
                self._errors[name] = error.errno or errno.EIO
                if self.keeps_open or error.errno not in NO_FREE_FILE:
                    self._retry_at[name] = now + RETRY_SECONDS
        raise read_error(name, self._errors.get(name, errno.ENOENT))

    def _release(self, path: str) -> None:
        """Close a file that is not kept open."""
        if not self.keeps_files and path in self._files and self._proc is not None:
            os.close(self._files.pop(path))

    def _invalidate(self, path: str, code: int) -> ReadError:
        """Return the error for an open file that stopped answering, and close it if its module is gone: it may
        come back as a new file."""
        if self._proc is not None and code in (errno.EIO, errno.ENOENT, errno.ENODEV):
            os.close(self._files.pop(path))
            self._errors[path] = code = errno.ENOENT
        return read_error(path, code)


def _socket(descriptor: int) -> socket.socket:
    return socket.socket(fileno=descriptor)
