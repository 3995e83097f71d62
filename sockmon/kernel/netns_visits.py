"""Visits to other network namespaces: this thread enters one, opens files and sockets there, and comes back.

Nothing of a namespace stays open after a visit, so that none is kept alive after its end, and the number of files
does not depend on that of namespaces. An inode is used again as soon as its namespace has ended, so each visit
compares the cookie, which the kernel (5.14 and later) gives out once; on an older kernel a descriptor is held.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sockmon.errors import ReadError
from sockmon.kernel.identity import OWN_NETNS
from sockmon.kernel.setns import CLONE_NEWNET, come_back, setns_call

_SO_NETNS_COOKIE, _COOKIE_BYTES = 71, 8


class NetnsEnded(ReadError):
    """The network namespace does not exist any more, or no known process or mount leads to it."""

    def __init__(self) -> None:
        super().__init__("network namespace", "has ended")


class NetnsPlace:
    """One network namespace, and what leads to it: processes and mounts."""

    def __init__(self, inode: int, pids: Sequence[int], mounts: Sequence[str]) -> None:
        self.inode = inode
        self.pids = pids
        self.mounts = mounts
        self._cookie: int | None = None
        self._descriptor: int | None = None

    @property
    def cookie(self) -> int:
        """Return the cookie as of the first visit; 0 if there is none."""
        return self._cookie or 0

    def close(self) -> None:
        """Release it, if this kernel has no cookies; safe to call twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def open(self, proc: int, device: int) -> int:
        """Return a descriptor of the namespace; raise NetnsEnded, or OSError if this user may not open it. `proc`
        is a descriptor of /proc, `device` that of nsfs."""
        if self._descriptor is not None:
            return os.dup(self._descriptor)
        refused: OSError | None = None
        for path in (*(f"{pid}/ns/net" for pid in self.pids), *self.mounts):
            try:
                found = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=proc)
            except OSError as error:
                refused = refused or (None if error.errno in (errno.ENOENT, errno.ESRCH) else error)
                continue
            status = os.fstat(found)
            if (status.st_dev, status.st_ino) == (device, self.inode):
                return found
            os.close(found)
        raise refused or NetnsEnded

    def verify(self, descriptor: int) -> None:
        """Raise NetnsEnded if the namespace that this thread is in, opened as `descriptor`, is not that of the
        first visit."""
        if self._descriptor is not None:
            return
        cookie = _cookie()
        if cookie is None:
            self._descriptor = os.dup(descriptor)
        elif self._cookie not in (None, cookie):
            raise NetnsEnded
        self._cookie = cookie


class NetnsVisits:
    """Enters network namespaces with the thread that made it; `proc` is a descriptor of /proc."""

    def __init__(self, proc: int) -> None:
        self._proc = proc
        self._setns = setns_call()
        self._own = os.open(OWN_NETNS, os.O_RDONLY | os.O_CLOEXEC)
        self._device = os.fstat(self._own).st_dev
        self._inside: NetnsPlace | None = None

    def close(self) -> None:
        """Close our own namespace; safe to call twice."""
        if self._own >= 0:
            os.close(self._own)
            self._own = -1

    @contextmanager
    def inside(self, place: NetnsPlace) -> Iterator[None]:
        """Be in the namespace of `place`, also if we are in it already; raise NetnsEnded, or OSError if it may not
        be entered. No thread may be started there: it would stay."""
        if self._inside is place:
            yield
            return
        descriptor = place.open(self._proc, self._device)
        try:
            self._setns(descriptor, CLONE_NEWNET)
            self._inside = place
            try:
                place.verify(descriptor)
                yield
            finally:
                self._inside = None
                come_back(self._own, self._setns)
        finally:
            os.close(descriptor)


def _cookie() -> int | None:
    """Return the cookie of the namespace that this thread is in; None if this kernel has none."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as probe:
        try:
            raw = probe.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, _COOKIE_BYTES)
        except OSError:
            return None
    return int.from_bytes(raw, "little") or None
