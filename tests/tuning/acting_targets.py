"""Real sockets, processes and flows to act on, and an Actions that acts on them."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from sockmon.errors import SockmonError
from sockmon.kernel.identity import netns_inode
from sockmon.kernel.processes import proc_files
from sockmon.model.acting import Action, CarryOutAction, PreparedAction, Signal, SignalProcess
from sockmon.model.socket_list import SocketKey
from sockmon.model.transaction import Transaction
from sockmon.tuning.acting.actions import Actions
from tests.tuning.sample_change import ACTOR

SO_COOKIE = 57


@contextmanager
def actions(forbidden: str = "", ssh_connection: str = "") -> Iterator[tuple[Actions, str]]:
    """Yield Actions and the directory below which it keeps its history."""
    with tempfile.TemporaryDirectory() as root:
        yield Actions(root, ACTOR, ssh_connection, forbidden), root


def confirm(shown: PreparedAction) -> CarryOutAction:
    """Return the confirmation of what was shown."""
    return CarryOutAction(shown.token, shown.count, shown.word)


def act(acting: Actions, action: Action) -> Transaction:
    """Prepare an action, confirm it, and return what was noted."""
    return acting.carry_out(confirm(acting.prepare(action)))


def refusal(work: Callable[[], object]) -> str:
    """Return the message with which a call is refused."""
    with pytest.raises(SockmonError) as error:
        work()
    return error.value.message


class Connections:
    """A listener on loopback, and connections to it: both ends are in this process."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET) -> None:
        self.listener = socket.create_server(("", 0) if family == socket.AF_INET else ("::1", 0), family=family)
        self.family = family

    def open(self, count: int = 1) -> list[tuple[socket.socket, socket.socket]]:
        """Return `count` new connections: client and server end."""
        host, port = "127.0.0.1" if self.family == socket.AF_INET else "::1", self.listener.getsockname()[1]
        found = []
        for _ in range(count):
            client = socket.create_connection((host, port))
            found.append((client, self.listener.accept()[0]))
        return found


def key_of(one: socket.socket, netns: int = 0) -> SocketKey:
    """Return the key of a TCP socket of this process."""
    cookie = struct.unpack("=Q", one.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))[0]
    local = one.getsockname()
    try:
        remote = one.getpeername()
    except OSError:
        remote = ("0.0.0.0" if one.family == socket.AF_INET else "::", 0)
    return SocketKey(
        netns or netns_inode(), "tcp", one.family, cookie, os.fstat(one.fileno()).st_ino,
        local[0], local[1], remote[0], remote[1],
    )  # fmt: skip


def error_of(one: socket.socket) -> int:
    """Return the error that the socket has got, 0 if none."""
    return one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def start_of(pid: int) -> int:
    """Return the start time of a process."""
    proc = proc_files.open_proc()
    try:
        return proc_files.parse_stat(proc_files.read(f"{pid}/stat", proc)).start
    finally:
        os.close(proc)


def signal_to(pid: int, name: Signal = "TERM") -> SignalProcess:
    """Return the request to signal a process."""
    return SignalProcess(pid, start_of(pid), name)


@contextmanager
def sleeper(work: Callable[[], object] | None = None) -> Iterator[int]:
    """Yield the pid of a child that sleeps until it is killed."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            if work is not None:
                work()
            while True:
                time.sleep(3600)
        finally:
            os._exit(1)
    try:
        yield pid
    finally:
        # Only if it was not reaped by the test.
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


def ip(*words: str) -> None:
    """Run ip(8)."""
    subprocess.run(["ip", *words], check=True, capture_output=True)
