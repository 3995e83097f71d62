"""A host of its own: private user, mount, network and pid namespaces, in which network namespaces are made.

`in_private_host(function)` runs a top-level function there, where no other namespace of this machine is visible.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sockmon.sandbox.namespaces import enter, set_sysctl
from tests.netns import ROOT, child_environment

CLONE_NEWNET = 0x40000000
PRIVATE = (
    *("unshare", "--user", "--map-root-user", "--mount", "--net"),
    *("--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-c"),
)


def in_private_host(function: Callable[[], object]) -> Any:
    """Return what the function returns, which travels as JSON."""
    found = subprocess.run(
        [*PRIVATE, f"import json, {function.__module__} as m; print(json.dumps(m.{function.__name__}()))"],
        cwd=ROOT, env=child_environment(), capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr.decode()
    return json.loads(found.stdout)


@contextmanager
def namespaces(*works: Callable[[], object]) -> Iterator[list[int]]:
    """Make a network namespace for each of `works`, which is done there; yield the pids of the processes."""
    children: list[int] = []
    try:
        children.extend(map(_hold, works))
        yield children
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def unshare_network() -> None:
    """Move this process to a new network namespace."""
    assert ctypes.CDLL(None).unshare(CLONE_NEWNET) == 0


def _hold(work: Callable[[], object]) -> int:
    ready, done = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            enter(user_namespace=False)
            kept = work()
            os.write(done, b"1")
            signal.pause()
            del kept
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(done)
    with os.fdopen(ready, "rb") as pipe:
        assert pipe.read(1) == b"1"
    return pid


def healthy() -> list[socket.socket]:
    """Have a listener and a connection."""
    server = socket.create_server(("127.0.0.1", 8080))
    client = socket.create_connection(server.getsockname())
    return [server, client, server.accept()[0]]


def overflow() -> list[socket.socket]:
    """Let the queue of a listener overflow."""
    server = socket.socket()
    server.bind(("127.0.0.1", 8080))
    server.listen(1)
    kept = [server]
    for _ in range(8):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", 8080))
        kept.append(client)
    return kept


def ports() -> list[socket.socket]:
    """Use 96 of 100 ephemeral ports."""
    set_sysctl("net.ipv4.ip_local_port_range", "40000 40099")
    server = socket.create_server(("127.0.0.1", 8080), backlog=200)
    kept = [server]
    for _ in range(96):
        kept.append(socket.create_connection(("127.0.0.1", 8080)))
        kept.append(server.accept()[0])
    return kept


def leak() -> list[socket.socket]:
    """Have 40 of 60 descriptors in CLOSE_WAIT."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
    return close_wait(40)


def few_leaked() -> list[socket.socket]:
    """Have three sockets in CLOSE_WAIT, far below the limit of descriptors."""
    return close_wait(3)


def close_wait(sockets: int) -> list[socket.socket]:
    """Return a listener and so many sockets whose peers have closed."""
    server = socket.create_server(("127.0.0.1", 8080))
    kept = [server]
    for _ in range(sockets):
        with socket.create_connection(server.getsockname()):
            kept.append(server.accept()[0])
    return kept
