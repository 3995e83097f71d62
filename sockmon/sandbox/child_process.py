"""Forked children: one that answers requests, and one that sleeps. They die with the process that forked them."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from sockmon.errors import LabUnavailable
from sockmon.own_process import end_with_parent

_MAX_MESSAGE_BYTES = 65536
Handler = Callable[[Any], Any]
"""From a request to its result, both plain JSON."""


def fork(main: Callable[[], object]) -> int:
    """Return the pid of a new child that runs `main` and exits; the kernel kills it when this process dies."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            end_with_parent(parent)
            main()
        finally:
            os._exit(1)
    return pid


def detach_stdin() -> None:
    """Put /dev/null in the place of standard input, whose end means something to the parent alone."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)


class ChildProcess:
    """A child that answers one request after another with `handler`; what the handler opens stays open."""

    def __init__(self, handler: Handler) -> None:
        self._socket, child_socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = fork(partial(self._serve, child_socket, handler))
        child_socket.close()

    def call(self, request: Any = None) -> Any:
        """Return the result of one request; raise LabUnavailable or RuntimeError with the reason if it failed."""
        self.send(request)
        return self.receive()

    def send(self, request: Any) -> None:
        """Send a request without waiting for its result."""
        self._socket.send(json.dumps(request).encode())

    def receive(self) -> Any:
        """Return the result of the request that was sent first; raise like `call`."""
        reply = json.loads(self._socket.recv(_MAX_MESSAGE_BYTES) or '{"failed": "the child process died"}')
        if "unavailable" in reply:
            raise LabUnavailable(*reply["unavailable"])
        if "failed" in reply:
            raise RuntimeError(reply["failed"])
        return reply["result"]

    def fileno(self) -> int:
        """Return what select(2) waits on for the next result."""
        return self._socket.fileno()

    def kill(self) -> None:
        """Kill the child and reap it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._socket.close()

    def _serve(self, child_socket: socket.socket, handler: Handler) -> None:
        """Answer until a request fails, or the parent has closed its end."""
        self._socket.close()
        try:
            while request := child_socket.recv(_MAX_MESSAGE_BYTES):
                child_socket.send(json.dumps({"result": handler(json.loads(request))}).encode())
        except LabUnavailable as error:
            child_socket.send(json.dumps({"unavailable": [error.message, error.hint]}).encode())
        except BaseException as error:
            child_socket.send(json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode())


def start_sleeper() -> int:
    """Return the pid of a new child that does nothing; raise OSError if no more can be started."""
    return fork(partial(time.sleep, 1e6))
