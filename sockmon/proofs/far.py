"""Another host: a network namespace at the other end of a veth pair, with a server in it."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import NoReturn

from sockmon.labs import namespaces
from sockmon.proofs import sockets

_NEAR, _FAR = "192.0.2.1", "192.0.2.2"
"""TEST-NET-1, RFC 5737."""


def another_host(total: int) -> str:
    """The address of a server that closes `total` connections after their clients have; it dies with us."""
    told, tell = os.pipe()
    heard, answer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _live(told, answer, total)
    os.close(answer)
    _hear(heard)
    _ip("link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(pid))
    _ip("address", "add", f"{_NEAR}/24", "dev", "near")
    _ip("link", "set", "near", "up")
    os.write(tell, b"!")
    _hear(heard)
    return _FAR


def _live(told: int, answer: int, total: int) -> NoReturn:
    try:
        namespaces.die_with_parent(signal.SIGKILL)
        namespaces.enter(user_namespace=False)
        os.write(answer, b"!")
        _hear(told)
        _ip("address", "add", f"{_FAR}/24", "dev", "far")
        _ip("link", "set", "far", "up")
        listener = sockets.server()
        os.write(answer, b"!")
        os.close(answer)
        sockets.close_after(listener, total)
    finally:
        os._exit(1)


def _hear(door: int) -> None:
    if not os.read(door, 1):
        raise RuntimeError("the other host died")


def _ip(*argv: str) -> None:
    environment = {**os.environ, "PATH": namespaces.TOOLS}
    done = subprocess.run(["ip", *argv], capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(argv)}: {done.stderr.strip()}")
