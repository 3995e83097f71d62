"""What takes descriptors."""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Iterator
from functools import partial

from sockmon.labs.crew import FOREVER, Crew


def fds(crew: Crew, used: int, limit: int, leak: float) -> None:
    """A process with `used` descriptors under a soft limit, that loses `leak` more a second."""
    crew.start("leaky-worker", partial(_fds, used, limit, leak))


def _fds(used: int, limit: int, leak: float) -> Iterator[float]:
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    # The listing itself is one of those that it lists.
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(used + 1 - len(os.listdir("/proc/self/fd")))]
    yield 1 / leak if leak else FOREVER
    while leak:
        try:
            held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError as full:
            if full.errno != errno.EMFILE:
                raise
        yield 1 / leak


def keep_accepting(listener: socket.socket, limit: int) -> Iterator[float]:
    """A server that may open `limit` files, accepts whatever comes and never closes it."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    held = []
    yield 0.0
    while True:
        try:
            held.append(listener.accept()[0])
        except OSError as full:
            if full.errno != errno.EMFILE:
                raise
            yield 0.2
