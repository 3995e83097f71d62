"""The symptoms that an ordinary user can have on a host with its settings as they are, and sockmon as that user.

python -m tests.guides.user_symptoms          prints `ready` once they are there; keeps them until its input ends
python -m tests.guides.user_symptoms ARG…     runs `sockmon ARG…`

Root becomes `nobody` first, and imports before that what `nobody` may not be able to read."""

from __future__ import annotations

import ctypes
import importlib
import os
import pkgutil
import resource
import select
import socket
import sys
import threading
from contextlib import suppress

import sockmon

NOBODY = 65534
PR_SET_DUMPABLE = 4
OPEN_FILES = 200
BACKLOG = 16
SOCKETS = 64


def fill_accept_queue(kept: list[socket.socket]) -> None:
    """Listen and never accept."""
    with_full_queue = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    kept.append(with_full_queue)
    for _ in range(BACKLOG + 4):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(with_full_queue.getsockname())
        kept.append(client)


def fill_datagram_queue(kept: list[socket.socket]) -> None:
    """Bind a unix datagram socket that is never read."""
    reader, writer = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    reader.bind(f"\0sockmon-test-{os.getpid()}")
    writer.connect(reader.getsockname())
    writer.setblocking(False)
    kept += [reader, writer]
    with suppress(BlockingIOError):
        while True:
            writer.send(b"message")


def leave_in_close_wait(kept: list[socket.socket]) -> None:
    """Accept connections, and do not close them after their peers have."""
    with socket.create_server(("127.0.0.1", 0), backlog=SOCKETS) as listener:
        for _ in range(SOCKETS):
            peer = socket.socket()
            peer.connect(listener.getsockname())
            kept.append(listener.accept()[0])
            peer.close()


def lose_datagrams(kept: list[socket.socket]) -> None:
    """Send for ever to a UDP socket that is never read."""
    reader, writer = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.bind(("127.0.0.1", 0))
    writer.connect(reader.getsockname())
    kept += [reader, writer]
    threading.Thread(target=_send, args=(writer,), daemon=True).start()


def _send(writer: socket.socket) -> None:
    while True:
        select.select([], [], [], 0.02)
        writer.send(b"datagram")


def use_up_descriptors() -> None:
    """Open files up to a limit of this process alone."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with suppress(OSError):
        while True:
            os.open("/dev/null", os.O_RDONLY)


def become_ordinary_user() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        # As after an exec: /proc of this process belongs to it.
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


def import_sockmon() -> None:
    """Import what a verb imports when it runs."""
    for module in pkgutil.walk_packages(sockmon.__path__, "sockmon."):
        if not module.name.startswith(("sockmon.ui", "sockmon.__main__", "sockmon.sandbox.nsenter")):
            importlib.import_module(module.name)


def have_symptoms() -> None:
    """Have full queues in one process, and in its child no descriptor and no further process."""
    ready, started = os.pipe()
    if os.fork() == 0:
        resource.setrlimit(resource.RLIMIT_NPROC, (1, resource.getrlimit(resource.RLIMIT_NPROC)[1]))
        use_up_descriptors()
        os.close(started)
    else:
        kept: list[socket.socket] = []
        fill_accept_queue(kept)
        fill_datagram_queue(kept)
        leave_in_close_wait(kept)
        lose_datagrams(kept)
        os.close(started)
        os.read(ready, 1)
        os.write(1, b"ready\n")
    sys.stdin.read()


def main() -> None:
    if len(sys.argv) == 1:
        become_ordinary_user()
        have_symptoms()
        return
    import_sockmon()
    cli = importlib.import_module("sockmon.cli.main")
    become_ordinary_user()
    cli.main()


if __name__ == "__main__":
    main()
