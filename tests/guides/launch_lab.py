"""A process that opens N connections of one shape on the real kernel, and counts what they take."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from sockmon.errors import LabUnavailable
from sockmon.guides.launch.shape import Shape
from sockmon.sandbox.builder import LabBuilder, LabCgroup
from sockmon.sandbox.loads.connections import accept_and_hold, connect_and_hold
from sockmon.sandbox.loads.port_numbers import WEB
from sockmon.sandbox.sockets import LOOPBACK, connect, listen

UPSTREAM = WEB + 1


def build(builder: LabBuilder, shape: Shape, total: int) -> None:
    """Open the connections in this process; its facts are what each counter grew by."""
    group = _private_cgroup(builder)
    inbound = listen(WEB, 4096)
    if shape.role != "client":
        builder.start("clients", partial(connect_and_hold, LOOPBACK, WEB, total))
    if shape.ports:
        with listen(UPSTREAM, 4096) as upstream:
            builder.start("upstream", partial(accept_and_hold, upstream, total))
    if not shape.ports:
        builder.wait()
    program = Program(shape, inbound, group)
    before = program.counters()
    program.open(total)
    builder.facts["grew"] = {name: value - before[name] for name, value in program.counters().items()}
    _kept.append(program)


_kept: list[Program] = []


def _private_cgroup(builder: LabBuilder) -> LabCgroup | None:
    """Return a cgroup that counts the kernel memory of this process alone; None if there can be none here."""
    # In cgroup v1 an accepted socket is charged only to a group that has a limit of TCP memory.
    for limits in ({"kmem.tcp.limit_in_bytes": 1 << 40}, {}):
        with suppress(LabUnavailable):
            return builder.cgroup("memory", "launch", **limits)
    return None


def start_thread() -> None:
    """Start a thread of the C library alone: an interpreter maps memory of its own for each of its threads."""
    libc = ctypes.CDLL(None)
    thread = ctypes.c_ulong()
    code = libc.pthread_create(ctypes.byref(thread), None, ctypes.cast(libc.pause, ctypes.c_void_p), None)
    if code:
        raise OSError(code, os.strerror(code))


class Program:
    """Holds connections as a program of its shape does."""

    def __init__(self, shape: Shape, inbound: socket.socket, group: LabCgroup | None) -> None:
        self._shape, self._inbound, self._group = shape, inbound, group
        self._epoll = select.epoll()
        self._held: list[socket.socket] = []
        if group:
            group.join()

    def open(self, total: int) -> None:
        """Accept or connect `total` times, or both; give each connection to epoll, or to a thread."""
        for _ in range(total):
            ends = []
            if self._shape.role != "client":
                ends.append(self._inbound.accept()[0])
            if self._shape.ports:
                ends.append(connect(LOOPBACK, UPSTREAM))
            self._held += ends
            if self._shape.threads:
                start_thread()
            for end in ends if self._shape.watches else ():
                self._epoll.register(end, select.EPOLLIN)

    def counters(self) -> dict[str, int]:
        """Return what the kernel counts of this process, by the ceiling that it counts for."""
        # First of all: listing descriptors and threads below /proc takes kernel memory too.
        memory = self._kernel_bytes()
        names = [each.getsockname()[1] for each in self._held if each.getpeername()[1] == UPSTREAM]
        watches = Path(f"/proc/self/fdinfo/{self._epoll.fileno()}").read_text().count("tfd:")
        with os.scandir("/proc/self/fd") as entries:
            descriptors = sum(1 for _ in entries)
        found = {
            "process-fds": descriptors,
            "epoll-watches": watches,
            "ephemeral-ports": len(set(names)),
            "pid-max": len(os.listdir("/proc/self/task")),
            "memory-maps": Path("/proc/self/maps").read_text().count("\n"),
        }
        return {**found, **({"memory": memory} if memory is not None else {})}

    def _kernel_bytes(self) -> int | None:
        """Return the kernel memory of the cgroup; None if it is not counted."""
        if self._group is None:
            return None
        time.sleep(0.2)  # the stacks of threads that have just started are charged by then
        first = self._group.path / "memory.kmem.usage_in_bytes"
        if first.exists():
            return int(first.read_text())
        lines = (self._group.path / "memory.stat").read_text().splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("kernel ")), None)
