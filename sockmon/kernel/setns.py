"""Open files inside another network namespace: a short-lived child enters it, opens, hands the descriptors back.

The child is needed because setns(2) into a user namespace is refused to a process with threads, and so that this
process itself never leaves its own namespace.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import sys
from array import array
from collections.abc import Callable
from contextlib import suppress

import msgspec

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
_NS_GET_USERNS = 0xB701

_BATCH = 250
"""Descriptors in one message: the kernel takes SCM_MAX_FD = 253."""
_PAYLOAD = 64 * 1024
_ROOM = socket.CMSG_LEN(_BATCH * array("i").itemsize)


class Opened(msgspec.Struct):
    """What opening inside a namespace gave: descriptors by name, errno for each that there is none of."""

    inode: int = 0
    files: dict[str, int] = {}
    errors: dict[str, int] = {}


class Refused(msgspec.Struct):
    """The namespace could not be entered, or its files could not be handed over: errno."""

    code: int


class _Batch(msgspec.Struct, tag="batch"):
    """One message of the child: names of the descriptors that come with it; the last one says how it ended."""

    names: list[str] = []
    inode: int = 0
    errors: dict[str, int] = {}
    refused: int = 0


def open_inside(namespace: int, work: Callable[[], Opened]) -> Opened | Refused:
    """Run `work` in the network namespace behind the descriptor `namespace`, and bring home what it opened."""
    enter = _setns()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            try:
                child = os.fork()
            except OSError as error:
                return Refused(error.errno or errno.EAGAIN)
            if child == 0:
                _child(theirs, namespace, enter, work)
        try:
            return _receive(ours)
        finally:
            ours.close()
            os.waitpid(child, 0)


def _child(
    home: socket.socket, namespace: int, enter: Callable[[int, int], None], work: Callable[[], Opened]
) -> None:
    """The child's whole life: it ends here, whatever happens, so that nothing of the parent runs twice."""
    try:
        try:
            _enter(namespace, enter)
            _send(home, work())
        except OSError as error:
            home.send(msgspec.json.encode(_Batch(refused=error.errno or errno.EIO)))
    finally:
        os._exit(0)


def _enter(namespace: int, enter: Callable[[int, int], None]) -> None:
    try:
        enter(namespace, CLONE_NEWNET)
    except PermissionError:
        # The user who made the owning user namespace has every capability inside it, and only there.
        try:
            owner = fcntl.ioctl(namespace, _NS_GET_USERNS)
            enter(owner, CLONE_NEWUSER)
        except OSError:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM)) from None
        enter(namespace, CLONE_NEWNET)


def _send(home: socket.socket, opened: Opened) -> None:
    names = list(opened.files)
    for first in range(0, len(names), _BATCH):
        batch = names[first : first + _BATCH]
        socket.send_fds(home, [msgspec.json.encode(_Batch(batch))], [opened.files[name] for name in batch])
    home.send(msgspec.json.encode(_Batch(inode=opened.inode, errors=opened.errors)))


def _receive(ours: socket.socket) -> Opened | Refused:
    """Everything that the child sends, until it hangs up; descriptors never outlive a failure."""
    opened = Opened()
    code = 0
    ended = False
    while True:
        # Not socket.recv_fds(), which drops its flags: every command run later would inherit the descriptors.
        raw, ancillary, flags, _ = ours.recvmsg(_PAYLOAD, _ROOM, socket.MSG_CMSG_CLOEXEC)
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
    if not ended or code:
        for descriptor in opened.files.values():
            with suppress(OSError):
                os.close(descriptor)
        return Refused(code or errno.EIO)
    return opened


def _setns() -> Callable[[int, int], None]:
    """setns(2): in `os` since Python 3.12, else from the C library, which is looked up before the fork."""
    if sys.version_info >= (3, 12):
        return os.setns
    libc = ctypes.CDLL(None, use_errno=True)

    def setns(descriptor: int, kind: int) -> None:
        if libc.setns(descriptor, kind) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    return setns
