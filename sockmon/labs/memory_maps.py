"""A server that maps more and more memory, until the kernel has no room in its table of maps."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from sockmon.errors import LabUnavailable
from sockmon.labs.lab import Expect, Lab
from sockmon.labs.loads.pairs import listen
from sockmon.labs.loads.places import WEB
from sockmon.labs.loads.threads import STACK, serve_by_threads, some, start_serving, until_refused
from sockmon.labs.stage import Stage

THREADS = 200
MOST = 300_000
"""A limit beyond which reaching it takes too much of everything."""
_PROT_READ, _PROT_WRITE = 1, 2
_MAP_PRIVATE, _MAP_ANONYMOUS = 0x02, 0x20
_PAGE = 4096
_FAILED = ctypes.c_void_p(-1).value
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)


def max_map_count() -> int:
    """vm.max_map_count, which is the host's; LabUnavailable where it is too far away."""
    limit = int(Path("/proc/sys/vm/max_map_count").read_text())
    if limit > MOST:
        raise LabUnavailable(f"vm.max_map_count is {limit:,} here, and no lab may lower it: too many maps to make")
    return limit


def server(listener: socket.socket, threads: int, progress: Callable[[int], None]) -> Iterator[float]:
    """Start `threads` threads for as many clients, then map until the kernel refuses; prove that fork() works."""
    threading.stack_size(STACK)
    for _ in range(threads):
        start_serving(listener.accept()[0])
    _map_all(progress)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    yield from serve_by_threads(listener)


def _map_all(progress: Callable[[int], None]) -> None:
    # Neighbours that differ are not merged; nothing is written, so that no page is taken.
    made = 0
    while (
        _libc.mmap(None, _PAGE, (_PROT_READ, _PROT_WRITE)[made % 2], _MAP_PRIVATE | _MAP_ANONYMOUS, -1, 0)
        != _FAILED
    ):
        made += 1
        if made % 5000 == 0:
            progress(made)
    if ctypes.get_errno() != errno.ENOMEM:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def start(stage: Stage, name: str, port: int, threads: int) -> None:
    """The server called `name`, at the wall, and clients that it cannot serve any more."""
    limit = max_map_count()

    def progress(made: int) -> None:
        stage.progress(made / limit, f"{made:,} of {limit:,} maps")

    with listen(port) as listener:
        stage.start(name, partial(server, listener, threads, progress))
    stage.start("clients", partial(some, port, threads))
    stage.wait()
    stage.start("clients", partial(until_refused, port))


def _build(stage: Stage) -> None:
    start(stage, "app-server", WEB, THREADS)


LAB = Lab(
    name="memory-maps",
    ceiling="memory-maps",
    title="a server without memory maps",
    does="A server with 200 threads maps memory in small pieces until mmap() fails; no new thread starts either.",
    look="memory maps of app-server at their limit: ENOMEM, while memory is free",
    proves="maps that ran out are named, not a limit of tasks: fork() still works, pthread_create() does not",
    build=_build,
    first=Expect(
        "memory-maps",
        r"^app-server\[\d+\]$",
        (60_000, MOST + 1),
        (60_000, MOST),
        ("hit",),
        "sysctl",
        "vm.max_map_count",
    ),
    never=("pid-max", "user-processes", "cgroup-pids", "process-fds", "accept-queue"),
)
