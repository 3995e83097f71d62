"""A remote host: a network namespace at the other end of a veth pair, with a server in it."""

from __future__ import annotations

import os
import socket
import subprocess

from sockmon.sandbox import namespaces, sockets
from sockmon.sandbox.child_process import ChildProcess

LOCAL, REMOTE = "192.0.2.1", "192.0.2.2"
"""TEST-NET-1, RFC 5737."""


class _RemoteServer:
    """Answers two requests: the pid whose namespace gets the local end, and the number of connections to serve."""

    def __init__(self) -> None:
        self._listener: socket.socket | None = None

    def __call__(self, number: int) -> None:
        if self._listener:
            sockets.close_after_clients(self._listener, number)
        enter_remote_host(number)
        self._listener = sockets.listen()


def start_remote_server(total: int) -> str:
    """Return the address of a server that closes each of `total` connections after its client; it dies with us."""
    server = ChildProcess(_RemoteServer())
    server.call(os.getpid())
    configure_local_end()
    server.send(total)
    return REMOTE


def enter_remote_host(pid: int) -> None:
    """Move this process to the other end of a veth pair whose local end is in the namespace of process `pid`."""
    namespaces.enter(user_namespace=False)
    run_tool("ip", "link", "add", "remote0", "type", "veth", "peer", "name", "local0", "netns", str(pid))
    run_tool("ip", "address", "add", f"{REMOTE}/24", "dev", "remote0")
    run_tool("ip", "link", "set", "remote0", "up")


def configure_local_end() -> None:
    """Give our end of the pair its address, once the remote host is there."""
    run_tool("ip", "address", "add", f"{LOCAL}/24", "dev", "local0")
    run_tool("ip", "link", "set", "local0", "up")


def run_tool(*argv: str) -> None:
    """Run `ip` or `tc` in this namespace; raise RuntimeError with what it prints if it fails."""
    environment = {**os.environ, "PATH": namespaces.TOOL_PATH}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
