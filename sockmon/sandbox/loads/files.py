"""Processes that use up their descriptors."""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Iterator
from functools import partial
from math import exp
from time import monotonic

from sockmon.sandbox.workers import FOREVER, WorkerGroup


def set_nofile(descriptors: int) -> None:
    """Set the soft RLIMIT_NOFILE of this process."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def start_leaky_worker(workers: WorkerGroup, used: int, limit: int, leak: float) -> None:
    """Start a process with `used` descriptors under a soft limit, which leaks `leak` more per second."""
    workers.start("leaky-worker", partial(_leak_descriptors, used, limit, leak))


def _leak_descriptors(used: int, limit: int, leak: float) -> Iterator[float]:
    set_nofile(limit)
    # The listing itself opens one of the descriptors that it lists.
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(used + 1 - len(os.listdir("/proc/self/fd")))]
    yield 1 / leak if leak else FOREVER
    while leak:
        try:
            held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
        yield 1 / leak


def warm_up(target: int, limit: int, pace: float) -> Iterator[float]:
    """Open `target` files under a soft limit: fast at first, and slower by a factor of e every `pace` seconds."""
    set_nofile(limit)
    held: list[int] = []
    yield 0.0
    start = monotonic()
    while True:
        while len(held) < target * (1 - exp(-(monotonic() - start) / pace)):
            held.append(os.open(os.devnull, os.O_RDONLY))
        yield 0.02


def accept_and_never_close(listener: socket.socket, limit: int) -> Iterator[float]:
    """Be a server that may open `limit` files, accepts every connection and never closes one."""
    set_nofile(limit)
    held = []
    yield 0.0
    while True:
        try:
            held.append(listener.accept()[0])
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
            yield 0.2
