"""A server that maps more and more memory, until the kernel refuses one more map."""

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
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.port_numbers import WEB
from sockmon.sandbox.loads.threads import (
    STACK_BYTES,
    connect_until_refused,
    serve_with_threads,
    start_thread_for,
    steady_clients,
)
from sockmon.sandbox.scenario import Expect, Lab
from sockmon.sandbox.sockets import listen

THREADS = 200
MAX_MAP_COUNT = 300_000
"""To reach a higher limit would take too much time and memory."""
_PROT_READ, _PROT_WRITE = 1, 2
_MAP_PRIVATE, _MAP_ANONYMOUS = 0x02, 0x20
_PAGE = 4096
_FAILED = ctypes.c_void_p(-1).value
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)


def max_map_count() -> int:
    """Return vm.max_map_count of the host; raise LabUnavailable if it is too high to reach."""
    limit = int(Path("/proc/sys/vm/max_map_count").read_text())
    if limit > MAX_MAP_COUNT:
        raise LabUnavailable(
            f"vm.max_map_count is {limit:,}, too many maps to make, and a lab does not lower a host-wide setting"
        )
    return limit


def _map_until_refused(listener: socket.socket, threads: int, progress: Callable[[int], None]) -> Iterator[float]:
    """Start `threads` threads for as many clients, then map until the kernel refuses; fork() still works."""
    threading.stack_size(STACK_BYTES)
    for _ in range(threads):
        start_thread_for(listener.accept()[0])
    _exhaust_maps(progress)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    yield from serve_with_threads(listener)


def _exhaust_maps(progress: Callable[[int], None]) -> None:
    # The kernel does not merge neighbours with different protection. Nothing is written, so no page is used.
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


def start_server_at_limit(builder: LabBuilder, name: str, port: int, threads: int) -> None:
    """Start the server called `name`, at its limit, and clients that it can no longer serve."""
    limit = max_map_count()

    def progress(made: int) -> None:
        builder.progress(made / limit, f"{made:,} of {limit:,} maps")

    with listen(port) as listener:
        builder.start(name, partial(_map_until_refused, listener, threads, progress))
    builder.start("clients", partial(steady_clients, port, threads))
    builder.wait()
    builder.start("clients", partial(connect_until_refused, port))


def _build(builder: LabBuilder) -> None:
    start_server_at_limit(builder, "app-server", WEB, THREADS)


AT_LIMIT = Expect(
    "memory-maps",
    r"^app-server\[\d+\]$",
    (60_000, MAX_MAP_COUNT + 1),
    (60_000, MAX_MAP_COUNT),
    ("hit",),
    "sysctl",
    "vm.max_map_count",
)

LAB = Lab(
    name="memory-maps",
    ceiling="memory-maps",
    title="a server without free memory maps",
    scenario="A server with 200 threads maps memory in small pieces until mmap() fails; no thread starts then.",
    what_to_see="memory maps of app-server at their limit: ENOMEM, while memory is free",
    claim="exhausted memory maps are not mistaken for a task limit: fork() still works, pthread_create() does not",
    build=_build,
    expect_first=AT_LIMIT,
    expect_no_alarm=("pid-max", "user-processes", "cgroup-pids", "process-fds", "accept-queue"),
)
