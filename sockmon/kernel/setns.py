"""Open files in another network namespace: a short-lived child enters it, opens them and sends the descriptors
back.

The child is needed because the kernel refuses setns(2) into a user namespace to a process with threads, and so
that this process itself never leaves its own namespace.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import msgspec

from sockmon.kernel.identity import OWN_NETNS

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
_NS_GET_USERNS = 0xB701
_RETURN_ATTEMPTS, _RETURN_PAUSE = 100, 0.02
_EX_OSERR = 71

_MAX_DESCRIPTORS_PER_MESSAGE = 250
"""Descriptors in one message; the kernel's limit is SCM_MAX_FD = 253."""
_MAX_PAYLOAD_BYTES = 64 * 1024
_ANCILLARY_BYTES = socket.CMSG_LEN(_MAX_DESCRIPTORS_PER_MESSAGE * array("i").itemsize)


class OpenedFiles(msgspec.Struct):
    """What was opened in a namespace: descriptors by name, and the errno for each that could not be opened."""

    inode: int = 0
    files: dict[str, int] = {}
    errors: dict[str, int] = {}
    proc_inode: int = 0
    """The inode of /proc/net/sockstat, which differs in each namespace; 0: unknown."""


class EntryRefused(msgspec.Struct):
    """The errno with which the namespace could not be entered, or its files could not be sent."""

    code: int


class _Batch(msgspec.Struct, tag="batch"):
    """One message of the child: names of the descriptors that come with it; the last message says how it ended."""

    names: list[str] = []
    inode: int = 0
    proc_inode: int = 0
    errors: dict[str, int] = {}
    refused: int = 0


def open_in_netns(namespace: int, work: Callable[[], OpenedFiles]) -> OpenedFiles | EntryRefused:
    """Run `work` in the network namespace of the descriptor `namespace`, and return what it opened."""
    enter = setns_call()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            try:
                child = os.fork()
            except OSError as error:
                return EntryRefused(error.errno or errno.EAGAIN)
            if child == 0:
                _run_child(theirs, namespace, enter, work)
        try:
            return _receive(ours)
        finally:
            ours.close()
            os.waitpid(child, 0)


def enter_netns(namespace: int) -> None:
    """Move this process to the network namespace of a descriptor, for a process that does nothing else; raise
    OSError."""
    _enter(namespace, setns_call())


@contextmanager
def visiting(namespace: int) -> Iterator[None]:
    """Be in the network namespace of the descriptor, without a fork; raise OSError if it may not be entered.

    Only the calling thread moves. What it opens below /proc/sys/net stays that of the namespace."""
    enter = setns_call()
    own = os.open(OWN_NETNS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(namespace, CLONE_NEWNET)
        try:
            yield
        finally:
            come_back(own, enter)
    finally:
        os.close(own)


def come_back(own: int, enter: Callable[[int, int], None]) -> None:
    """Return to our own namespace, which is open as `own`, so that only a lack of memory can prevent that: then
    raise SystemExit, because all that this process would read or write is that of the other one."""
    for _ in range(_RETURN_ATTEMPTS):
        try:
            enter(own, CLONE_NEWNET)
        except OSError:
            time.sleep(_RETURN_PAUSE)
        else:
            return
    raise SystemExit(_EX_OSERR)


def _run_child(
    parent: socket.socket, namespace: int, enter: Callable[[int, int], None], work: Callable[[], OpenedFiles]
) -> None:
    """Do all of the child's work; it exits here in any case, so that nothing of the parent runs twice."""
    try:
        try:
            _enter(namespace, enter)
            _send(parent, work())
        except OSError as error:
            parent.send(msgspec.json.encode(_Batch(refused=error.errno or errno.EIO)))
    finally:
        os._exit(0)


def _enter(namespace: int, enter: Callable[[int, int], None]) -> None:
    try:
        enter(namespace, CLONE_NEWNET)
    except PermissionError:
        # The user who created the owning user namespace has every capability inside it, and only there.
        try:
            owner = fcntl.ioctl(namespace, _NS_GET_USERNS)
            enter(owner, CLONE_NEWUSER)
        except OSError:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM)) from None
        enter(namespace, CLONE_NEWNET)


def _send(parent: socket.socket, opened: OpenedFiles) -> None:
    names = list(opened.files)
    for first in range(0, len(names), _MAX_DESCRIPTORS_PER_MESSAGE):
        batch = names[first : first + _MAX_DESCRIPTORS_PER_MESSAGE]
        socket.send_fds(parent, [msgspec.json.encode(_Batch(batch))], [opened.files[name] for name in batch])
    parent.send(
        msgspec.json.encode(_Batch(inode=opened.inode, proc_inode=opened.proc_inode, errors=opened.errors))
    )


def _receive(ours: socket.socket) -> OpenedFiles | EntryRefused:
    """Return everything that the child sends until it exits; close all descriptors if anything failed."""
    opened = OpenedFiles()
    code = 0
    ended = False
    while True:
        # Not socket.recv_fds(), which drops its flags: every command run later would inherit the descriptors.
        raw, ancillary, flags, _ = ours.recvmsg(_MAX_PAYLOAD_BYTES, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
        if not raw:
            break
        descriptors = array("i", b"".join(data for _, _, data in ancillary))
        batch = msgspec.json.decode(raw, type=_Batch)
        opened.files.update(zip(batch.names, descriptors, strict=False))
        if flags & socket.MSG_CTRUNC or len(descriptors) != len(batch.names):
            code = errno.EMFILE
        code = code or batch.refused
        if not batch.names:
            ended, opened.inode, opened.errors = True, batch.inode, batch.errors
            opened.proc_inode = batch.proc_inode
    if not ended or code:
        for descriptor in opened.files.values():
            with suppress(OSError):
                os.close(descriptor)
        return EntryRefused(code or errno.EIO)
    return opened


def setns_call() -> Callable[[int, int], None]:
    """Return setns(2): that of `os` since Python 3.12, else that of the C library, which is loaded before the
    fork."""
    if sys.version_info >= (3, 12):
        return os.setns
    libc = ctypes.CDLL(None, use_errno=True)

    def setns(descriptor: int, kind: int) -> None:
        if libc.setns(descriptor, kind) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    return setns
