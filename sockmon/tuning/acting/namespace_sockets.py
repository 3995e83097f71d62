"""The netlink sockets of any network namespace of the host, found by the inode of the namespace.

The inode alone comes from the screen. The namespace is found again here, opened, and its inode compared once more
inside of it: a namespace that has ended, or whose number another one has now, is refused.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from sockmon.errors import ReadError, TuningError
from sockmon.kernel.errnos import FORBIDDEN
from sockmon.kernel.identity import OWN_NETNS, netns_inode
from sockmon.kernel.namespace_files import open_files
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.namespaces.discovery import FoundNetns, find_namespaces
from sockmon.kernel.namespaces.nsfs_mounts import given_name
from sockmon.kernel.netlink import run
from sockmon.kernel.setns import EntryRefused, OpenedFiles, open_in_netns

ENDED = "this network namespace has ended"


class OpenNetns(NamedTuple):
    """A namespace to act in."""

    handle: NetnsHandle
    own: bool
    """Whether it is the namespace that sockmon runs in."""
    entry: str
    """What a shell command is prefixed with to run in it; empty for our own."""


class _Row(NamedTuple):
    pid: int
    start: int


@contextmanager
def open_to_act(netns: int, socket: str, proc: int) -> Iterator[OpenNetns]:
    """Open the namespace with the inode `netns`, and `socket` of it, a name of namespace_files.SOCKETS; raise
    TuningError with the reason."""
    if netns == netns_inode():
        handle, entry = NetnsHandle("", OpenedFiles(netns), "/proc"), ""
    else:
        handle, entry = _open_there(netns, socket, proc)
    try:
        yield OpenNetns(handle, not entry, entry)
    finally:
        handle.close()


def _open_there(netns: int, socket: str, proc: int) -> tuple[NetnsHandle, str]:
    found = next((each for each in _namespaces(proc) if each.inode == netns), None)
    if found is None:
        raise TuningError(ENDED)
    descriptor, entry = _open_namespace(found, proc)
    try:
        opened = open_in_netns(descriptor, lambda: open_files((), sockets=(socket,)))
    finally:
        os.close(descriptor)
    if isinstance(opened, EntryRefused):
        reason = "it needs root" if opened.code in FORBIDDEN else os.strerror(opened.code)
        raise TuningError(f"the network namespace cannot be entered: {reason}")
    handle = NetnsHandle("", opened)
    if opened.inode != netns:
        handle.close()
        raise TuningError(ENDED)
    return handle, entry


def _namespaces(proc: int) -> list[FoundNetns[_Row]]:
    rows = (_Row(int(name), 0) for name in os.listdir(f"/proc/self/fd/{proc}") if name.isdecimal())
    try:
        return run(find_namespaces(rows, proc))
    except (OSError, ReadError) as error:
        raise TuningError(f"the network namespaces cannot be read: {error}") from error


def _open_namespace(found: FoundNetns[_Row], proc: int) -> tuple[int, str]:
    """Return a descriptor of the namespace and the prefix of a command; raise TuningError if it has ended."""
    ways = [(point, _mount_entry(point)) for point in found.mounts]
    ways += [(f"{row.pid}/ns/net", f"nsenter -t {row.pid} -n ") for row in found.processes]
    reason = ENDED
    for path, entry in ways:
        with suppress(FileNotFoundError, ProcessLookupError):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=proc)
            except OSError as error:
                if isinstance(error, (FileNotFoundError, ProcessLookupError)):
                    raise
                reason = f"the network namespace cannot be opened: {error.strerror}"
                continue
            seen = os.fstat(descriptor)
            if (seen.st_ino, seen.st_dev) == (found.inode, os.stat(OWN_NETNS).st_dev):
                return descriptor, entry
            os.close(descriptor)
    raise TuningError(reason)


def _mount_entry(point: str) -> str:
    name = given_name(point)
    return f"ip netns exec {shlex.quote(name)} " if name else f"nsenter --net={shlex.quote(point)} "
